/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Watched processes: what each of their files does. A file is a struct file, as long as a process
 * holds descriptors of it. Its address is used again for others, so `born`, the time at which it was
 * first seen, tells them apart.
 */
#include "core/account.c"
#include "core/in_flight.c"

#ifdef SPOTLIGHT

static __always_inline bool is_watched(struct process_key owner)
{
	struct watch *watch = watched.lookup(&owner);

	return watch && watch->watchers & WATCHING;
}

/* Counts for the process what has no room under its files. */
static __always_inline void watched_loss(struct process_key owner, u64 operations, u64 bytes)
{
	struct watched_process *process = watched_processes.lookup(&owner);

	lose_many(LOSS_WATCHED_FULL, operations);
	if (process)
		add(&process->lost, operations, bytes);
}

/* Begins the life of a file in a process; `born` is part of its key from now on. */
static __always_inline struct watched_file *new_watched_file(struct file_id *id, u64 inode,
							     u32 fd_type)
{
	struct held_key key = {.file = id->file, .owner = id->owner};
	struct held held = {.born = bpf_ktime_get_ns(), .inode = inode};
	struct watched_file *file;
	const struct watched_file *empty;
	u32 zero = 0;

	id->born = held.born;
	empty = no_file.lookup(&zero);
	if (!empty || watched_files.update(id, (struct watched_file *)empty)) {
		lose(LOSS_WATCHED_FULL);
		return NULL;
	}
	if (held_files.update(&key, &held))
		lose(LOSS_WATCHED_FULL);
	file = watched_files.lookup(id);
	if (!file)
		return NULL;
	file->fd_type = fd_type;
	if (id->file)
		PROBE_READ(file->flags, &((const struct file *)id->file)->f_flags);
	if (inode)
		PROBE_READ(file->place.inode, &((const struct inode *)inode)->i_ino);
	return file;
}

/*
 * The file that the process holds now, with `born` in its id; NULL if it is not known. An unseen
 * reuse of the address shows in the inode.
 */
static __always_inline struct watched_file *held_file(struct file_id *id, u64 inode)
{
	struct held_key key = {.file = id->file, .owner = id->owner};
	struct held *held = held_files.lookup(&key);

	if (!held || held->inode != inode)
		return NULL;
	id->born = held->born;
	return watched_files.lookup(id);
}

#ifdef LATENCY

/* How long the call in flight has taken; 0 where it completes elsewhere. */
static __always_inline u64 time_in_call(u32 door)
{
	volatile u64 started = bpf_ktime_get_ns();
	u32 tid = current_tid();
	struct pending *then = NULL;

	if (door != DOOR_AIO && door != DOOR_IO_URING)
		then = pending.lookup(&tid);
	if (then)
		started = then->started;
	return bpf_ktime_get_ns() - started;
}
#else
static __always_inline u64 time_in_call(u32 door)
{
	return 0;
}
#endif

/* What a process does at the file layer, as account_file() counts it. */
static __always_inline void watched_operation(struct process_key owner, u32 account,
					      struct target target, u32 door, s64 result,
					      u64 operations)
{
	struct file_id id = {.file = target.file, .owner = owner};
	struct operation_key key = {.account = account, .door = door};
	struct file_amount *amount, zero = {};
	struct watched_file *file;
	u64 bytes = result;

	if (!is_watched(owner) || is_restart(result))
		return;
	if (result < 0) {
		key.error = -result < UNKNOWN_ERRNO ? -result : UNKNOWN_ERRNO;
		bytes = 0;
	}
	file = held_file(&id, target.inode);
	if (!file)
		file = new_watched_file(&id, target.inode, target.fd_type);
	if (file)
		file->last_used = bpf_ktime_get_ns();
	key.id = id;
	amount = file_amounts.lookup(&key);
	if (!amount && file) {
		file_amounts.insert(&key, &zero);
		amount = file_amounts.lookup(&key);
	}
	if (!amount) {
		watched_loss(owner, operations, bytes);
		return;
	}
	add(&amount->amount, operations, bytes);
	__sync_fetch_and_add(&amount->nanoseconds, time_in_call(door));
}

/* Sockets: whose the two ends are. */
static __always_inline void note_addresses(struct watched_file *to, const struct file *file)
{
	const struct sock *sk;

	if (!is_socket(to->fd_type))
		return;
	sk = sock_of(socket_of(file));
	if (sk)
		read_addresses(&to->addresses, sk);
}

static __always_inline struct watched_file *watched_file_of(struct file_id *id,
							    const struct file *file)
{
	u64 inode = inode_of(file);
	struct watched_file *known = held_file(id, inode);
	u32 in_memory;

	if (known)
		return known;
	return new_watched_file(id, inode, THROUGH_MEMORY(in_memory, file_fd_type(file)));
}

/* True for descriptors of a file that others may hold already. */
static __always_inline bool is_of_old_file(u32 birth)
{
	return birth == BIRTH_DUP || birth == BIRTH_SCM_RIGHTS || birth == BIRTH_PIDFD_GETFD;
}

static __always_inline void watched_opened(struct process_key owner, u32 fd,
					   const struct file *file, u32 fd_type, u32 birth)
{
	struct file_id id = {.file = (u64)file, .owner = owner};
	struct watched_file *known = NULL;
	u64 inode = inode_of(file);

	if (!is_watched(owner))
		return;
	if (is_of_old_file(birth))
		known = held_file(&id, inode);
	/* Passed again after it was closed: another time that the process holds it. */
	if (known && birth != BIRTH_DUP && known->opens && known->closes >= known->opens)
		known = NULL;
	if (!known) {
		known = new_watched_file(&id, inode, fd_type);
		if (!known)
			return;
		if (birth != BIRTH_DUP) {
			known->birth = birth;
			known->birth_seen = 1;
			known->fd = fd;
		}
	}
	__sync_fetch_and_add(&known->opens, 1);
	if (birth == BIRTH_ACCEPT)
		note_addresses(known, file);
}

/* A descriptor of the current process will be closed; the file is there still. */
static __always_inline void watched_closing(struct target *to, const struct file *file)
{
	struct process_key owner = current_process_key();
	struct file_id id = {.file = (u64)file, .owner = owner};
	struct watched_file *known;

	to->file = 0;
	if (!file || !is_watched(owner))
		return;
	known = watched_file_of(&id, file);
	if (!known)
		return;
	to->file = (u64)file;
	to->inode = inode_of(file);
	PROBE_READ(known->position, &file->f_pos);
	note_addresses(known, file);
}

/* It is closed: the file may be gone. */
static __always_inline void watched_closed(struct target closed, u32 cause)
{
	struct file_id id = {.file = closed.file, .owner = current_process_key()};
	struct watched_file *known = closed.file ? held_file(&id, closed.inode) : NULL;

	if (!known)
		return;
	known->closed_at = bpf_ktime_get_ns();
	known->cause = cause;
	__sync_fetch_and_add(&known->closes, 1);
}

static __always_inline void watched_connected(const struct file *file)
{
	struct process_key owner = current_process_key();
	struct file_id id = {.file = (u64)file, .owner = owner};
	struct watched_file *known;

	if (!file || !is_watched(owner))
		return;
	known = watched_file_of(&id, file);
	if (known)
		note_addresses(known, file);
}

static __always_inline void describe_watched(struct watched_process *process,
					     const struct task_struct *task)
{
	const struct task_struct *leader = NULL;

	PROBE_READ(leader, &task->group_leader);
	PROBE_READ(process->comm, &leader->comm);
}

/* Before the child's first instruction; a thread of the same process is no child. */
static __always_inline void watched_forked(const struct task_struct *child)
{
	struct process_key owner = current_process_key(), key = process_key_of(child);
	struct watched_process process = {.parent = owner, .born = bpf_ktime_get_ns()};
	struct watch *watch = watched.lookup(&owner), mine = {};

	if (!watch || key.tgid == owner.tgid)
		return;
	mine.followers = watch->followers & WATCHING;
	mine.watchers = mine.followers;
	if (!mine.followers)
		return;
	describe_watched(&process, child);
	if (watched_processes.update(&key, &process) || watched.update(&key, &mine))
		lose(LOSS_WATCHED_FULL);
}

/* The program of the process has changed. */
static __always_inline void watched_execed(void)
{
	struct process_key owner = current_process_key();
	struct watched_process *process = watched_processes.lookup(&owner);

	if (!process)
		return;
	process->execed = bpf_ktime_get_ns();
	describe_watched(process, this_task());
}

/* The last thread of the process ends. */
static __always_inline void watched_exited(void)
{
	struct process_key owner = current_process_key();
	struct watched_process *process = watched_processes.lookup(&owner);

	if (!process)
		return;
	describe_watched(process, this_task());
	process->ended = bpf_ktime_get_ns();
}

#endif
