/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Walks the table of descriptors of a process, for fork, exec, exit, close_range and the census:
 * where the kernel has loops of any length in one of them, else in tail calls.
 */
#include "attach.c"
#include "core/account.c"
#include "core/in_flight.c"
#include "fds/lifecycle.c"

#ifdef HAS_LOOPS

static __always_inline void account_fds(const struct task_struct *task, struct process_key owner,
					const u32 *counts, u32 account, u32 via)
{
	u32 fd_type;
	u64 loop;

	note_process(owner, task);
	begin_loop(&loop, FD_TYPE_COUNT);
	while (next_step(&loop, &fd_type)) {
		if (fd_type >= FD_TYPE_COUNT || !counts[fd_type])
			continue;
		count_flow(account, fd_type, counts[fd_type]);
		account_of(NULL, owner, account, fd_type, via, 0, counts[fd_type]);
	}
	end_loop(&loop);
}
#else
static __always_inline void account_fds(const struct task_struct *task, struct process_key owner,
					const u32 *counts, u32 account, u32 via)
{
	u32 fd_type;

	note_process(owner, task);
	for (fd_type = 0; fd_type < FD_TYPE_COUNT; fd_type++) {
		if (!counts[fd_type])
			continue;
		count_flow(account, fd_type, counts[fd_type]);
		account_of(NULL, owner, account, fd_type, via, 0, counts[fd_type]);
	}
}
#endif

/* False for all but one of the threads of a process that end at once. */
static __always_inline bool ends_first(struct process_key key)
{
	u32 one = 1;
#ifdef HAS_CELLS
	struct process *process;

	note_process(key, this_task());
	process = processes.lookup(&key);
	if (process)
		return !compare_and_swap(&process->exited, 0, 1);
#endif
	return !ended_processes.insert(&key, &one);
}

static __always_inline void mark_ended(struct process_key *key)
{
#ifndef HAS_CELLS /* else it was marked before */
	struct process *process = processes.lookup(key);

	if (process)
		process->exited = 1;
#endif
}

#ifdef MODE_TRACEPOINT

static __always_inline void keep_for_exec(const u32 *counts)
{
	u32 tid = current_tid();

	exec_fds.update(&tid, (struct fd_counts *)counts);
}
#else
static __always_inline void keep_for_exec(const u32 *counts)
{
}
#endif

/* What the descriptors that were found are counted as. */
static __always_inline void walked(const struct task_struct *task, struct process_key owner,
				   const u32 *counts, u32 purpose, u32 account, u32 via)
{
	if (purpose == PURPOSE_EXEC) {
		keep_for_exec(counts);
		return;
	}
	account_fds(task, owner, counts, account, via);
	if (purpose == PURPOSE_EXIT)
		mark_ended(&owner);
}

/* Prepares a walk over the open descriptors from `first` up to `end` - 1. */
static __always_inline void prepare_walk(struct fd_walk *walk, const struct task_struct *task,
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

/* Counts a descriptor; its file, or NULL if none is open there. */
static __always_inline const struct file *walk_fd(struct fd_walk *walk, u32 fd)
{
	struct file *file = NULL;
	u32 fd_type;

	HELPER_READ(file, walk->fds + fd * sizeof(file));
	if (!file)
		return NULL;
	fd_type = THROUGH_MEMORY(walk->fd_type, walk_file_fd_type(file));
	if (fd_type >= FD_TYPE_COUNT)
		return NULL;
	walk->count[fd_type]++;
	return file;
}

/* Makes up to `steps` steps; true if the program must be called again. */
static __always_inline bool walk_on(struct fd_walk *walk, u32 steps,
				    void (*step)(struct fd_walk *walk))
{
	u32 i;

	for (i = 0; i < steps; i++) {
		/* Not after each step: the verifier follows every exit of the loop. */
		if (i % 32 == 0 && walk->position >= walk->end)
			break;
		if (walk->position < walk->end)
			step(walk);
	}
	return walk->position < walk->end && ++walk->calls < FD_WALK_CALLS;
}

#ifdef HAS_LOOPS

/* Counts the descriptors of a word of the bitmap, the first of them `base`. */
static __always_inline void find_in_word(u32 *counts, const char *fds, u32 base, u64 word)
{
	struct file *file;
	u32 bit, fd_type, in_memory;
	u64 loop;

	begin_loop(&loop, 64);
	while (next_step(&loop, &bit) && word >> (bit & 63)) {
		if (!(word >> (bit & 63) & 1))
			continue;
		file = NULL;
		PROBE_READ(file, fds + (u64)(base + bit) * sizeof(file));
		/* Else each of the counts on the stack would have a history of its own. */
		fd_type = THROUGH_MEMORY(in_memory, file ? loop_file_fd_type(file) : NO_FD_TYPE);
		if (fd_type < FD_TYPE_COUNT)
			counts[fd_type]++;
	}
	end_loop(&loop);
}

/* The bits of the descriptors from `first` up to `end` - 1, in the word whose first is `base`. */
static __always_inline u64 bits_between(u32 base, u32 first, u32 end)
{
	u64 bits = ~0ULL;

	if (first > base)
		bits = first - base < 64 ? bits << (first - base & 63) : 0;
	if (end - base < 64)
		bits &= (1ULL << (end - base & 63)) - 1;
	return bits;
}

/* Counts the open descriptors from `first` up to `end` - 1; for exec, those that it closes. */
static __always_inline void find_fds(u32 *counts, const struct files_struct *files, u32 first,
				     u32 end, u32 purpose)
{
	const char *fds = NULL, *open_fds = NULL, *close_on_exec = NULL;
	struct fdtable *table = NULL;
	u32 max_fds = 0, number;
	u64 loop, word, chosen;

	PROBE_READ(table, &files->fdt);
	if (!table)
		return;
	PROBE_READ(max_fds, &table->max_fds);
	PROBE_READ(fds, &table->fd);
	PROBE_READ(open_fds, &table->open_fds);
	PROBE_READ(close_on_exec, &table->close_on_exec);
	end = end < max_fds ? end : max_fds;
	begin_loop(&loop, (end + 63) / 64);
	while (next_step(&loop, &number) && number * 64 < end) {
		word = 0;
		PROBE_READ(word, open_fds + (u64)number * sizeof(word));
		if (purpose == PURPOSE_EXEC) {
			chosen = 0;
			PROBE_READ(chosen, close_on_exec + (u64)number * sizeof(chosen));
			word &= chosen;
		}
		word &= bits_between(number * 64, first, end);
		if (word)
			find_in_word(counts, fds, number * 64, word);
	}
	end_loop(&loop);
}

/*
 * Counts the descriptors of a task from `first` up to `end` - 1 as the purpose asks. The last thing
 * that a program does.
 */
static __always_inline void walk_fds(void *ctx, const struct task_struct *task,
				     const struct files_struct *files, u32 first, u32 end,
				     u32 purpose, u32 account, u32 via)
{
	struct fd_counts found = {};

	find_fds(found.count, files, first, end, purpose);
	walked(task, process_key_of(task), found.count, purpose, account, via);
}

#else /* HAS_LOOPS */

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

/* One descriptor, or the rest of a word of the bitmap if none is open there. */
static __always_inline void walk_step(struct fd_walk *walk)
{
	u32 fd = walk->position;
	u64 word = 0, chosen = 0;

	HELPER_READ(word, walk->open_fds + fd / 64 * sizeof(word));
	if (walk->close_on_exec) {
		HELPER_READ(chosen, walk->close_on_exec + fd / 64 * sizeof(chosen));
		word &= chosen;
	}
	word >>= fd % 64;
	if (word & 1) {
		walk->position = fd + 1;
		walk_fd(walk, fd);
	} else {
		walk->position = word ? fd + 1 : (fd | 63) + 1;
	}
}

/* Tail call: walks the descriptors of `current_walk()`. */
int on_walk_fds(void *ctx)
{
	struct fd_walk *walk = current_walk();

	if (!walk) {
		lose(LOSS_SCRATCH);
		return 0;
	}
	go_on(ctx, walk_on(walk, FDS_A_CALL, walk_step) ? TAIL_CALL_WALK_FDS : TAIL_CALL_COUNT_FDS);
	return 0;
}

static __always_inline void add_unfinished(u64 number)
{
	u32 zero = 0;
	u64 *count = unfinished_walks.lookup(&zero);

	if (count)
		__sync_fetch_and_add(count, number);
}

/* Leaves the rest of the walk to the next programs of the same event. */
static __always_inline void leave_unfinished(struct fd_walk *walk)
{
	__builtin_memset(walk->count, 0, sizeof(walk->count));
	walk->calls = 0;
	walk->unfinished = 1;
	add_unfinished(1);
}

/* Tail call: counts the descriptors that were found, as the purpose of the walk asks. */
int on_count_fds(void *ctx)
{
	struct fd_walk *walk = current_walk();

	if (!walk) {
		lose(LOSS_SCRATCH);
		return 0;
	}
	walked((const struct task_struct *)walk->task, walk->owner, walk->count, walk->purpose,
	       walk->account, walk->via);
	if (walk->position >= walk->end)
		return 0;
	if (walk->purpose == PURPOSE_EXIT || walk->purpose == PURPOSE_FORK)
		leave_unfinished(walk);
	else
		lose(LOSS_FDS_UNSEEN);
	return 0;
}

/* The unfinished walk of this task, taken over by the caller; NULL if there is none. */
static __always_inline struct fd_walk *take_unfinished(u64 task)
{
	struct fd_walk *walk;
	u32 zero = 0;
	u64 *count = unfinished_walks.lookup(&zero);

	if (!count || !*count)
		return NULL;
	walk = current_walk();
	if (!walk || !walk->unfinished || walk->task != task)
		return NULL;
	walk->unfinished = 0;
	add_unfinished(-1);
	return walk;
}

/* The kernel lets one program call 33 others: the next one at the same event continues. */
static __always_inline void walk_further(void *ctx, u64 task)
{
	if (take_unfinished(task))
		go_on(ctx, TAIL_CALL_WALK_FDS);
}

/* After the last of them, the rest is counted as not seen. */
static __always_inline void end_walk(u64 task)
{
	if (take_unfinished(task))
		lose(LOSS_FDS_UNSEEN);
}

/*
 * Counts the descriptors of a task from `first` up to `end` - 1 as the purpose asks. The last thing
 * that a program does.
 */
static __always_inline void walk_fds(void *ctx, const struct task_struct *task,
				     const struct files_struct *files, u32 first, u32 end,
				     u32 purpose, u32 account, u32 via)
{
	struct fd_walk *walk = new_walk();
	struct fdtable *table = NULL;

	if (!walk) {
		lose(LOSS_SCRATCH);
		return;
	}
	prepare_walk(walk, task, files, first, end);
	walk->purpose = purpose;
	walk->account = account;
	walk->via = via;
	if (purpose == PURPOSE_EXEC) {
		PROBE_READ(table, &files->fdt);
		PROBE_READ(walk->close_on_exec, &table->close_on_exec);
	}
	go_on(ctx, TAIL_CALL_WALK_FDS);
}

#endif /* HAS_LOOPS */

/* Whole tables: copied at fork, closed at exit. */

/*
 * sched_process_fork(struct task_struct *parent, struct task_struct *child): the table is copied,
 * unless both share one
 */
ON_TRACEPOINT(sched_process_fork)
{
	const struct task_struct *child = (const struct task_struct *)arg[1];
	struct files_struct *files = NULL;

	if (WATCHING)
		watched_forked(child);
	PROBE_READ(files, &child->files);
	if (!files || files == current_files())
		return 0;
	walk_fds(ctx, child, files, 0, NO_FD, PURPOSE_FORK, ACCOUNT_FD_OPENED, BIRTH_FORK);
	return 0;
}

/* The last thread of a process ends; its table is closed, unless another process shares it. */
static __always_inline void fds_at_exit(void *ctx)
{
	struct process_key key = current_process_key();
	struct files_struct *files = current_files();
	struct signal_struct *signal;
	int users, threads;

	if (!ends_first(key) || !files)
		return;
	TASK_READ(signal, &this_task()->signal);
	TASK_READ(threads, &signal->nr_threads);
	TASK_READ(users, &files->count.counter);
	if (users > threads)
		return;
	walk_fds(ctx, this_task(), files, 0, NO_FD, PURPOSE_EXIT, ACCOUNT_FD_CLOSED, CAUSE_EXIT);
}

#ifndef HAS_LOOPS

/* Programs that continue the walk of the one before: FURTHER_WALKS of them at each event. */
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
#endif
