/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Names of cgroups, from which the units of processes are told: those of a process that ends are
 * kept for user space, which asks for those of a living one. So a cgroup can be removed as soon as
 * its last process has ended, and cgroups without processes cost nothing.
 */
#include "core/account.c"


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

/* The root has no parent and an empty name. Answers the parent. */
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

/* Keeps the names of a cgroup and of those that it is in, until one that is kept already. */
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

/* The number behind a pidfd: pidfs since 6.9, an anonymous inode before. */
static __always_inline const struct pid *pid_behind(const struct file *pidfd)
{
	const struct inode *inode = NULL;
	const struct pid *pid = NULL;
	u16 mode = 0;

	PROBE_READ(inode, &pidfd->f_inode);
	PROBE_READ(mode, &inode->i_mode);
	if ((mode & S_IFMT) == S_IFREG)
		PROBE_READ(pid, &inode->i_private);
	else
		PROBE_READ(pid, &pidfd->private_data);
	return pid;
}

/*
 * Not attached: `fdscope.probes.read.cgroups` runs it with a pidfd, and then with the address at which the
 * answer before ended, for the cgroups further out.
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
		/* Of a process that has ended the leader tells as well as any. */
		node = cgroup_node_of(living_thread(task) ?: task);
	}
	for (i = 0; i < CGROUPS_A_CALL && node; i++)
		node = read_cgroup(&chain->cgroup[i], node);
	chain->count = i;
	chain->next = (u64)node;
	return 1;
}
