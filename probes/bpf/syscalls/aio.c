/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Door aio in tracepoint mode. An operation is kept when it is submitted, because the program may
 * change its control block right after; it is counted when its result is fetched.
 */
#include "attach.c"
#include "core/account.c"
#include "core/in_flight.c"
#include "syscalls/syscalls.c"

/* As user space has it, the same for 32-bit programs: include/uapi/linux/aio_abi.h. */
struct user_iocb {
	u64 data;
	u64 key_and_flags;
	u16 opcode;
	s16 priority;
	u32 fd;
};

struct user_io_event {
	u64 data;
	u64 iocb;
	s64 result;
	s64 result2;
};

static __always_inline u32 iocb_account(u16 opcode)
{
	switch (opcode) {
	case IOCB_CMD_PREAD:
	case IOCB_CMD_PREADV:
		return ACCOUNT_FILE_READ;
	case IOCB_CMD_PWRITE:
	case IOCB_CMD_PWRITEV:
		return ACCOUNT_FILE_WRITE;
	}
	return ACCOUNT_NONE;
}

static __always_inline void aio_submission(u64 address)
{
	struct aio_key key = {.iocb = address, .tgid = current_tgid()};
	struct aio operation = {.owner = current_process_key()};
	struct user_iocb iocb = {};

	if (bpf_probe_read_user(&iocb, sizeof(iocb), (void *)address))
		return;
	operation.account = iocb_account(iocb.opcode);
	operation.target = target_of_fd(iocb.fd);
	if (aio_submissions.update(&key, &operation))
		lose(LOSS_AIO_EVENTS);
}

/* Address of the control block number `index`. */
static __always_inline u64 iocb_at(u64 pointers, u32 index)
{
	u32 size = is_compat() ? 4 : 8;
	u64 address = 0;

	bpf_probe_read_user(&address, size, (void *)(pointers + index * size));
	return address;
}

/* Tail call of io_submit(aio_context_t, long count, struct iocb **pointers), on entry. */
int on_aio_submissions(struct bpf_raw_tracepoint_args *ctx)
{
	struct pt_regs *regs = (struct pt_regs *)ctx->args[0];
	u32 count = syscall_argument(regs, 1), first, i;
	u64 pointers = syscall_argument(regs, 2);
	struct progress *done = current_progress();

	if (!done) {
		lose(LOSS_SCRATCH);
		return 0;
	}
	first = done->position;
	for (i = 0; i < AIO_EVENTS_A_CALL; i++)
		if (first + i < count)
			aio_submission(iocb_at(pointers, first + i));
	done->position = first + AIO_EVENTS_A_CALL;
	if (done->position < count) {
		tail_calls.call(ctx, TAIL_CALL_AIO_SUBMISSIONS);
		lose_many(LOSS_AIO_EVENTS, count - done->position);
	}
	return 0;
}

static __always_inline void aio_event_at(u64 address)
{
	struct aio_key key = {.tgid = current_tgid()};
	struct user_io_event event = {};
	struct aio *operation;

	if (!read_user(&event, sizeof(event), address))
		return;
	key.iocb = event.iocb;
	operation = aio_submissions.lookup(&key);
	if (!operation) {
		lose(LOSS_AIO_EVENTS);
		return;
	}
	if (operation->account != ACCOUNT_NONE)
		finish(NO_CALL, operation->account, operation->target, DOOR_AIO, event.result, 1);
	aio_submissions.delete(&key);
}

/* Tail call of io_getevents: in this mode the results are seen here only. */
int on_aio_events(struct bpf_raw_tracepoint_args *ctx)
{
	struct pt_regs *regs = (struct pt_regs *)ctx->args[0];
	struct progress *done = current_progress();
	u64 events = syscall_argument(regs, 3);
	u32 count = ctx->args[1], first, i;

	if (!done) {
		lose(LOSS_SCRATCH);
		return 0;
	}
	first = done->position;
	for (i = 0; i < AIO_EVENTS_A_CALL; i++)
		if (first + i < count)
			aio_event_at(events + (first + i) * sizeof(struct user_io_event));
	done->position = first + AIO_EVENTS_A_CALL;
	if (done->position < count) {
		tail_calls.call(ctx, TAIL_CALL_AIO_EVENTS);
		lose_many(LOSS_AIO_EVENTS, count - done->position);
	}
	return 0;
}
