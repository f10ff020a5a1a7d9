/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The file layer's doors sendfile, splice and copy_file_range: each reads one file and writes
 * another. What they call inside is also called by others, and is not hooked.
 */
#include "attach/returns.c"
#include "core/account.c"
#include "core/pending.c"
#include "core/transfers.c"

static __always_inline void two_files(u32 call, u32 read_as, u64 in, u64 out, s64 result)
{
	finish(call, read_as, target_of((struct file *)in), DOOR_SPLICE, result, 1);
	finish(call, ACCOUNT_FILE_WRITE, target_of((struct file *)out), DOOR_SPLICE, result, 1);
}

static __always_inline void two_fds(u32 call, u32 door, u32 in, u32 out, s64 result)
{
	struct pending *then = remembered(call);

	if (result == -EBADF && (lacks_file(then, 0, in) || lacks_file(then, 1, out))) {
		fd_refused(BIRTH_OTHER, result);
	} else {
		finish(call, ACCOUNT_FILE_READ, target_at_return(then, 0, in), door, result, 1);
		finish(call, ACCOUNT_FILE_WRITE, target_at_return(then, 1, out), door, result, 1);
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

/* long vmsplice(int fd, const struct iovec *, unsigned long, unsigned), behind its saved registers */
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
ON_VMSPLICE(__ia32_sys_vmsplice)
ON_COPY_FILE_RANGE(__x64_sys_copy_file_range)
ON_COPY_FILE_RANGE(__ia32_sys_copy_file_range)
#endif
