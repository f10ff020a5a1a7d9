/* SPDX-License-Identifier: GPL-2.0-only */
/* What is unusual enough for the journal. */
#include "core/account.c"
#include "journal/event.c"

#ifdef JOURNAL

#define MEM_MAJOR 1
#define MISC_MAJOR 10
#define SCSI_GENERIC_MAJOR 21

/* Descriptors that lead to the network. */
static __always_inline bool is_of_network(u32 fd_type)
{
	return is_socket(fd_type) && !is_unix_socket(fd_type) && fd_type != FD_TYPE_NETLINK;
}

/* Memory and ports of the machine (/dev/mem, kmem, port), disks below any filesystem. */
static __always_inline bool is_unusual_device(u32 fd_type, const struct file *file)
{
	const struct inode *inode = NULL;
	u32 rdev = 0, minor;

	if (fd_type == FD_TYPE_BLOCK)
		return true;
	PROBE_READ(inode, &file->f_inode);
	PROBE_READ(rdev, &inode->i_rdev);
	minor = rdev & 0xfffff;
	return rdev >> 20 == SCSI_GENERIC_MAJOR ||
	       (rdev >> 20 == MEM_MAJOR && (minor == 1 || minor == 2 || minor == 4));
}

/*
 * True if no process of this name has lately done the same, in its cgroup or to the same socket:
 * `what` is a kind of event, and a number that tells those of the kind apart.
 */
static __always_inline bool is_first_of_name(u64 place, u32 kind, u32 number)
{
	struct event_name name = {.place = place, .what = (u64)kind << 32 | number};
	const struct task_struct *leader;
	u32 one = 1;

	TASK_READ(leader, &this_task()->group_leader);
	PROBE_READ(name.comm, &leader->comm);
	return !event_names.lookup(&name) && !event_names.update(&name, &one);
}

static __always_inline u64 inode_number(const struct file *file)
{
	const struct inode *inode = NULL;
	u64 number = 0;

	PROBE_READ(inode, &file->f_inode);
	PROBE_READ(number, &inode->i_ino);
	return number;
}

/* The kind of event that a new descriptor is, by its type; EVENT_NONE for most. */
static __always_inline u32 event_kind_of(const struct file *file, u32 fd_type)
{
	switch (fd_type) {
	case FD_TYPE_PACKET:
	case FD_TYPE_RAW:
		return EVENT_CAPTURE_SOCKET;
	case FD_TYPE_BLOCK:
	case FD_TYPE_CHARACTER:
		return is_unusual_device(fd_type, file) ? EVENT_DEVICE_OPENED : EVENT_NONE;
	case FD_TYPE_FANOTIFY:
		if (!is_permission_group(file))
			return EVENT_NONE;
		break;
	case FD_TYPE_IO_URING:
	case FD_TYPE_BPF:
	case FD_TYPE_USERFAULTFD:
		break;
	default:
		return EVENT_NONE;
	}
	if (!is_first_of_name(cgroup_id_of(this_task()), EVENT_SPECIAL_FD, fd_type))
		return EVENT_NONE;
	return EVENT_SPECIAL_FD;
}

/* The process behind a pidfd. */
static __always_inline const struct task_struct *process_behind(u32 pidfd)
{
	const struct file *file = file_of(pidfd);

	return file && file_fd_type(file) == FD_TYPE_PIDFD ? leader_of(pid_behind(file)) : NULL;
}

/* pidfd_getfd() has copied a descriptor of another process. */
static __always_inline void event_fd_copied(u32 fd, const struct file *file, u32 fd_type)
{
	const struct task_struct *from = process_behind(current_syscall().first);
	struct event *event = begin_event(EVENT_DEBUG_ACCESS);

	if (!event)
		return;
	event->fd = fd;
	event->fd_type = fd_type;
	event->birth = BIRTH_PIDFD_GETFD;
	event->method = DEBUG_METHOD_PIDFD_GETFD;
	describe_file(event, file);
	if (from)
		describe_process(&event->other, from);
	end_event(event);
}

/* True if the giver is `known`, and has the user and the cgroup of the current process. */
static __always_inline bool is_like_current(const struct event_process *giver, bool known)
{
	return known && giver->cgroup_id == cgroup_id_of(this_task()) &&
	       giver->uid == (u32)bpf_get_current_uid_gid();
}

/*
 * A descriptor was received from a process of another user or cgroup, or from an unknown one. A
 * pidfd may come from the kernel, which made it for the receiver.
 */
static __always_inline void event_fd_received(u32 fd, const struct file *file, u32 fd_type,
					      const struct event_process *giver)
{
	struct event *event;

	if (fd_type == FD_TYPE_PIDFD && !giver->tgid)
		return;
	event = begin_event(EVENT_FD_PASSED);
	if (!event)
		return;
	event->fd = fd;
	event->fd_type = fd_type;
	event->birth = BIRTH_SCM_RIGHTS;
	event->other = *giver;
	describe_file(event, file);
	end_event(event);
}

#ifdef MODE_TRACEPOINT

/* The process at the other end of the socket that the current call receives from. */
static __always_inline bool find_peer(struct event_process *peer)
{
	const struct file *receiver = file_of(current_syscall().first);
	const struct task_struct *task;
	const struct pid *pid = NULL;
	const struct sock *sk;

	if (!receiver || !is_unix_socket(file_fd_type(receiver)))
		return false;
	sk = sock_of(socket_of(receiver));
	PROBE_READ(pid, &sk->sk_peer_pid);
	task = pid ? leader_of(pid) : NULL;
	if (!task)
		return false;
	describe_process(peer, task);
	return true;
}

/* See on_received(). */
static __always_inline void event_fd_given(u32 fd, const struct file *file, u32 fd_type)
{
}

static __always_inline void note_giver(const struct file *file)
{
}
#else

/* Who passed the file on: while it is in a message it stays open, and its address stands for it. */
static __always_inline void event_fd_given(u32 fd, const struct file *file, u32 fd_type)
{
	u64 key = (u64)file;
	struct event_process *found = event_givers.lookup(&key), giver = {};

	if (found) {
		giver = *found;
		event_givers.delete(&key);
	}
	if (!is_like_current(&giver, found))
		event_fd_received(fd, file, fd_type, &giver);
}

/* The current process passes a file on. */
static __always_inline void note_giver(const struct file *file)
{
	struct event_process giver = {};
	u64 key = (u64)file;

	describe_process(&giver, this_task());
	event_givers.update(&key, &giver);
}
#endif

/* A descriptor of the current process was opened. */
static __always_inline void event_fd_opened(u32 fd, const struct file *file, u32 fd_type,
					    u32 birth)
{
	u32 kind = EVENT_NONE;

	switch (birth) {
	case BIRTH_SCM_RIGHTS:
		event_fd_given(fd, file, fd_type);
		return;
	case BIRTH_PIDFD_GETFD:
		event_fd_copied(fd, file, fd_type);
		return;
	case BIRTH_DUP:
		if (fd <= STDIO_ERROR && is_of_network(fd_type) &&
		    is_first_of_name(inode_number(file), EVENT_STDIO_SOCKET, fd))
			kind = EVENT_STDIO_SOCKET;
		break;
	default:
		kind = event_kind_of(file, fd_type);
	}
	if (kind != EVENT_NONE)
		event_of_fd(kind, fd, file, fd_type, birth);
}

/* A call was refused because no descriptor was free (EMFILE), or no file (ENFILE). */
static __always_inline void event_fd_refused(u32 birth, s64 result)
{
	struct event *event = begin_event(EVENT_FD_REFUSED);

	if (!event)
		return;
	event->birth = birth;
	event->error = -result;
	end_event(event);
}

/* ptrace() has attached the current process to another one: the first of those it traces. */
static __always_inline void event_debugged(u32 method)
{
	struct event *event = begin_event(EVENT_DEBUG_ACCESS);
	const char *first = NULL;

	if (!event)
		return;
	event->method = method;
	PROBE_READ(first, &this_task()->ptraced.next);
	if (first && first != (const char *)&this_task()->ptraced)
		describe_process(&event->other, (const struct task_struct *)(
				 first - OFFSET_task_struct_ptrace_entry));
	end_event(event);
}

/* True if a tool that connects programs to sockets has started the current process. */
static __always_inline bool is_started_by_relay(void)
{
	const struct task_struct *parent = NULL;
	u64 name = 0;

	PROBE_READ(parent, &this_task()->real_parent);
	PROBE_READ(name, &parent->comm);
	switch (name) {
	case NAME8('s', 'o', 'c', 'a', 't', 0, 0, 0):
	case NAME8('n', 'c', 'a', 't', 0, 0, 0, 0):
	case NAME8('n', 'c', 0, 0, 0, 0, 0, 0):
		return true;
	}
	return false;
}

/* True if it is unusual that a program has this file as its standard input. */
static __always_inline bool is_unusual_input(const struct file *file, u32 fd_type)
{
	return is_of_network(fd_type) || (is_unix_socket(fd_type) && is_started_by_relay());
}

/* A program was executed: from a memfd, or with a network socket as its standard input. */
static __always_inline void event_executed(void)
{
	struct file *program = NULL, *input = file_of(STDIO_INPUT);
	struct mm_struct *mm;
	u32 fd_type;

	TASK_READ(mm, &this_task()->mm);
	PROBE_READ(program, &mm->exe_file);
	if (program && file_fd_type(program) == FD_TYPE_MEMFD)
		event_of_fd(EVENT_MEMFD_EXECUTED, NO_FD, program, FD_TYPE_MEMFD, BIRTH_OTHER);
	fd_type = input ? file_fd_type(input) : NO_FD_TYPE;
	if (input && is_unusual_input(input, fd_type) &&
	    is_first_of_name(inode_number(input), EVENT_EXEC_ON_SOCKET, 0))
		event_of_fd(EVENT_EXEC_ON_SOCKET, STDIO_INPUT, input, fd_type, BIRTH_OTHER);
}
#else
static __always_inline void event_fd_opened(u32 fd, const struct file *file, u32 fd_type,
					    u32 birth)
{
}

static __always_inline void event_fd_refused(u32 birth, s64 result)
{
}

static __always_inline void event_debugged(u32 method)
{
}

static __always_inline void event_executed(void)
{
}

static __always_inline void note_giver(const struct file *file)
{
}
#endif
