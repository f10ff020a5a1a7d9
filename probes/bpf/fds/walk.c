/* SPDX-License-Identifier: GPL-2.0-only */
/* Goes through the descriptors of a process, for fork, exec, exit, close_range and the census. */
#include "core/account.c"
#include "core/scratch.c"
#include "fds/lifecycle.c"

/*
 * What needs a loop runs in a program of its own, a few steps at a time, and calls itself for the
 * rest: the verifier walks a loop once for each state that leads to it, and gives up after a
 * million instructions.
 */
/* Walks that further programs of the same event go on with. */

/* Goes on in another program: returns only if that cannot run. */
static __always_inline void go_on(void *ctx, u32 tail_call)
{
	tail_calls.call(ctx, tail_call);
	lose(LOSS_TAIL_CALLS);
}

static __always_inline struct fd_walk *current_walk(void)
{
	u32 key = scratch_key();

	return fd_walks.lookup(&key);
}

static __always_inline struct fd_walk *new_walk(void)
{
#ifdef PREEMPTED
	struct fd_walk empty = {};
	u32 key = scratch_key();

	fd_walks.update(&key, &empty);
#endif
	return current_walk();
}

/* Sets out for the open descriptors from `first` to before `end`. */
static __always_inline void set_out(struct fd_walk *walk, const struct task_struct *task,
				    const struct files_struct *files, u32 first, u32 end)
{
	struct fdtable *table = NULL;
	u32 max_fds = 0;

	__builtin_memset(walk, 0, sizeof(*walk));
	PROBE_READ(table, &files->fdt);
	if (table) {
		PROBE_READ(max_fds, &table->max_fds);
		PROBE_READ(walk->fds, &table->fd);
		PROBE_READ(walk->open_fds, &table->open_fds);
	}
	walk->position = first;
	walk->end = end < max_fds ? end : max_fds;
	walk->task = (u64)task;
	walk->owner = process_key_of(task);
}

/* Begins a walk that ends before this program or those that it calls end. */
static __always_inline struct fd_walk *begin_walk(const struct task_struct *task,
						  const struct files_struct *files, u32 first,
						  u32 end)
{
	struct fd_walk *walk = new_walk();

	if (walk)
		set_out(walk, task, files, first, end);
	else
		lose(LOSS_SCRATCH);
	return walk;
}

/* `with_groups`: tell the groups of fanotify apart, as the census does. */
static __always_inline void walk_fd(struct fd_walk *walk, u32 fd, bool with_groups)
{
	struct fsnotify_group *group = NULL;
	struct file *file = NULL;
	u32 priority = 0, fd_type;

	PROBE_READ(file, walk->fds + fd * sizeof(file));
	if (!file)
		return;
	/* Through memory, or the verifier follows each fd type separately. */
	*(volatile u32 *)&walk->fd_type = file_fd_type(file);
	fd_type = *(volatile u32 *)&walk->fd_type;
	if (fd_type >= FD_TYPE_COUNT)
		return;
	walk->count[fd_type]++;
	if (!with_groups || fd_type != FD_TYPE_FANOTIFY)
		return;
	PROBE_READ(group, &file->private_data);
	PROBE_READ(priority, &group->priority);
	if (priority)
		walk->permission_groups++;
}

/* One descriptor, or the rest of a word of the bitmap if none is open there. */
static __always_inline void walk_step(struct fd_walk *walk, bool with_groups)
{
	u32 fd = walk->position;
	u64 word = 0, chosen = 0;

	PROBE_READ(word, walk->open_fds + fd / 64 * sizeof(word));
	if (walk->close_on_exec) {
		PROBE_READ(chosen, walk->close_on_exec + fd / 64 * sizeof(chosen));
		word &= chosen;
	}
	word >>= fd % 64;
	if (word & 1) {
		walk->position = fd + 1;
		walk_fd(walk, fd, with_groups);
	} else {
		walk->position = word ? fd + 1 : (fd | 63) + 1;
	}
}

/* At most so many steps; true if the program is to be called again for more. */
static __always_inline bool walk_on(struct fd_walk *walk, u32 steps, bool with_groups)
{
	u32 i;

	for (i = 0; i < steps; i++) {
		/* Not after each step: the verifier follows every way out of the loop. */
		if (i % 32 == 0 && walk->position >= walk->end)
			break;
		if (walk->position < walk->end)
			walk_step(walk, with_groups);
	}
	return walk->position < walk->end && ++walk->calls < FD_WALK_CALLS;
}

/* Tail call: goes through the descriptors of `current_walk()`. */
int on_walk_fds(void *ctx)
{
	struct fd_walk *walk = current_walk();

	if (!walk) {
		lose(LOSS_SCRATCH);
		return 0;
	}
	go_on(ctx, walk_on(walk, FDS_A_CALL, false) ? TAIL_CALL_WALK_FDS : TAIL_CALL_COUNT_FDS);
	return 0;
}

static __always_inline void account_fds(const struct task_struct *task, struct process_key owner,
					const u32 *counts, u32 account, u32 via)
{
	u32 fd_type;

	for (fd_type = 0; fd_type < FD_TYPE_COUNT; fd_type++) {
		if (!counts[fd_type])
			continue;
		count_flow(account, fd_type, counts[fd_type]);
		account_of(task, owner, account, fd_type, via, 0, counts[fd_type]);
	}
}

static __always_inline void mark_ended(struct process_key *key)
{
	struct process *process = processes.lookup(key);

	if (process)
		process->exited = 1;
}

#ifdef MODE_TRACEPOINT
/* Descriptors that are closed if the exec goes well, by the thread that asked for it. */

static __always_inline void keep_for_exec(const struct fd_walk *walk)
{
	u32 tid = current_tid();

	exec_fds.update(&tid, (struct fd_counts *)walk->count);
}
#else
static __always_inline void keep_for_exec(const struct fd_walk *walk)
{
}
#endif

static __always_inline void add_unfinished(u64 number)
{
	u32 zero = 0;
	u64 *count = unfinished_walks.lookup(&zero);

	if (count)
		__sync_fetch_and_add(count, number);
}

/* The programs that follow at the same event take up a walk that has more to see. */
static __always_inline void leave_unfinished(struct fd_walk *walk)
{
	__builtin_memset(walk->count, 0, sizeof(walk->count));
	walk->calls = 0;
	walk->unfinished = 1;
	add_unfinished(1);
}

/* Tail call: does with the descriptors that were found what they were looked up for. */
int on_count_fds(void *ctx)
{
	struct fd_walk *walk = current_walk();

	if (!walk) {
		lose(LOSS_SCRATCH);
		return 0;
	}
	if (walk->purpose == PURPOSE_EXEC) {
		keep_for_exec(walk);
	} else {
		account_fds((const struct task_struct *)walk->task, walk->owner, walk->count,
			    walk->account, walk->via);
		if (walk->purpose == PURPOSE_EXIT)
			mark_ended(&walk->owner);
	}
	if (walk->position >= walk->end)
		return 0;
	if (walk->purpose == PURPOSE_EXIT || walk->purpose == PURPOSE_FORK)
		leave_unfinished(walk);
	else
		lose(LOSS_FDS_UNSEEN);
	return 0;
}

/* The kernel lets one program call 33 others: the next at the same event sees what is left. */
static __always_inline void walk_further(void *ctx, u64 task)
{
	struct fd_walk *walk;
	u32 zero = 0;
	u64 *count = unfinished_walks.lookup(&zero);

	if (!count || !*count)
		return;
	walk = current_walk();
	if (!walk || !walk->unfinished || walk->task != task)
		return;
	walk->unfinished = 0;
	add_unfinished(-1);
	go_on(ctx, TAIL_CALL_WALK_FDS);
}

/* After the last of them, what is still left stays unseen. */
static __always_inline void end_walk(u64 task)
{
	struct fd_walk *walk;
	u32 zero = 0;
	u64 *count = unfinished_walks.lookup(&zero);

	if (!count || !*count)
		return;
	walk = current_walk();
	if (!walk || !walk->unfinished || walk->task != task)
		return;
	walk->unfinished = 0;
	add_unfinished(-1);
	lose(LOSS_FDS_UNSEEN);
}
