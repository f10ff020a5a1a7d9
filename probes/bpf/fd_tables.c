/* SPDX-License-Identifier: GPL-2.0-only */
/* Whole tables of descriptors: copied at fork, gone at exit, looked at by the census. */

/* Of the last processes that ended: of its threads that end at once, one counts the descriptors. */
BPF_TABLE("lru_hash", struct process_key, u32, ended_processes, 4096);

/*
 * sched_process_fork(struct task_struct *parent, struct task_struct *child): the table is copied,
 * unless both share one
 */
int on_sched_process_fork(struct bpf_raw_tracepoint_args *ctx)
{
	const struct task_struct *child = (const struct task_struct *)ctx->args[1];
	struct files_struct *files = NULL;
	struct fd_walk *walk;

	PROBE_READ(files, &child->files);
	if (!files || files == current_files())
		return 0;
	walk = begin_walk(child, files, 0, NO_FD);
	if (!walk)
		return 0;
	walk->purpose = PURPOSE_ACCOUNT;
	walk->account = ACCOUNT_FD_OPENED;
	walk->via = BIRTH_FORK;
	tail_calls.call(ctx, TAIL_CALL_WALK_FDS);
	return 0;
}

/* The last thread of a process ends; its table goes with it, unless another process shares it. */
static __always_inline void fds_at_exit(struct bpf_raw_tracepoint_args *ctx)
{
	struct process_key key = current_process_key();
	struct files_struct *files = current_files();
	struct signal_struct *signal;
	struct fd_walk *walk;
	int users, threads;
	u32 one = 1;

	if (!files || ended_processes.insert(&key, &one))
		return;
	TASK_READ(signal, &this_task()->signal);
	TASK_READ(threads, &signal->nr_threads);
	TASK_READ(users, &files->count.counter);
	if (users > threads)
		return;
	walk = begin_walk(this_task(), files, 0, NO_FD);
	if (!walk)
		return;
	walk->purpose = PURPOSE_EXIT;
	walk->account = ACCOUNT_FD_CLOSED;
	walk->via = CAUSE_EXIT;
	tail_calls.call(ctx, TAIL_CALL_WALK_FDS);
}

#ifdef OFFSET_proc_inode_pid
#define PIDTYPE_TGID 1
#ifndef PF_EXITING
#define PF_EXITING 0x4
#endif

/*
 * Not attached: `probes.census` runs it with a descriptor of /proc/PID and the first descriptor of
 * that process to look at.
 */
int on_census(struct bpf_raw_tracepoint_args *ctx)
{
	const struct file *directory = file_of(ctx->args[0]);
	const char *inode = NULL, *task = NULL;
	struct files_struct *files = NULL;
	const struct pid *pid = NULL;
	struct fd_walk *walk;
	u32 flags = 0;

	if (!directory)
		return 0;
	PROBE_READ(inode, &directory->f_inode);
	PROBE_READ(pid, inode - OFFSET_proc_inode_vfs_inode + OFFSET_proc_inode_pid);
	PROBE_READ(task, &pid->tasks[PIDTYPE_TGID]);
	if (!task)
		return 0;
	task -= OFFSET_task_struct_pid_links + PIDTYPE_TGID * 2 * sizeof(void *);
	PROBE_READ(files, &((const struct task_struct *)task)->files);
	walk = begin_walk((const struct task_struct *)task, files, ctx->args[1], NO_FD);
	if (!walk)
		return 0;
	walk->purpose = PURPOSE_CENSUS;
	/* What exits was counted as closed. */
	PROBE_READ(flags, &((const struct task_struct *)task)->flags);
	if (flags & PF_EXITING)
		walk->end = 0;
	tail_calls.call(ctx, TAIL_CALL_WALK_FDS);
	return 0;
}
#endif
