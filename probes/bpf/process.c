/* SPDX-License-Identifier: GPL-2.0-only */
/* Keeps what is known of the processes that did I/O up to date: name, cgroup, end. */

static __always_inline struct process *current_process(void)
{
	struct process_key key = current_process_key();

	return processes.lookup(&key);
}

/* task_rename(struct task_struct *task, const char *name): at exec and prctl, before the change */
ON_TRACEPOINT(task_rename)
{
	const char *name = (const char *)arg[1];
	struct process *process = current_process();
	char comm[COMM_BYTES] = {};

	if (!process || current_tid() != current_tgid())
		return 0;
	bpf_probe_read_kernel_str(comm, sizeof(comm), name);
	__builtin_memcpy(process->comm, comm, sizeof(comm));
	return 0;
}

/* sched_process_exit(struct task_struct *task): of each thread */
ON_TRACEPOINT(sched_process_exit)
{
	struct process *process = current_process();
	struct signal_struct *signal;
	int live;

	forget_pending();
	forget_calls();
	end_transfer();
	TASK_READ(signal, &this_task()->signal);
	TASK_READ(live, &signal->live.counter);
	if (live)
		return 0;
	if (process) {
		describe(process, this_task());
		process->exited = 1;
	}
	fds_at_exit(ctx);
	return 0;
}

/*
 * cgroup_attach_task(struct cgroup *cgroup, const char *path, struct task_struct *task, bool group):
 * the task is rarely the current one
 */
ON_TRACEPOINT(cgroup_attach_task)
{
	struct cgroup *cgroup = (struct cgroup *)arg[0];
	struct task_struct *task = (struct task_struct *)arg[2];
	struct process_key key = process_key_of(task);
	struct process *process = processes.lookup(&key);
	struct kernfs_node *node = NULL;

	if (!process)
		return 0;
	PROBE_READ(node, &cgroup->kn);
	PROBE_READ(process->cgroup_id, &node->id);
	return 0;
}
