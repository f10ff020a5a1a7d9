/* SPDX-License-Identifier: GPL-2.0-only */
/* The file layer in tracepoint mode: system calls, resolved to their files. */

BPF_ARRAY(syscalls, struct syscall, SYSCALL_SLOTS);

/*
 * What needs a loop runs in a program of its own, a few steps at a time, and calls itself for the
 * rest: the verifier walks a loop once for each state that leads to it, and gives up after a
 * million instructions.
 */
BPF_PROG_ARRAY(tail_calls, TAIL_CALL_COUNT);
BPF_PERCPU_ARRAY(progress, struct progress, 1);

static __always_inline struct progress *current_progress(void)
{
	u32 zero = 0;

	return progress.lookup(&zero);
}

static __always_inline struct syscall *syscall_of(u32 *number)
{
	if (is_compat())
		*number += COMPAT_SLOTS;
	return syscalls.lookup(number);
}

/* The descriptor in argument `index`, where the call has one there. */
static __always_inline u32 fd_argument(struct pt_regs *regs, u32 index, u32 first)
{
	if (!index)
		return first;
	return index == NO_ARGUMENT ? NO_FD : syscall_argument(regs, index);
}

/* sys_enter(struct pt_regs *regs, long number) */
int on_sys_enter(struct bpf_raw_tracepoint_args *ctx)
{
	struct pt_regs *regs = (struct pt_regs *)ctx->args[0];
	u32 number = ctx->args[1];
	struct syscall *call;
	u32 first;

#ifndef LATENCY
	if (!fds_are_shared())
		return 0;
#endif
	call = syscall_of(&number);
	if (!call || !call->known)
		return 0;
	first = syscall_entry(regs).first;
	remember(number, fd_argument(regs, call->read_argument, first),
		 fd_argument(regs, call->write_argument, first));
	return 0;
}

static __always_inline u32 read_account(struct pt_regs *regs, struct syscall *call)
{
	u32 index = call->flags_argument;

	if (index == NO_ARGUMENT)
		return call->read_account;
	return syscall_argument(regs, index) & MSG_PEEK ? ACCOUNT_FILE_PEEK : call->read_account;
}

static __always_inline void read_side(struct pt_regs *regs, u32 number, struct syscall *call,
				      u32 first, s64 result, u64 operations)
{
	u32 fd = fd_argument(regs, call->read_argument, first);

	finish(number, read_account(regs, call), fd_type_at_return(number, 0, fd), call->door,
	       result, operations);
}

static __always_inline void write_side(struct pt_regs *regs, u32 number, struct syscall *call,
				       u32 first, s64 result, u64 operations)
{
	u32 fd = fd_argument(regs, call->write_argument, first);

	finish(number, ACCOUNT_FILE_WRITE, fd_type_at_return(number, 1, fd), call->door, result,
	       operations);
}

static __always_inline void begin_tail_call(void)
{
	struct progress *done = current_progress();

	if (!done)
		return;
	done->position = 0;
	done->bytes = 0;
}

/* sys_exit(struct pt_regs *regs, long result) */
int on_sys_exit(struct bpf_raw_tracepoint_args *ctx)
{
	struct pt_regs *regs = (struct pt_regs *)ctx->args[0];
	struct syscall_entry entry = syscall_entry(regs);
	u32 number = entry.number;
	struct syscall *call = syscall_of(&number);
	s64 result = ctx->args[1];
	bool reads, writes;

	if (!call || !call->known || result == -EBADF || result == -ENOTSOCK)
		return 0;
	if (call->tail_call != NO_ARGUMENT && result > 0) {
		begin_tail_call();
		tail_calls.call(ctx, call->tail_call);
		return 0;
	}
	reads = call->read_argument != NO_ARGUMENT;
	writes = call->write_argument != NO_ARGUMENT;
	if (call->one_way) {
		writes = fd_is_writable(entry.first);
		reads = !writes;
	}
	if (reads)
		read_side(regs, number, call, entry.first, result, 1);
	if (writes)
		write_side(regs, number, call, entry.first, result, 1);
	return 0;
}

/* msg_len of one message of sendmmsg or recvmmsg. */
static __always_inline u32 message_length(u64 vector, u32 index)
{
	u32 stride = is_compat() ? 32 : 64, msg_len = is_compat() ? 28 : 56;
	u32 length = 0;

	bpf_probe_read_user(&length, sizeof(length), (void *)(vector + index * stride + msg_len));
	return length;
}

/* Tail call of sendmmsg and recvmmsg, which return a number of messages. */
int on_messages(struct bpf_raw_tracepoint_args *ctx)
{
	struct pt_regs *regs = (struct pt_regs *)ctx->args[0];
	struct syscall_entry entry = syscall_entry(regs);
	struct progress *done = current_progress();
	u64 vector = syscall_argument(regs, 1);
	u32 number = entry.number, messages = ctx->args[1];
	struct syscall *call = syscall_of(&number);
	u32 i;

	if (!call || !done)
		return 0;
	for (i = 0; i < MESSAGES_A_CALL; i++)
		if (done->position + i < messages)
			done->bytes += message_length(vector, done->position + i);
	done->position += MESSAGES_A_CALL;
	if (done->position < messages) {
		tail_calls.call(ctx, TAIL_CALL_MESSAGES);
		return 0;
	}
	if (call->read_argument != NO_ARGUMENT)
		read_side(regs, number, call, entry.first, done->bytes, messages);
	else
		write_side(regs, number, call, entry.first, done->bytes, messages);
	return 0;
}

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

static __always_inline void aio_event(const struct user_io_event *event)
{
	struct user_iocb iocb = {};
	u32 account;

	if (bpf_probe_read_user(&iocb, sizeof(iocb), (void *)event->iocb))
		return;
	if (iocb.opcode == IOCB_CMD_PREAD || iocb.opcode == IOCB_CMD_PREADV)
		account = ACCOUNT_FILE_READ;
	else if (iocb.opcode == IOCB_CMD_PWRITE || iocb.opcode == IOCB_CMD_PWRITEV)
		account = ACCOUNT_FILE_WRITE;
	else
		return;
	finish(NO_CALL, account, fd_type_or_none(iocb.fd), DOOR_AIO, event->result, 1);
}

static __always_inline void aio_event_at(u64 address)
{
	struct user_io_event event;

	if (!bpf_probe_read_user(&event, sizeof(event), (void *)address))
		aio_event(&event);
}

/* Tail call of io_getevents: the results of aio are nowhere else in this mode. */
int on_aio_events(struct bpf_raw_tracepoint_args *ctx)
{
	struct pt_regs *regs = (struct pt_regs *)ctx->args[0];
	struct progress *done = current_progress();
	u64 events = syscall_argument(regs, 3);
	u32 count = ctx->args[1], first, i;

	if (!done)
		return 0;
	first = done->position;
	for (i = 0; i < AIO_EVENTS_A_CALL; i++)
		if (first + i < count)
			aio_event_at(events + (first + i) * sizeof(struct user_io_event));
	done->position = first + AIO_EVENTS_A_CALL;
	if (done->position < count) {
		tail_calls.call(ctx, TAIL_CALL_AIO_EVENTS);
		lose(LOSS_AIO_EVENTS);
	}
	return 0;
}
