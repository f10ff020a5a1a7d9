/* SPDX-License-Identifier: GPL-2.0-only */
/* Goes through the descriptors of a process, for fork, exec, exit, close_range and the census. */

/*
 * What needs a loop runs in a program of its own, a few steps at a time, and calls itself for the
 * rest: the verifier walks a loop once for each state that leads to it, and gives up after a
 * million instructions.
 */
BPF_PROG_ARRAY(tail_calls, TAIL_CALL_COUNT);
BPF_TABLE(SCRATCH, u32, struct fd_walk, fd_walks, SCRATCH_ENTRIES);

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
	return walk;
}

static __always_inline void walk_fd(struct fd_walk *walk, u32 fd)
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
	if (fd_type != FD_TYPE_FANOTIFY)
		return;
	PROBE_READ(group, &file->private_data);
	PROBE_READ(priority, &group->priority);
	if (priority)
		walk->permission_groups++;
}

/* One descriptor, or the rest of a word of the bitmap if none is open there. */
static __always_inline void walk_step(struct fd_walk *walk)
{
	u32 fd = walk->position;
	u64 word = 0, chosen = 0;

	PROBE_READ(word, walk->open_fds + fd / 64 * sizeof(word));
	if (walk->close_on_exec) {
		PROBE_READ(chosen, walk->close_on_exec + fd / 64 * sizeof(chosen));
		word &= chosen;
	}
	word >>= fd % 64;
	walk->position = word ? fd + 1 : (fd | 63) + 1;
	if (word & 1)
		walk_fd(walk, fd);
}

/* As many steps as a program may take; true if it is to be called again for more. */
static __always_inline bool walk_on(struct fd_walk *walk)
{
	u32 i;

	for (i = 0; i < FDS_A_CALL; i++)
		if (walk->position < walk->end)
			walk_step(walk);
	return walk->position < walk->end && walk->calls++ < FD_WALK_CALLS;
}

/* Tail call: goes through the descriptors of `current_walk()`. */
int on_walk_fds(void *ctx)
{
	struct fd_walk *walk = current_walk();

	if (!walk)
		return 0;
	if (walk_on(walk))
		tail_calls.call(ctx, TAIL_CALL_WALK_FDS);
	else
		tail_calls.call(ctx, TAIL_CALL_COUNT_FDS);
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
BPF_TABLE("lru_hash", u32, struct fd_counts, exec_fds, 4096);

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

/* Tail call: does with the descriptors that were found what they were looked up for. */
int on_count_fds(void *ctx)
{
	struct fd_walk *walk = current_walk();

	if (!walk)
		return 0;
	if (walk->position < walk->end)
		lose(LOSS_FDS_UNSEEN);
	if (walk->purpose == PURPOSE_EXEC) {
		keep_for_exec(walk);
		return 0;
	}
	account_fds((const struct task_struct *)walk->task, walk->owner, walk->count,
		    walk->account, walk->via);
	if (walk->purpose == PURPOSE_EXIT)
		mark_ended(&walk->owner);
	return 0;
}
