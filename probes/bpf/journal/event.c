/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An event of the journal: what the kernel knows of it, for a process that may be gone a moment
 * later. What cannot be written is counted.
 */
#include "core/account.c"
#include "core/in_flight.c"

#ifdef JOURNAL

static __always_inline void count_events(u32 what, u64 events)
{
	u64 *count = event_counts.lookup(&what);

	if (count)
		__sync_fetch_and_add(count, events);
}

/* These are too many to be told. */
static __always_inline void leave_out_events(u64 events)
{
	count_events(EVENTS_MADE, events);
	count_events(EVENTS_FLOOD, events);
}

static __always_inline struct event_limit *event_limit_of(struct event_limit_key *key)
{
	struct event_limit *limit = event_limits.lookup(key), first = {};

	if (limit)
		return limit;
	event_limits.update(key, &first);
	return event_limits.lookup(key);
}

/* True if there were fewer than `most` events of the kind in this second (of 2^30 ns). */
static __always_inline bool within_limit(struct event_limit_key *key, u32 most)
{
	struct event_limit *limit = event_limit_of(key);
	u32 second = bpf_ktime_get_ns() >> 30;

	if (!limit)
		return true;
	if (limit->second != second) {
		limit->second = second;
		limit->made = 0;
	}
	limit->made++;
	if (limit->made <= most)
		return true;
	__sync_fetch_and_add(&limit->left_out, 1);
	return false;
}

/* A flood by one process, or by the processes of one cgroup, leaves room for the others. */
static __always_inline bool may_be_told(u32 kind)
{
	struct event_limit_key key = {
		.cgroup_id = cgroup_id_of(this_task()),
		.tgid = current_tgid(),
		.kind = kind,
	};

	/* A process without a free descriptor tries again and again. */
	if (!within_limit(&key, kind == EVENT_FD_REFUSED ? 1 : EVENTS_OF_PROCESS))
		return false;
	key.tgid = 0;
	return within_limit(&key, EVENTS_OF_CGROUP);
}

static __always_inline void describe_process(struct event_process *to,
					     const struct task_struct *task)
{
	const struct task_struct *leader = NULL;
	const struct cred *cred = NULL;

	PROBE_READ(leader, &task->group_leader);
	PROBE_READ(cred, &leader->real_cred);
	PROBE_READ(to->uid, &cred->uid);
	PROBE_READ(to->tgid, &leader->tgid);
	PROBE_READ(to->start, &leader->start_boottime);
	PROBE_READ(to->comm, &leader->comm);
	to->cgroup_id = cgroup_id_of(task);
}

/* The processes that started this one, nearest first. */
static __always_inline void describe_parents(struct event *event, const struct task_struct *task)
{
	const struct task_struct *parent = NULL;
	u32 i, tgid;

	for (i = 0; i < EVENT_PARENTS; i++) {
		tgid = 0;
		PROBE_READ(parent, &task->real_parent);
		PROBE_READ(parent, &parent->group_leader);
		PROBE_READ(tgid, &parent->tgid);
		if (!tgid)
			return;
		event->parents[i].tgid = tgid;
		PROBE_READ(event->parents[i].comm, &parent->comm);
		task = parent;
	}
}

static __always_inline void read_name(char *to, u32 size, const struct file *file)
{
	const struct dentry *dentry = NULL;
	const unsigned char *name = NULL;

	PROBE_READ(dentry, &file->f_path.dentry);
	PROBE_READ(name, &dentry->d_name.name);
	bpf_probe_read_kernel_str(to, size, name);
}

/*
 * The last names of the path of the program, the last one first. Where the root of a filesystem is
 * reached, the path goes on where it is mounted.
 */
static __always_inline void read_path(struct event *event, const struct file *file)
{
	const struct dentry *dentry = NULL, *root = NULL, *parent = NULL;
	const struct vfsmount *vfsmount = NULL;
	const struct mount *mount, *outer = NULL;
	const unsigned char *name = NULL;
	u32 i;

	PROBE_READ(dentry, &file->f_path.dentry);
	PROBE_READ(vfsmount, &file->f_path.mnt);
	mount = (const struct mount *)((const char *)vfsmount - OFFSET_mount_mnt);
	for (i = 0; i < PATH_NAMES; i++) {
		PROBE_READ(root, &((const struct vfsmount *)((const char *)mount +
							     OFFSET_mount_mnt))->mnt_root);
		if (dentry == root) {
			PROBE_READ(outer, &mount->mnt_parent);
			if (outer == mount)
				return;
			PROBE_READ(dentry, &mount->mnt_mountpoint);
			mount = outer;
		}
		PROBE_READ(name, &dentry->d_name.name);
		bpf_probe_read_kernel_str(event->program + i * PATH_NAME_BYTES, PATH_NAME_BYTES,
					  name);
		event->program_names = i + 1;
		PROBE_READ(parent, &dentry->d_parent);
		if (parent == dentry)
			return;
		dentry = parent;
	}
	event->program_is_cut = 1;
}

/* The command line, as far as it is in memory; its program; its terminal. */
static __always_inline void describe_program(struct event *event, const struct task_struct *task)
{
	const struct signal_struct *signal = NULL;
	const struct tty_struct *tty = NULL;
	const struct mm_struct *mm = NULL;
	const struct file *program = NULL;
	u64 from = 0, to = 0, length;

	PROBE_READ(signal, &task->signal);
	PROBE_READ(tty, &signal->tty);
	if (tty)
		bpf_probe_read_kernel_str(event->terminal, sizeof(event->terminal), &tty->name);
	PROBE_READ(mm, &task->mm);
	if (!mm)
		return;
	PROBE_READ(program, &mm->exe_file);
	if (program)
		read_path(event, program);
	PROBE_READ(from, &mm->arg_start);
	PROBE_READ(to, &mm->arg_end);
	event->command_bytes = to - from;
	length = event->command_bytes;
	if (length > COMMAND_BYTES)
		length = COMMAND_BYTES;
	bpf_probe_read_user(event->command, length, (const void *)from);
}

static __always_inline void describe_socket(struct event *event, const struct sock *sk)
{
	u16 family = 0, port = 0;

	PROBE_READ(family, &sk->__sk_common.skc_family);
	event->family = family;
	PROBE_READ(port, &sk->sk_protocol);
	event->protocol = port;
	event->scope = sock_scope(sk);
	if (family != AF_INET && family != AF_INET6)
		return;
	PROBE_READ(event->state, &sk->__sk_common.skc_state);
	PROBE_READ(port, &sk->__sk_common.skc_dport);
	event->remote_port = (port & 0xff) << 8 | port >> 8;
	PROBE_READ(port, &sk->__sk_common.skc_num);
	event->local_port = port;
	if (family == AF_INET6) {
		PROBE_READ(event->remote, &sk->__sk_common.skc_v6_daddr);
		PROBE_READ(event->local, &sk->__sk_common.skc_v6_rcv_saddr);
	} else {
		bpf_probe_read_kernel(event->remote, 4, &sk->__sk_common.skc_daddr);
		bpf_probe_read_kernel(event->local, 4, &sk->__sk_common.skc_rcv_saddr);
	}
}

static __always_inline void describe_file(struct event *event, const struct file *file)
{
	const struct super_block *sb = NULL;
	const struct inode *inode = NULL;
	const struct sock *sk;

	event->file_mode = file_mode(file);
	PROBE_READ(inode, &file->f_inode);
	PROBE_READ(event->inode, &inode->i_ino);
	PROBE_READ(event->rdev, &inode->i_rdev);
	PROBE_READ(sb, &inode->i_sb);
	PROBE_READ(event->device, &sb->s_dev);
	read_name(event->name, sizeof(event->name), file);
	if (!is_socket(event->fd_type))
		return;
	sk = sock_of(socket_of(file));
	if (sk)
		describe_socket(event, sk);
}

/* An event of the current process; NULL, and counted, if it cannot be told. */
static __always_inline struct event *begin_event(u32 kind)
{
	const struct task_struct *task = this_task();
	struct event *event;

	if (is_excluded(current_process_key()))
		return NULL;
	if (!may_be_told(kind)) {
		leave_out_events(1);
		return NULL;
	}
	count_events(EVENTS_MADE, 1);
	event = events.ringbuf_reserve(sizeof(struct event));
	if (!event) {
		count_events(EVENTS_RING_FULL, 1);
		return NULL;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->time = bpf_ktime_get_ns();
	event->kind = kind;
	event->fd = NO_FD;
	event->fd_type = NO_FD_TYPE;
	event->tid = current_tid();
	describe_process(&event->process, task);
	describe_parents(event, task);
	describe_program(event, task);
	return event;
}

static __always_inline void end_event(struct event *event)
{
	events.ringbuf_submit(event, 0);
}

/* An event about a descriptor. */
static __always_inline void event_of_fd(u32 kind, u32 fd, const struct file *file, u32 fd_type,
					u32 birth)
{
	struct event *event = begin_event(kind);

	if (!event)
		return;
	event->fd = fd;
	event->fd_type = fd_type;
	event->birth = birth;
	describe_file(event, file);
	end_event(event);
}
#endif
