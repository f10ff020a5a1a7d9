/* SPDX-License-Identifier: GPL-2.0-only */
/* The file layer in fentry and kprobe mode: each door is some functions of the kernel. */
#include "attach.c"
#include "core/account.c"
#include "core/in_flight.c"
#include "fds/functions.c"
#include "fds/lifecycle.c"

/* Doors read_write and vectored: these functions have no nested callers. */
static __always_inline int file_operation(u32 call, u32 account, u32 door, u64 file, s64 result)
{
	finish(call, account, target_of((struct file *)file), door, result, 1);
	return 0;
}

/* ssize_t vfs_read(struct file *file, char *buf, size_t count, loff_t *pos) */
ON_FIRST(vfs_read, 0)
{
	return file_operation(CALL_vfs_read, ACCOUNT_FILE_READ, DOOR_READ_WRITE, arg[0], result);
}

/* ssize_t vfs_write(struct file *file, const char *buf, size_t count, loff_t *pos) */
ON_FIRST(vfs_write, 0)
{
	return file_operation(CALL_vfs_write, ACCOUNT_FILE_WRITE, DOOR_READ_WRITE, arg[0], result);
}

/* ssize_t vfs_readv(struct file *, const struct iovec *, unsigned long, loff_t *, rwf_t) */
ON_FIRST(vfs_readv, 0)
{
	return file_operation(CALL_vfs_readv, ACCOUNT_FILE_READ, DOOR_VECTORED, arg[0], result);
}

/* ssize_t vfs_writev(struct file *, const struct iovec *, unsigned long, loff_t *, rwf_t) */
ON_FIRST(vfs_writev, 0)
{
	return file_operation(CALL_vfs_writev, ACCOUNT_FILE_WRITE, DOOR_VECTORED, arg[0], result);
}

/* Door socket_call, one operation a message: sendmmsg and recvmmsg call these in a loop. */
/* `flags`: MSG_* of a receive. */
static __always_inline u32 message_account(u32 account, u64 flags, u32 fd_type)
{
	return account == ACCOUNT_FILE_READ ? receive_account(flags, fd_type, true) : account;
}

static __always_inline int fd_operation(u32 call, u32 account, u64 flags, u64 fd, s32 result)
{
	struct pending *then = remembered(call);
	struct target target;

	if (result == -EBADF || result == -ENOTSOCK) {
		fd_refused(BIRTH_OTHER, result);
	} else {
		target = target_at_return(then, 0, fd);
		finish(call, message_account(account, flags, target.fd_type), target,
		       DOOR_SOCKET_CALL, result, 1);
	}
	used(then);
	return 0;
}

/* The file of a socket that the kernel's function was given in its place. */
static __always_inline void note_socket_file(struct target *target, const struct socket *sock)
{
	const struct file *file = NULL;

	PROBE_READ(file, &sock->file);
	target->file = (u64)file;
	target->inode = inode_of(file);
}

/* Counts one message; returns the fd type of the socket. */
static __always_inline u32 message_operation(u32 call, u32 account, u64 flags, u64 sock, s32 result)
{
	struct target target = socket_target((struct socket *)sock);

	if (WATCHING)
		note_socket_file(&target, (struct socket *)sock);
	finish(call, message_account(account, flags, target.fd_type), target, DOOR_SOCKET_CALL,
	       result, 1);
	return target.fd_type;
}

/* int __sys_sendto(int fd, void *buf, size_t len, unsigned flags, struct sockaddr *, int) */
ON_FIRST_FD(__sys_sendto, 0)
{
	return fd_operation(CALL___sys_sendto, ACCOUNT_FILE_WRITE, 0, arg[0], result);
}

/* int __sys_recvfrom(int fd, void *buf, size_t size, unsigned flags, struct sockaddr *, int *) */
ON_FIRST_FD(__sys_recvfrom, arg[3])
{
	return fd_operation(CALL___sys_recvfrom, ACCOUNT_FILE_READ, arg[3], arg[0], result);
}

/*
 * int ___sys_sendmsg(struct socket *, struct user_msghdr *, struct msghdr *, unsigned flags, ...)
 */
ON_RETURN(___sys_sendmsg)
{
	u32 fd_type = message_operation(CALL____sys_sendmsg, ACCOUNT_FILE_WRITE, 0, arg[0], result);

	if (is_unix_socket(fd_type))
		message_ends(arg[2], fd_type, result);
	return 0;
}

/*
 * int ___sys_recvmsg(struct socket *, struct user_msghdr *, struct msghdr *, unsigned flags, int)
 */
ON_FIRST(___sys_recvmsg, arg[3])
{
	message_operation(CALL____sys_recvmsg, ACCOUNT_FILE_READ, arg[3], arg[0], result);
	return 0;
}

/*
 * Doors sendfile, splice and copy_file_range: each reads one file and writes another. The functions
 * that they call inside have other callers too, and are not hooked.
 */
static __always_inline void two_files(u32 call, u32 read_as, u64 in, u64 out, s64 result)
{
	struct target target = target_of((struct file *)in);

	target.fd_type = THROUGH_MEMORY(target.unused, target.fd_type);
	finish(call, read_as, target, DOOR_SPLICE, result, 1);
	target = target_of((struct file *)out);
	target.fd_type = THROUGH_MEMORY(target.unused, target.fd_type);
	finish(call, ACCOUNT_FILE_WRITE, target, DOOR_SPLICE, result, 1);
}

static __always_inline void two_fds(u32 call, u32 door, u32 in, u32 out, s64 result)
{
	struct pending *then = remembered(call);
	volatile s64 hidden = result;

	if (result == -EBADF && (lacks_file(then, 0, in) || lacks_file(then, 1, out))) {
		fd_refused(BIRTH_OTHER, result);
	} else {
		finish(call, ACCOUNT_FILE_READ, target_at_return(then, 0, in), door, result, 1);
		/* Like THROUGH_MEMORY(): the verifier forgets what the first side found out. */
		finish(call, ACCOUNT_FILE_WRITE, target_at_return(then, 1, out), door, hidden, 1);
	}
	used(then);
}

static __always_inline void begin_sendfile(const u64 *arg)
{
	remember(CALL_do_sendfile, arg[1], arg[0]);
	begin_transfer(target_of_fd(arg[0]).fd_type);
}

/* ssize_t do_sendfile(int out_fd, int in_fd, loff_t *ppos, size_t count, loff_t max) */
ON_CALL(do_sendfile, begin_sendfile(arg))
{
	two_fds(CALL_do_sendfile, DOOR_SENDFILE, arg[1], arg[0], result);
	end_transfer();
	return 0;
}

static __always_inline void begin_splice(const u64 *arg)
{
	remember(CALL_do_splice, NO_FD, NO_FD);
	begin_transfer(target_of((struct file *)arg[2]).fd_type);
}

/* ssize_t do_splice(struct file *in, loff_t *, struct file *out, loff_t *, size_t, unsigned) */
ON_CALL(do_splice, begin_splice(arg))
{
	two_files(CALL_do_splice, ACCOUNT_FILE_READ, arg[0], arg[2], result);
	end_transfer();
	return 0;
}

/* ssize_t do_tee(struct file *in, struct file *out, size_t len, unsigned flags) */
ON_RETURN(do_tee)
{
	two_files(CALL_do_tee, ACCOUNT_FILE_DUPLICATE, arg[0], arg[1], result);
	return 0;
}

/*
 * long vmsplice(int fd, const struct iovec *, unsigned long, unsigned), given its saved registers
 */
#define ON_VMSPLICE(fn)                                                                    \
	ON_FD_RETURN(fn, FIRST(arg[0]), FIRST(arg[0]))                                     \
	{                                                                                  \
		u32 fd = FIRST(arg[0]);                                                    \
		u32 account = fd_is_writable(fd) ? ACCOUNT_FILE_WRITE : ACCOUNT_FILE_READ; \
		return one_fd(CALL_##fn, account, DOOR_SPLICE, fd, result);                \
	}

/* ssize_t copy_file_range(int in, loff_t *, int out, loff_t *, size_t, unsigned), likewise */
#define ON_COPY_FILE_RANGE(fn)                                                             \
	ON_FD_RETURN(fn, FIRST(arg[0]), THIRD(arg[0]))                                     \
	{                                                                                  \
		two_fds(CALL_##fn, DOOR_COPY_FILE_RANGE, FIRST(arg[0]), THIRD(arg[0]),     \
			result);                                                           \
		return 0;                                                                  \
	}

#ifdef MACHINE_aarch64
ON_VMSPLICE(__arm64_sys_vmsplice)
ON_COPY_FILE_RANGE(__arm64_sys_copy_file_range)
#else
ON_VMSPLICE(__x64_sys_vmsplice)
ON_COPY_FILE_RANGE(__x64_sys_copy_file_range)
#endif

/*
 * Doors directory_call and mqueue_call: system calls of one kind of file, which do not call the
 * functions above.
 */
/* long getdents(unsigned fd, void *entries, unsigned count), given its saved registers */
#define ON_GETDENTS(fn)                                                                  \
	ON_FD_RETURN(fn, FIRST(arg[0]), NO_FD)                                           \
	{                                                                                \
		return one_fd(CALL_##fn, ACCOUNT_FILE_READ, DOOR_DIRECTORY_CALL,         \
			      FIRST(arg[0]), result);                                    \
	}

#ifdef MACHINE_aarch64
ON_GETDENTS(__arm64_sys_getdents64)
#else
ON_GETDENTS(__x64_sys_getdents64)
#endif

/* int do_mq_timedsend(mqd_t, const char *, size_t length, unsigned, struct timespec64 *) */
ON_FD_RETURN(do_mq_timedsend, arg[0], NO_FD)
{
	return one_fd(CALL_do_mq_timedsend, ACCOUNT_FILE_WRITE, DOOR_MQUEUE_CALL, arg[0],
		      (s32)result ? (s32)result : arg[2]);
}

/* int do_mq_timedreceive(mqd_t, char *, size_t, unsigned *, struct timespec64 *) */
ON_FD_RETURN(do_mq_timedreceive, arg[0], NO_FD)
{
	return one_fd(CALL_do_mq_timedreceive, ACCOUNT_FILE_READ, DOOR_MQUEUE_CALL, arg[0],
		      (s32)result);
}

/*
 * Door aio: an operation can complete anywhere, even in an interrupt, so its process and account
 * are kept from its start.
 */
static __always_inline void aio_begin(u64 kiocb, u32 account)
{
	struct process_key owner = current_process_key();
	struct aio operation = {.owner = owner, .account = account};
	struct file *file = NULL;

	PROBE_READ(file, &((struct kiocb *)kiocb)->ki_filp);
	operation.target = target_of(file);
	note_process(owner, this_task());
	if (aio_operations.update(&kiocb, &operation))
		lose(LOSS_AIO_EVENTS);
}

static __always_inline int aio_end(u64 kiocb, s64 result)
{
	struct aio *operation = aio_operations.lookup(&kiocb);

	if (!operation)
		return 0;
	account_file(NULL, operation->owner, operation->account, operation->target,
		     DOOR_AIO, result, 1);
	aio_operations.delete(&kiocb);
	return 0;
}

/* int aio_read(struct kiocb *req, const struct iocb *, bool vectored, bool compat) */
ON_CALL(aio_read, aio_begin(arg[0], ACCOUNT_FILE_READ))
{
	return (s32)result ? aio_end(arg[0], (s32)result) : 0;
}

/* int aio_write(struct kiocb *req, const struct iocb *, bool vectored, bool compat) */
ON_CALL(aio_write, aio_begin(arg[0], ACCOUNT_FILE_WRITE))
{
	return (s32)result ? aio_end(arg[0], (s32)result) : 0;
}

/* void aio_complete_rw(struct kiocb *kiocb, long res[, long res2]) */
ON_ENTRY(aio_complete_rw)
{
	return aio_end(arg[0], arg[1]);
}
