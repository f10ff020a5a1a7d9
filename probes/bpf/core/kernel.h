/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reading kernel memory. A header, because BCC rewrites pointer accesses in the main text only:
 * here `task->files` stays a plain load, which the verifier allows through a BTF pointer.
 */
#pragma once

#include "core/loads.h"

#ifdef RDONLY_CAST
#define TASK_READ(destination, pointer) \
	((destination) = *(__typeof__(pointer))rdonly_cast(pointer, TYPE_cpumask))
#elif defined(HAVE_TASK_BTF)
#define TASK_READ(destination, pointer) ((destination) = *(pointer))
#else
#define TASK_READ(destination, pointer) PROBE_READ(destination, pointer)
#endif

/*
 * Stores a value in `place` and loads it again: from then on the verifier no longer knows which
 * constant it is, and follows what comes next once instead of once for each. A barrier_var() would
 * not do: it hides the value from the compiler only. What a program has on its own stack the verifier
 * remembers, unless it is loaded like other memory of the kernel.
 */
#ifdef RDONLY_CAST
#define THROUGH_MEMORY(place, value)                                             \
	({                                                                       \
		*(volatile u32 *)&(place) = (value);                             \
		*(const u32 *)rdonly_cast((const void *)&(place), TYPE_cpumask); \
	})
#else
#define THROUGH_MEMORY(place, value)             \
	({                                       \
		*(volatile u32 *)&(place) = (value); \
		*(volatile u32 *)&(place);           \
	})
#endif

#ifndef PF_EXITING /* the kernel's own headers have the rest too */
#define PF_EXITING 0x4
#define PF_IO_WORKER 0x10
#define PF_KTHREAD 0x200000

#define FMODE_READ 0x1
#define FMODE_WRITE 0x2
#define FMODE_PATH 0x4000
#endif

static __always_inline struct task_struct *this_task(void)
{
#ifdef HAVE_TASK_BTF
	return bpf_get_current_task_btf();
#else
	return (struct task_struct *)bpf_get_current_task();
#endif
}

static __always_inline u32 current_tgid(void)
{
	return bpf_get_current_pid_tgid() >> 32;
}

static __always_inline u32 current_tid(void)
{
	return bpf_get_current_pid_tgid();
}

/* `start` tells the processes apart that had the same tgid, to about a millisecond. */
static __always_inline struct process_key current_process_key(void)
{
	struct process_key key = {.tgid = current_tgid()};
	struct task_struct *leader;
	u64 start;

	TASK_READ(leader, &this_task()->group_leader);
	TASK_READ(start, &leader->start_boottime);
	key.start = start >> 20;
	return key;
}

/* Like current_process_key(), for any task. */
static __always_inline struct process_key process_key_of(const struct task_struct *task)
{
	struct task_struct *leader = NULL;
	struct process_key key = {};
	u64 start = 0;

	PROBE_READ(key.tgid, &task->tgid);
	PROBE_READ(leader, &task->group_leader);
	PROBE_READ(start, &leader->start_boottime);
	key.start = start >> 20;
	return key;
}

static __always_inline bool is_exiting(const struct task_struct *task)
{
	u32 flags = 0;

	PROBE_READ(flags, &task->flags);
	return flags & PF_EXITING;
}

/* How many threads are looked at: one that exits is in the list only for a moment. */
#define THREADS_LOOKED_AT 64

/*
 * A thread of the process that is not exiting: `task` itself if possible. A process can live on
 * without its leader, and then only its other threads have descriptors and change their cgroup.
 * NULL if none of the first threads is alive.
 */
static __always_inline const struct task_struct *living_thread(const struct task_struct *task)
{
	const struct signal_struct *signal = NULL;
	const struct list_head *node = NULL;
	u32 i;

	if (!is_exiting(task))
		return task;
	PROBE_READ(signal, &task->signal);
	PROBE_READ(node, &signal->thread_head.next);
	for (i = 0; i < THREADS_LOOKED_AT; i++) {
		if (!node || node == &signal->thread_head)
			return NULL;
		task = (const struct task_struct *)((const char *)node -
						    OFFSET_task_struct_thread_node);
		if (!is_exiting(task))
			return task;
		PROBE_READ(node, &node->next);
	}
	return NULL;
}

#define PIDTYPE_TGID 1

/* The leader of the process with this number; NULL if it has ended. */
static __always_inline const struct task_struct *leader_of(const struct pid *pid)
{
	const char *task = NULL;

	PROBE_READ(task, &pid->tasks[PIDTYPE_TGID]);
	if (!task)
		return NULL;
	task -= OFFSET_task_struct_pid_links + PIDTYPE_TGID * 2 * sizeof(void *);
	return (const struct task_struct *)task;
}

/*
 * The directory of the process in the unified hierarchy (version 2), whatever other hierarchies the
 * host has. Threads can be in threaded cgroups below it; the domain is the same for all of them.
 */
static __always_inline const struct kernfs_node *cgroup_node_of(const struct task_struct *task)
{
	const struct css_set *threads = NULL, *domain = NULL;
	const struct kernfs_node *node = NULL;
	const struct cgroup *cgroup = NULL;

	PROBE_READ(threads, &task->cgroups);
	PROBE_READ(domain, &threads->dom_cset);
	PROBE_READ(cgroup, &domain->dfl_cgrp);
	PROBE_READ(node, &cgroup->kn);
	return node;
}

static __always_inline u64 cgroup_id_of(const struct task_struct *task)
{
	u64 id = 0;

	PROBE_READ(id, &cgroup_node_of(task)->id);
	return id;
}

static __always_inline struct files_struct *current_files(void)
{
	struct files_struct *files;

	TASK_READ(files, &this_task()->files);
	return files;
}

/* True if another thread can close a descriptor while this one uses it. */
static __always_inline bool fds_are_shared(void)
{
	struct files_struct *files = current_files();
	int users;

	TASK_READ(users, &files->count.counter);
	return users > 1;
}

/*
 * True if another thread may have used this thread's descriptors since its call began. A thread
 * that has ended meanwhile has added its running time to that of the process.
 */
static __always_inline bool fds_were_shared(void)
{
	struct signal_struct *signal;
	u64 of_ended_threads;
	int threads;

	if (fds_are_shared())
		return true;
	TASK_READ(signal, &this_task()->signal);
	TASK_READ(threads, &signal->nr_threads);
	TASK_READ(of_ended_threads, &signal->sum_sched_runtime);
	return threads > 1 || of_ended_threads;
}

static __always_inline u32 task_flags(void)
{
	u32 flags;

	TASK_READ(flags, &this_task()->flags);
	return flags;
}

/*
 * The file behind a descriptor of the current process, whose table is `files`; NULL if there is none.
 * Programs run under rcu_read_lock(), so the table stays readable if another thread replaces it.
 */
static __always_inline struct file *file_in(struct files_struct *files, u32 fd)
{
	struct file *file = NULL;
	struct fdtable *table;
	struct file **fds;
	u32 max_fds;

	TASK_READ(table, &files->fdt);
	TASK_READ(max_fds, &table->max_fds);
	TASK_READ(fds, &table->fd);
	if (fd < max_fds)
		PROBE_READ(file, &fds[fd]);
	return file;
}

/* The same. Since Linux 6.4 the verifier looks for each pointer that a program takes out of the
 * current task through all names of the kernel's types: a loop takes its table before. */
static __always_inline struct file *file_of(u32 fd)
{
	return file_in(current_files(), fd);
}

static __always_inline u64 inode_of(const struct file *file)
{
	u64 inode = 0;

	if (file)
		PROBE_READ(inode, &file->f_inode);
	return inode;
}

/* A fanotify group that is asked before a file is opened can stop all others. */
static __always_inline bool is_permission_group(const struct file *file)
{
	const struct fsnotify_group *group = NULL;
	u32 priority = 0;

	PROBE_READ(group, &file->private_data);
	PROBE_READ(priority, &group->priority);
	return priority;
}

static __always_inline u32 file_mode(const struct file *file)
{
	u32 mode = 0;

	PROBE_READ(mode, &file->f_mode);
	return mode;
}

static __always_inline bool fd_is_writable(u32 fd)
{
	struct file *file = file_of(fd);

	return file && file_mode(file) & FMODE_WRITE;
}

/*
 * True if the current call is one of a 32-bit program of x86, with its own numbers and registers.
 * Those of arm64 are not followed: see syscall_entry().
 */
static __always_inline bool is_compat(void)
{
#ifdef HAVE_thread_info_status
	u32 status;

	TASK_READ(status, &this_task()->thread_info.status);
	return status & 2; /* TS_COMPAT */
#else
	return false;
#endif
}

/*
 * The first argument of a system call and its number, as saved on entry and still there on exit.
 * The number is NO_SYSCALL for 32-bit programs on arm64, whose calls have other numbers.
 */
struct syscall_entry {
	u64 first;
	u64 number;
};

#define NO_SYSCALL 0xffffffff

/* The number alone, whatever program made the call. */
static __always_inline u32 syscall_number(const struct pt_regs *regs)
{
	s32 number = NO_SYSCALL;

#ifdef MACHINE_aarch64
	PROBE_READ(number, &regs->syscallno);
#else
	PROBE_READ(number, &regs->orig_ax);
#endif
	return number;
}

#ifdef MACHINE_aarch64
#ifndef PSR_MODE32_BIT
#define PSR_MODE32_BIT 0x10
#endif

static __always_inline struct syscall_entry syscall_entry(const struct pt_regs *regs)
{
	struct syscall_entry entry = {.number = NO_SYSCALL};
	s32 number = -1;
	u64 pstate = 0;

	PROBE_READ(entry.first, &regs->orig_x0);
	PROBE_READ(number, &regs->syscallno);
	PROBE_READ(pstate, &regs->pstate);
	if (number >= 0 && !(pstate & PSR_MODE32_BIT))
		entry.number = number;
	return entry;
}

/* Argument `index` of 1 to 3. */
static __always_inline u64 syscall_argument(const struct pt_regs *regs, u32 index)
{
	u64 value = 0;

	PROBE_READ(value, &regs->regs[index & 3]);
	return value;
}
#else
static __always_inline struct syscall_entry syscall_entry(const struct pt_regs *regs)
{
	struct syscall_entry entry = {};

#ifdef RDONLY_CAST
	PROBE_READ(entry.first, &regs->di);
	PROBE_READ(entry.number, &regs->orig_ax);
#else
	/* di and orig_ax are neighbours */
	PROBE_READ(entry, &regs->di);
#endif
	if (is_compat())
		PROBE_READ(entry.first, &regs->bx);
	return entry;
}

/* Argument `index` of 1 to 3. */
static __always_inline u64 syscall_argument(const struct pt_regs *regs, u32 index)
{
	const unsigned long *from = is_compat() ? &regs->si : &regs->r10;
	u64 value = 0;

	if (index == 1)
		from = is_compat() ? &regs->cx : &regs->si;
	else if (index == 2)
		from = &regs->dx;
	PROBE_READ(value, from);
	return value;
}
#endif

#ifndef THREAD_SIZE
#define THREAD_SIZE (4 * 4096) /* arch/x86/include/asm/page_64_types.h, without KASAN */
#endif

/* The registers of the current task in user mode; NULL where the kernel does not tell. */
static __always_inline const struct pt_regs *user_registers(void)
{
#ifdef HAVE_TASK_PT_REGS
	return (const struct pt_regs *)bpf_task_pt_regs(this_task());
#elif !defined(MACHINE_aarch64)
	char *stack;

	TASK_READ(stack, &this_task()->stack);
	return (const struct pt_regs *)(stack + THREAD_SIZE) - 1;
#else
	return NULL;
#endif
}

/* The system call in flight, or the last one. */
static __always_inline struct syscall_entry current_syscall(void)
{
#if defined(HAVE_TASK_PT_REGS) || !defined(MACHINE_aarch64)
	return syscall_entry(user_registers());
#else
	return (struct syscall_entry){.number = NO_SYSCALL};
#endif
}
