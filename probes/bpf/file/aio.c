/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The file layer's door aio: an operation completes anywhere, even in an interrupt, so its process
 * and account are kept from the start.
 */
#include "attach/returns.c"
#include "core/account.c"


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
