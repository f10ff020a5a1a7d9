/* SPDX-License-Identifier: GPL-2.0-only */
/* The census: counts the open descriptors of one process, on demand. */
#include "core/account.c"
#include "fds/walk.c"

/*
 * The census has its own walk and its own array of programs. Its walk: a task that takes the CPU
 * from it may fork or exit. Its programs: those of an array are of one type, and these are run,
 * not attached.
 */

#ifdef OFFSET_proc_inode_pid

static __always_inline struct fd_walk *census_walk(void)
{
	u32 zero = 0;

	return census_walks.lookup(&zero);
}

static __always_inline u32 fd_type_in(const struct fd_walk *walk, u32 fd)
{
	struct file *file = NULL;
	u64 open = 0;

	PROBE_READ(open, walk->open_fds);
	if (open >> fd & 1)
		PROBE_READ(file, walk->fds + fd * sizeof(file));
	return file ? file_fd_type(file) : NO_FD_TYPE;
}

/* Writes the answer for fdscope.probes.read.census. */
static __always_inline void write_census(const struct fd_walk *walk)
{
	const struct task_struct *task = (const struct task_struct *)walk->task;
	struct signal_struct *signal = NULL;
	u32 zero = 0, fd;
	struct census *found = census.lookup(&zero);

	if (!found)
		return;
	found->owner = walk->owner;
	describe(&found->process, task);
	PROBE_READ(signal, &task->signal);
	PROBE_READ(found->limit, &signal->rlim[RLIMIT_NOFILE].rlim_cur);
	found->position = walk->position;
	found->end = walk->end;
	found->permission_groups = walk->permission_groups;
	for (fd = 0; fd <= STDIO_ERROR; fd++)
		found->stdio[fd] = fd_type_in(walk, fd);
	__builtin_memcpy(found->count, walk->count, sizeof(found->count));
}

/* The leader of the process whose /proc/PID is behind this descriptor; NULL if it has ended. */
static __always_inline const struct task_struct *leader_of_directory(u32 fd)
{
	const struct file *directory = file_of(fd);
	const struct pid *pid = NULL;
	const char *inode = NULL;

	if (!directory)
		return NULL;
	PROBE_READ(inode, &directory->f_inode);
	PROBE_READ(pid, inode - OFFSET_proc_inode_vfs_inode + OFFSET_proc_inode_pid);
	return leader_of(pid);
}

/*
 * Not attached: fdscope.probes.read.census runs it with a descriptor of /proc/PID and the number of
 * the first descriptor to look at.
 */
int on_census(struct bpf_raw_tracepoint_args *ctx)
{
	const struct task_struct *leader = leader_of_directory(ctx->args[0]), *task;
	struct files_struct *files = NULL;
	struct fd_walk *walk = census_walk();

	if (!leader || !walk)
		return 0;
	task = living_thread(leader);
	if (task)
		PROBE_READ(files, &task->files);
	/*
	 * If all threads are exiting there is no table: its descriptors were counted as closed. A
	 * task that exits while its table is read, which no lock prevents, gives a wrong count
	 * of a process that is gone at the next one.
	 */
	prepare_walk(walk, task ?: leader, files, ctx->args[1], NO_FD);
	census_calls.call(ctx, CENSUS_CALL_WALK);
	return 0;
}

/* Tail call: walks the descriptors. */
int on_census_walk(struct bpf_raw_tracepoint_args *ctx)
{
	struct fd_walk *walk = census_walk();

	if (!walk)
		return 0;
	if (walk_on(walk, CENSUS_FDS_A_CALL, true))
		census_calls.call(ctx, CENSUS_CALL_WALK);
	else
		census_calls.call(ctx, CENSUS_CALL_WRITE);
	return 0;
}

/* Tail call: writes what was found. */
int on_census_write(struct bpf_raw_tracepoint_args *ctx)
{
	struct fd_walk *walk = census_walk();

	if (!walk)
		return 0;
	write_census(walk);
	return 1;
}
#endif
