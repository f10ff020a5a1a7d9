/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The file layer's doors directory_call and mqueue_call: system calls that only one kind of file
 * has, and that pass by the functions of the others.
 */
#include "attach/returns.c"
#include "core/pending.c"

/* long getdents(unsigned fd, void *entries, unsigned count), behind its saved registers */
#define ON_GETDENTS(fn)                                                                  \
	ON_FD_RETURN(fn, FIRST(arg[0]), NO_FD)                                           \
	{                                                                                \
		return one_fd(CALL_##fn, ACCOUNT_FILE_READ, DOOR_DIRECTORY_CALL,         \
			      FIRST(arg[0]), result);                                    \
	}

#ifdef MACHINE_aarch64
ON_GETDENTS(__arm64_sys_getdents64)
#else
ON_GETDENTS(__x64_sys_getdents)
ON_GETDENTS(__x64_sys_getdents64)
ON_GETDENTS(__ia32_compat_sys_getdents)
ON_GETDENTS(__ia32_sys_getdents64)
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
