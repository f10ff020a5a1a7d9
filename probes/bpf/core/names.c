/* SPDX-License-Identifier: GPL-2.0-only */
/* What counters are about, noted when the first of them is made: processes and filesystems. */

static __always_inline void lose_many(u32 loss, u64 events)
{
	u64 *count = losses.lookup(&loss);

	if (count)
		__sync_fetch_and_add(count, events);
}

static __always_inline void lose(u32 loss)
{
	lose_many(loss, 1);
}

static __always_inline bool is_excluded(struct process_key owner)
{
#ifdef EXCLUDED_TGID
	return owner.tgid == EXCLUDED_TGID;
#else
	return false;
#endif
}

/* `task`: any thread that has not ended; a leader that has ended keeps its last cgroup. */
static __always_inline void describe(struct process *process, const struct task_struct *task)
{
	const struct task_struct *leader = NULL;

	PROBE_READ(leader, &task->group_leader);
	PROBE_READ(process->comm, &leader->comm);
	process->cgroup_id = cgroup_id_of(task);
}

static __always_inline void note_process(struct process_key key, const struct task_struct *task)
{
	struct process process = {};

	/*
	 * Decided by the compiler: the verifier would follow both branches wherever a task is
	 * given.
	 */
	if (__builtin_constant_p(!task) && !task)
		return;
	if (is_excluded(key) || processes.lookup(&key))
		return;
	describe(&process, task);
	if (processes.update(&key, &process))
		lose(LOSS_PROCESSES_FULL);
}

static __always_inline void note_filesystem(u64 type)
{
	struct filesystem filesystem = {};
	const char *name = NULL;

	if (filesystems.lookup(&type))
		return;
	PROBE_READ(name, &((struct file_system_type *)type)->name);
	bpf_probe_read_kernel_str(filesystem.name, sizeof(filesystem.name), name);
	filesystems.update(&type, &filesystem);
}
