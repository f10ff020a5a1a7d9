/* SPDX-License-Identifier: GPL-2.0-only */
/* The processes that do I/O: their names, their cgroups, and their ends. */
#include "attach.c"
#include "core/account.c"
#include "core/in_flight.c"
#include "fds/walk.c"

/*
 * Names of cgroups, which give the units of processes. When a process ends, or moves to another
 * cgroup, the names of its cgroups are kept for user space: a cgroup can be removed as soon as its
 * last process has left it. For other processes user space asks. Cgroups without processes cost nothing.
 */
static __always_inline const struct kernfs_node *parent_of(const struct kernfs_node *node)
{
	const struct kernfs_node *parent = NULL;

#ifdef HAVE_kernfs_node___parent
	PROBE_READ(parent, &node->__parent);
#else
	PROBE_READ(parent, &node->parent);
#endif
	return parent;
}

/* Reads one cgroup and returns its parent. The root has no parent and an empty name. */
static __always_inline const struct kernfs_node *read_cgroup(struct cgroup_name *to,
							     const struct kernfs_node *node)
{
	const struct kernfs_node *parent = parent_of(node);
	const char *name = NULL;

	PROBE_READ(to->id, &node->id);
	to->parent = 0;
	if (parent)
		PROBE_READ(to->parent, &parent->id);
	PROBE_READ(name, &node->name);
	bpf_probe_read_kernel_str(to->name, sizeof(to->name), name);
	return parent;
}

/* Keeps the names of a cgroup and of its ancestors, up to one that is kept already. */
static __always_inline void note_cgroups(const struct kernfs_node *node)
{
	struct cgroup_name cgroup = {};
	u32 i;

	for (i = 0; i < CGROUPS_A_CALL && node; i++) {
		node = read_cgroup(&cgroup, node);
		if (cgroups.lookup(&cgroup.id))
			return;
		if (cgroups.update(&cgroup.id, &cgroup)) {
			lose(LOSS_CGROUPS_FULL);
			return;
		}
	}
}

/*
 * Not attached: fdscope.probes.read.cgroups runs it with a pidfd, and then with the address at
 * which the last run ended, for the next ancestors.
 */
int on_cgroups(struct bpf_raw_tracepoint_args *ctx)
{
	const struct kernfs_node *node = (const struct kernfs_node *)ctx->args[1];
	const struct task_struct *task = NULL;
	const struct file *pidfd;
	struct cgroup_chain *chain;
	u32 zero = 0, i;

	chain = cgroup_chain.lookup(&zero);
	if (!chain)
		return 0;
	if (!node) {
		pidfd = file_of(ctx->args[0]);
		task = pidfd ? leader_of(pid_behind(pidfd)) : NULL;
		if (!task)
			return 0;
		/* Of a process that has ended, any thread will do. */
		node = cgroup_node_of(living_thread(task) ?: task);
	}
	for (i = 0; i < CGROUPS_A_CALL && node; i++)
		node = read_cgroup(&chain->cgroup[i], node);
	chain->count = i;
	chain->next = (u64)node;
	return 1;
}

static __always_inline struct process *process_of(const struct task_struct *task)
{
	struct process_key key = process_key_of(task);

	return processes.lookup(&key);
}

/*
 * task_rename(struct task_struct *task, const char *name): called before the change, at exec, at
 * prctl, at a write to /proc/PID/task/TID/comm (by any thread of the process), and when a kernel
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
	/* Before the process is marked as ended: a reader of that mark finds the name. */
	note_cgroups(cgroup_node_of(this_task()));
	process = process_of(this_task());
	if (process) {
		describe(process, this_task());
#ifndef HAS_CELLS
		process->exited = 1;
#endif
	}
	if (WATCHING)
		watched_exited();
	fds_at_exit(ctx);
	return 0;
}

/*
 * cgroup_attach_task(struct cgroup *cgroup, const char *path, struct task_struct *task, bool
 * group): called after a thread, or all threads of its process, were moved in any hierarchy. The
 * task is rarely the current one.
 */
ON_TRACEPOINT(cgroup_attach_task)
{
	const struct task_struct *task = living_thread((const struct task_struct *)arg[2]);
	struct process *process;

	if (!task)
		return 0;
	process = process_of(task);
	if (!process)
		return 0;
	/* It may have moved on before user space asks for the names. */
	note_cgroups(cgroup_node_of(task));
	process->cgroup_id = cgroup_id_of(task);
	return 0;
}
