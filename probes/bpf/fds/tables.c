/* SPDX-License-Identifier: GPL-2.0-only */
/* Whole tables of descriptors: copied at fork, gone at exit. */
#include "attach/tracepoints.c"
#include "core/pending.c"
#include "fds/walk.c"

/* Of the last processes that ended: of its threads that end at once, one counts the descriptors. */

/*
 * sched_process_fork(struct task_struct *parent, struct task_struct *child): the table is copied,
 * unless both share one
 */
ON_TRACEPOINT(sched_process_fork)
{
	const struct task_struct *child = (const struct task_struct *)arg[1];
	struct files_struct *files = NULL;
	struct fd_walk *walk;

	PROBE_READ(files, &child->files);
	if (!files || files == current_files())
		return 0;
	walk = begin_walk(child, files, 0, NO_FD);
	if (!walk)
		return 0;
	walk->purpose = PURPOSE_FORK;
	walk->account = ACCOUNT_FD_OPENED;
	walk->via = BIRTH_FORK;
	go_on(ctx, TAIL_CALL_WALK_FDS);
	return 0;
}

/* The last thread of a process ends; its table goes with it, unless another process shares it. */
static __always_inline void fds_at_exit(void *ctx)
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
	go_on(ctx, TAIL_CALL_WALK_FDS);
}

/* The programs that go on with the walk of the one before them: FURTHER_WALKS of each event. */
#define ON_FURTHER(number)                                 \
	ON_TRACEPOINT(sched_process_fork_##number)         \
	{                                                  \
		walk_further(ctx, arg[1]);                 \
		return 0;                                  \
	}                                                  \
	ON_TRACEPOINT(sched_process_exit_##number)         \
	{                                                  \
		walk_further(ctx, (u64)this_task());       \
		return 0;                                  \
	}

FURTHER_WALKS

ON_TRACEPOINT(sched_process_fork_end)
{
	end_walk(arg[1]);
	return 0;
}

ON_TRACEPOINT(sched_process_exit_end)
{
	end_walk((u64)this_task());
	return 0;
}
