/* SPDX-License-Identifier: GPL-2.0-only */
/* The lifecycle of a descriptor in fentry and kprobe mode: the kernel's own functions. */
#include "attach.c"
#include "core/account.c"
#include "fds/lifecycle.c"
#include "fds/walk.c"

/* What the system call in flight means for descriptors; NULL if it is unknown. */
static __always_inline struct fd_call *fd_call(void)
{
	struct syscall_entry entry = current_syscall();
	u32 slot = entry.number;

	if (slot >= COMPAT_SLOTS)
		return NULL;
	if (is_compat())
		slot += COMPAT_SLOTS;
	if (slot == COMPAT_SLOTS + SOCKETCALL_NUMBER)
		slot = SOCKETCALL_SLOTS + (u32)entry.first;
	return fd_calls.lookup(&slot);
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

/*
 * True if no descriptor, or no file, was free. The result can be a pointer: the verifier allows no
 * arithmetic with it, so the compiler must not make one test of two.
 */
static __always_inline bool found_none_free(s64 result)
{
	if (result == -EMFILE)
		return true;
	asm volatile("" : "+r"(result));
	return result == -ENFILE;
}

/* No new descriptor: the process, or the host, has as many open files as it may have. */
static __always_inline int no_free_fd(s64 result)
{
	u32 birth;

	if (found_none_free(result) && !(task_flags() & PF_KTHREAD)) {
		birth = current_birth();
		fd_refused(birth, result);
		event_fd_refused(birth, result);
	}
	return 0;
}

/* void fd_install(unsigned int fd, struct file *file) */
ON_ENTRY(fd_install)
{
	fd_opened(ctx, arg[0], (const struct file *)arg[1], current_birth());
	if (WATCHING)
		watched_named(arg[0], (const struct file *)arg[1]);
	return 0;
}

/* int alloc_fd(unsigned start, unsigned end, unsigned flags): the number for a new descriptor */
ON_RESULT(alloc_fd)
{
	return no_free_fd((s32)result);
}

/*
 * int __alloc_fd(struct files_struct *, unsigned start, unsigned end, unsigned flags): before
 * Linux kernel commit aa384d10f3d0 ("file: Merge __alloc_fd into alloc_fd") (in v5.11)
 */
ON_RESULT(__alloc_fd)
{
	return no_free_fd((s32)result);
}

/* struct file *alloc_empty_file(int flags, const struct cred *cred): what a descriptor refers to */
ON_RESULT(alloc_empty_file)
{
	return no_free_fd(result);
}

/* int do_dup2(struct files_struct *files, struct file *file, unsigned fd, unsigned flags) */
ON_RETURN(do_dup2)
{
	if ((s32)result >= 0)
		fd_opened(ctx, arg[2], (const struct file *)arg[1], current_birth());
	return 0;
}

/*
 * Not for a process that exits: its descriptors were counted by the walk. Not for another owner:
 * the kernel closes that file for others.
 */
static __always_inline int closed(u64 file, u64 owner)
{
	struct target target = {};
	u32 cause;

	if (owner != (u64)current_files() || task_flags() & PF_EXITING)
		return 0;
	cause = current_cause();
	fd_closed(file_fd_type((const struct file *)file), cause);
	if (WATCHING) {
		watched_closing(&target, (const struct file *)file);
		watched_closed(target, cause);
	}
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
	s32 error = result;

	if (error == -EBADF || error == -ENOTSOCK)
		fd_refused(BIRTH_OTHER, error);
	else
		connected(file_of(arg[0]), arg[1], error);
	return 0;
}

/*
 * int __scm_send(struct socket *sock, struct msghdr *message, struct scm_cookie *cookie): the
 * message has these descriptors. Whether they are passed on is not known before it is sent.
 */
ON_RETURN(__scm_send)
{
	const struct scm_fp_list *passed = NULL;
	struct fd_counts none = {}, *counts;
	u64 message = arg[1];
	struct file *file;
	u32 i, fd_type, in_memory;
	s16 count = 0;

	if ((s32)result < 0)
		return 0;
	PROBE_READ(passed, &((const struct scm_cookie *)arg[2])->fp);
	PROBE_READ(count, &passed->count);
	if (count <= 0)
		return 0;
	fds_in_message.update(&message, &none);
	counts = fds_in_message.lookup(&message);
	if (!counts)
		return 0;
	for (i = 0; i < PASSED_FDS_A_CALL; i++) {
		if ((s32)i >= count)
			return 0;
		file = NULL;
		PROBE_READ(file, &passed->fp[i]);
		if (file)
			note_giver(file);
		fd_type = THROUGH_MEMORY(in_memory, file ? file_fd_type(file) : NO_FD_TYPE);
		if (fd_type < FD_TYPE_COUNT)
			counts->count[fd_type]++;
	}
	if (count > PASSED_FDS_A_CALL)
		lose_many(LOSS_FDS_UNSEEN, count - PASSED_FDS_A_CALL);
	return 0;
}

/* Sending a message has ended, well or not. */
static __always_inline void message_ends(u64 message, u32 fd_type, s32 result)
{
	struct fd_counts *counts = fds_in_message.lookup(&message);

	if (!counts)
		return;
	if (takes_fds_along(fd_type, result))
		account_fds(this_task(), current_process_key(), counts->count, ACCOUNT_FD_PASSED,
			    PASSING_SENT);
	fds_in_message.delete(&message);
}

/* long ptrace(long request, long pid, unsigned long, unsigned long), given its saved registers */
#define ON_PTRACE(fn)                                                                     \
	ON_RETURN(fn)                                                                     \
	{                                                                                 \
		if (!result)                                                              \
			debugged(FIRST(arg[0]));                                          \
		return 0;                                                                 \
	}

#ifdef MACHINE_aarch64
ON_PTRACE(__arm64_sys_ptrace)
#else
ON_PTRACE(__x64_sys_ptrace)
#endif
