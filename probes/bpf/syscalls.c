/* SPDX-License-Identifier: GPL-2.0-only */
/* The file layer in tracepoint mode: system calls, resolved to their files. */

BPF_ARRAY(syscalls, struct syscall, SYSCALL_SLOTS);

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

/* Sum of msg_len over the messages of sendmmsg or recvmmsg. */
static __always_inline s64 message_bytes(struct pt_regs *regs, s64 messages)
{
	u32 stride = is_compat() ? 32 : 64, msg_len = is_compat() ? 28 : 56;
	u64 vector = syscall_argument(regs, 1);
	s64 bytes = 0;
	u32 length;
	int i;

	for (i = 0; i < MAX_MESSAGES; i++) {
		if (i >= messages)
			break;
		length = 0;
		bpf_probe_read_user(&length, sizeof(length), (void *)(vector + i * stride + msg_len));
		bytes += length;
	}
	return bytes;
}

static __always_inline u32 read_account(struct pt_regs *regs, struct syscall *call)
{
	u32 index = call->flags_argument;

	if (index == NO_ARGUMENT)
		return call->read_account;
	return syscall_argument(regs, index) & MSG_PEEK ? ACCOUNT_FILE_PEEK : call->read_account;
}

/* sys_exit(struct pt_regs *regs, long result) */
int on_sys_exit(struct bpf_raw_tracepoint_args *ctx)
{
	struct pt_regs *regs = (struct pt_regs *)ctx->args[0];
	struct syscall_entry entry = syscall_entry(regs);
	s64 result = ctx->args[1], operations = 1;
	u32 number = entry.number;
	struct syscall *call = syscall_of(&number);
	u32 fd_type;

	if (!call || !call->known || result == -EBADF || result == -ENOTSOCK)
		return 0;
	if (call->counts_messages && result > 0) {
		operations = result;
		result = message_bytes(regs, result);
	}
	if (call->read_argument != NO_ARGUMENT) {
		fd_type = fd_type_at_return(number, 0,
					    fd_argument(regs, call->read_argument, entry.first));
		finish(number, read_account(regs, call), fd_type, call->door, result, operations);
	}
	if (call->write_argument != NO_ARGUMENT) {
		fd_type = fd_type_at_return(number, 1,
					    fd_argument(regs, call->write_argument, entry.first));
		finish(number, ACCOUNT_FILE_WRITE, fd_type, call->door, result, operations);
	}
	return 0;
}
