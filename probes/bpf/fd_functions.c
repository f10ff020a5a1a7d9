/* SPDX-License-Identifier: GPL-2.0-only */
/* The life of a descriptor where functions can be hooked: each is one of the kernel's own steps. */

#ifndef PF_EXITING
#define PF_EXITING 0x4
#endif
#ifndef PF_IO_WORKER
#define PF_IO_WORKER 0x10
#endif
#ifndef PF_KTHREAD
#define PF_KTHREAD 0x200000
#endif
#define PTRACE_ATTACH 16
#define PTRACE_SEIZE 0x4206
#define AF_UNSPEC 0

BPF_ARRAY(fd_calls, struct fd_call, SYSCALL_SLOTS);

static __always_inline u32 task_flags(void)
{
	u32 flags;

	TASK_READ(flags, &this_task()->flags);
	return flags;
}

/* What the system call under way means for descriptors that come and go; NULL if it is unknown. */
static __always_inline struct fd_call *fd_call(void)
{
	u32 number = current_syscall();

	if (number >= COMPAT_SLOTS)
		return NULL;
	if (is_compat())
		number += COMPAT_SLOTS;
	return fd_calls.lookup(&number);
}

static __always_inline u32 current_birth(void)
{
	u32 flags = task_flags();
	struct fd_call *call;

	if (flags & PF_IO_WORKER)
		return BIRTH_IO_URING;
	call = flags & PF_KTHREAD ? NULL : fd_call();
	return call ? call->birth : BIRTH_OTHER;
}

static __always_inline u32 current_cause(void)
{
	u32 flags = task_flags();
	struct fd_call *call;

	if (flags & PF_IO_WORKER)
		return CAUSE_IO_URING;
	call = flags & PF_KTHREAD ? NULL : fd_call();
	return call ? call->cause : CAUSE_OTHER;
}

/* void fd_install(unsigned int fd, struct file *file) */
ON_ENTRY(fd_install)
{
	fd_opened(arg[0], (const struct file *)arg[1], current_birth());
	return 0;
}

/* int do_dup2(struct files_struct *files, struct file *file, unsigned fd, unsigned flags) */
ON_RETURN(do_dup2)
{
	if ((s32)result >= 0)
		fd_opened(arg[2], (const struct file *)arg[1], current_birth());
	return 0;
}

/*
 * The descriptors of a process that exits are counted before; a close on behalf of others has
 * another owner.
 */
static __always_inline int closed(u64 file, u64 owner)
{
	if (owner == (u64)current_files() && !(task_flags() & PF_EXITING))
		fd_closed(file_fd_type((const struct file *)file), current_cause());
	return 0;
}

/* int filp_flush(struct file *file, fl_owner_t id) */
ON_ENTRY(filp_flush)
{
	return closed(arg[0], arg[1]);
}

/* int filp_close(struct file *file, fl_owner_t id) */
ON_ENTRY(filp_close)
{
	return closed(arg[0], arg[1]);
}

/* int __sys_connect(int fd, struct sockaddr *address, int length) */
ON_RETURN(__sys_connect)
{
	struct file *file = file_of(arg[0]);
	u16 family = AF_UNSPEC;

	if (!file || ((s32)result && (s32)result != -EINPROGRESS))
		return 0;
	bpf_probe_read_user(&family, sizeof(family), (void *)arg[1]);
	if (family != AF_UNSPEC)
		count_connection(file, CONNECTION_CONNECT_LOOPBACK);
	return 0;
}

/* int __scm_send(struct socket *sock, struct msghdr *message, struct scm_cookie *cookie) */
ON_RETURN(__scm_send)
{
	const struct scm_fp_list *passed = NULL;
	struct file *file;
	s16 count = 0;
	u32 i;

	if ((s32)result < 0)
		return 0;
	PROBE_READ(passed, &((const struct scm_cookie *)arg[2])->fp);
	PROBE_READ(count, &passed->count);
	for (i = 0; i < PASSED_FDS_A_CALL; i++) {
		if ((s32)i >= count)
			return 0;
		file = NULL;
		PROBE_READ(file, &passed->fp[i]);
		if (file)
			account_current(ACCOUNT_FD_PASSED, file_fd_type(file), PASSING_SENT, 0, 1);
	}
	if (count > PASSED_FDS_A_CALL)
		lose_many(LOSS_FDS_UNSEEN, count - PASSED_FDS_A_CALL);
	return 0;
}

/* long ptrace(long request, long pid, unsigned long, unsigned long), behind its saved registers */
#define ON_PTRACE(fn)                                                                     \
	ON_RETURN(fn)                                                                     \
	{                                                                                 \
		u32 request = syscall_entry((struct pt_regs *)arg[0]).first;              \
		if (!result && (request == PTRACE_ATTACH || request == PTRACE_SEIZE))     \
			account_current(ACCOUNT_DEBUG_ACCESS, FD_TYPE_OTHER,              \
					request == PTRACE_SEIZE ?                         \
						DEBUG_METHOD_PTRACE_SEIZE :               \
						DEBUG_METHOD_PTRACE_ATTACH,               \
					0, 1);                                            \
		return 0;                                                                 \
	}

#ifdef MACHINE_aarch64
ON_PTRACE(__arm64_sys_ptrace)
#else
ON_PTRACE(__x64_sys_ptrace)
ON_PTRACE(__ia32_compat_sys_ptrace)
#endif

/* When a thread began to wait for the answer of a fanotify permission group. */
BPF_TABLE("lru_hash", u32, u64, fanotify_starts, 4096);
BPF_PERCPU_ARRAY(fanotify_waits, u64, LATENCY_STRIDE);

/* FS_OPEN_PERM, FS_ACCESS_PERM, FS_OPEN_EXEC_PERM, FS_PRE_ACCESS */
#define FANOTIFY_PERMISSION_EVENTS 0x170000

static __always_inline void add_wait(u32 slot, u64 value)
{
	u64 *sum = fanotify_waits.lookup(&slot);

	if (sum)
		__sync_fetch_and_add(sum, value);
}

static __always_inline void fanotify_begins(u32 mask)
{
	u64 now = bpf_ktime_get_ns();
	u32 tid = current_tid();

	if (mask & FANOTIFY_PERMISSION_EVENTS)
		fanotify_starts.update(&tid, &now);
}

/* int fanotify_handle_event(struct fsnotify_group *group, u32 mask, ...): waits for the answer */
ON_CALL(fanotify_handle_event, fanotify_begins(arg[1]))
{
	u32 tid = current_tid(), bucket;
	u64 *started, took;

	if (!(arg[1] & FANOTIFY_PERMISSION_EVENTS))
		return 0;
	started = fanotify_starts.lookup(&tid);
	if (!started)
		return 0;
	took = bpf_ktime_get_ns() - *started;
	fanotify_starts.delete(&tid);
	bucket = took > 1 ? bpf_log2l(took - 1) : 0;
	add_wait(bucket < LATENCY_LAST_BUCKET ? bucket : LATENCY_LAST_BUCKET, 1);
	add_wait(LATENCY_STRIDE - 1, took);
	return 0;
}
