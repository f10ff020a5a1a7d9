/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's structs from its installed headers, for kernels without BTF. */
#pragma once

#include <linux/version.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/cgroup-defs.h>
#include <linux/cred.h>
#include <linux/mm_types.h>
#include <linux/tty.h>
#include <linux/kernfs.h>
#include <linux/fs.h>
#include <linux/fsnotify_backend.h>
#include <linux/fdtable.h>
#include <linux/net.h>
#include <linux/netdevice.h>
#include <linux/pipe_fs_i.h>
#include <net/dst.h>
#include <net/sock.h>
#include <net/inet_connection_sock.h>
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 19, 0)
#include <linux/io_uring_types.h>
#else
/* Older headers hide it; the hooks that would read it are not attached on such kernels. */
struct io_kiocb {
	struct file *file;
	u8 opcode;
	const struct task_struct *task;
	s32 result;
};
struct io_submit_state {
	struct io_kiocb *compl_reqs[32];
	u32 compl_nr;
};
struct io_ring_ctx {
	struct io_submit_state submit_state;
};
#endif

/*
 * What follows is in no installed header: io_uring/net.c and fs/proc/internal.h. The BTF of Linux
 * 6.12 and 7.3 has the same.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 0, 0)
#define HAVE_io_sr_msg_msg_flags 1
struct io_sr_msg {
	struct file *file;
	void *buf;
	u32 len;
	u32 done_io;
	u32 msg_flags;
};
#endif
/* fs/mount.h, as in Linux 5.10 to 6.12 */
struct mount {
	char before[16];
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
};
#define OFFSET_mount_mnt 32
#define OFFSET_proc_inode_pid 0
#define OFFSET_proc_inode_vfs_inode 72
#define OFFSET_task_struct_pid_links __builtin_offsetof(struct task_struct, pid_links)
#define OFFSET_task_struct_thread_node __builtin_offsetof(struct task_struct, thread_node)
#define OFFSET_task_struct_ptrace_entry __builtin_offsetof(struct task_struct, ptrace_entry)

/* Linux kernel commit 633488947ef6 ("kernfs: Use RCU to access kernfs_node::parent.") (in v6.15) */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 15, 0)
#define HAVE_kernfs_node___parent 1
#endif

#ifndef MACHINE_aarch64
#define HAVE_thread_info_status 1
#endif
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
#define HAVE_io_kiocb_tctx 1
#endif
/*
 * Linux kernel commit c4bb964fa092 ("io_uring: add tracing for additional CQE32 fields") (in
 * v5.19)
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 19, 0)
#define IO_URING_COMPLETE_ARITY 4
/* Linux kernel commit 2946f08ae9ed ("io_uring: clean up cqe trace points") (in v6.13) */
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
#define IO_URING_COMPLETE_ARITY 3
#else
#define IO_URING_COMPLETE_ARITY 7
#endif
