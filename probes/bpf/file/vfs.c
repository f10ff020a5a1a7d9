/* SPDX-License-Identifier: GPL-2.0-only */
/* The file layer's doors read_write and vectored: their functions have no nested callers. */
#include "attach/returns.c"
#include "core/pending.c"

static __always_inline int file_operation(u32 call, u32 account, u32 door, u64 file, s64 result)
{
	finish(call, account, target_of((struct file *)file), door, result, 1);
	return 0;
}

/* ssize_t vfs_read(struct file *file, char *buf, size_t count, loff_t *pos) */
ON_RETURN(vfs_read)
{
	return file_operation(CALL_vfs_read, ACCOUNT_FILE_READ, DOOR_READ_WRITE, arg[0], result);
}

/* ssize_t vfs_write(struct file *file, const char *buf, size_t count, loff_t *pos) */
ON_RETURN(vfs_write)
{
	return file_operation(CALL_vfs_write, ACCOUNT_FILE_WRITE, DOOR_READ_WRITE, arg[0], result);
}

/* ssize_t vfs_readv(struct file *, const struct iovec *, unsigned long, loff_t *, rwf_t) */
ON_RETURN(vfs_readv)
{
	return file_operation(CALL_vfs_readv, ACCOUNT_FILE_READ, DOOR_VECTORED, arg[0], result);
}

/* ssize_t vfs_writev(struct file *, const struct iovec *, unsigned long, loff_t *, rwf_t) */
ON_RETURN(vfs_writev)
{
	return file_operation(CALL_vfs_writev, ACCOUNT_FILE_WRITE, DOOR_VECTORED, arg[0], result);
}
