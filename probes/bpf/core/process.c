/* SPDX-License-Identifier: GPL-2.0-only */
/* Keeps what is known of the processes that did I/O up to date: name, cgroup, end. */
#include "attach/tracepoints.c"
#include "core/account.c"
#include "core/cgroups.c"
#include "core/pending.c"
#include "core/transfers.c"
#include "fds/tables.c"

static __always_inline struct process *process_of(const struct task_struct *task)
{
	struct process_key key = process_key_of(task);

	return processes.lookup(&key);
}

/*
 * task_rename(struct task_struct *task, const char *name): before the change, at exec, prctl, a
 * write to /proc/PID/task/TID/comm, which any thread of the process can make, and when a kernel
 * thread is created. A process has the name of its leader.
 */
ON_TRACEPOINT(task_rename)
{
	const struct task_struct *task = (const struct task_struct *)arg[0];
	const char *name = (const char *)arg[1];
	char comm[COMM_BYTES] = {};
	struct process *process;
	int tid = 0, tgid = 0;

	PROBE_READ(tid, &task->pid);
	PROBE_READ(tgid, &task->tgid);
	if (tid != tgid)
		return 0;
	process = process_of(task);
	if (!process)
		return 0;
	bpf_probe_read_kernel_str(comm, sizeof(comm), name);
	__builtin_memcpy(process->comm, comm, sizeof(comm));
	return 0;
}

/* sched_process_exit(struct task_struct *task): of each thread */
ON_TRACEPOINT(sched_process_exit)
{
	struct signal_struct *signal;
	struct process *process;
	int live;

	forget_pending();
	forget_calls();
	end_transfer();
	TASK_READ(signal, &this_task()->signal);
	TASK_READ(live, &signal->live.counter);
	if (live)
		return 0;
	/* Before the process is marked as ended: who reads that finds the name. */
	note_cgroups(cgroup_node_of(this_task()));
	process = process_of(this_task());
	if (process) {
		describe(process, this_task());
		process->exited = 1;
	}
	fds_at_exit(ctx);
	return 0;
}

/*
 * cgroup_attach_task(struct cgroup *cgroup, const char *path, struct task_struct *task, bool group):
 * after the move, in any hierarchy, of a thread or of all threads of its process. The task is rarely
 * the current one.
 */
ON_TRACEPOINT(cgroup_attach_task)
{
	const struct task_struct *task = living_thread((const struct task_struct *)arg[2]);
	struct process *process;

	if (!task)
		return 0;
	process = process_of(task);
	if (process)
		process->cgroup_id = cgroup_id_of(task);
	return 0;
}
