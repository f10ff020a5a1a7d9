/* SPDX-License-Identifier: GPL-2.0-only */
/* The life of a descriptor in tracepoint mode: system calls that open descriptors and use them. */
#include "core/account.c"
#include "core/pending.c"
#include "fds/lifecycle.c"
#include "syscalls/syscalls.c"

#define F_DUPFD 0
#define F_DUPFD_CLOEXEC 1030
#define CLONE_PIDFD 0x1000
#define SECCOMP_FILTER_FLAG_NEW_LISTENER 8
#define PTRACE_ATTACH 16
#define PTRACE_SEIZE 0x4206
#define IORING_SETUP_REGISTERED_FD_ONLY (1 << 15)

static __always_inline void fd_made(u32 fd, u32 birth)
{
	struct file *file = file_of(fd);

	if (file)
		fd_opened(fd, file, birth);
}

/* A ring can be known to its process by another number than that of a descriptor. */
static __always_inline bool ring_has_fd(u64 params)
{
	u32 flags = 0;

	read_user(&flags, sizeof(flags), params + 8);
	return !(flags & IORING_SETUP_REGISTERED_FD_ONLY);
}

/* True unless this call, of those that can do other things too, made no descriptor. */
static __always_inline bool makes_fd(const struct under_way *now, struct syscall *call)
{
	u32 command;

	switch (call->when) {
	case WHEN_DUPFD:
		command = argument_of(now, 1);
		return command == F_DUPFD || command == F_DUPFD_CLOEXEC;
	case WHEN_NEW_SIGNALFD:
		return now->first == NO_FD;
	case WHEN_BPF_COMMAND:
		switch (now->first) {
		case BPF_COMMANDS_OF_FDS:
			return true;
		}
		return false;
	case WHEN_IOCTL:
		switch ((u32)argument_of(now, 1)) {
		case IOCTLS_OF_FDS:
			return true;
		}
		return false;
	case WHEN_LISTENER:
		return argument_of(now, 1) & SECCOMP_FILTER_FLAG_NEW_LISTENER;
	case WHEN_THIRD_IS_ZERO:
		return !argument_of(now, 2);
	case WHEN_RING_HAS_FD:
		return ring_has_fd(argument_of(now, 1));
	}
	return true;
}

/* Tail call of what returns a new descriptor. */
int on_fd_made(struct bpf_raw_tracepoint_args *ctx)
{
	struct under_way now = call_under_way((struct pt_regs *)ctx->args[0]);
	struct syscall *call = syscalls.lookup(&now.slot);

	if (call && makes_fd(&now, call))
		fd_made(ctx->args[1], call->birth);
	return 0;
}

/* Where in memory the new descriptors stand; 0 if there are none. */
static __always_inline u64 new_fds(const struct under_way *now, struct syscall *call)
{
	u64 first = syscall_entry(now->regs).first;
	u64 clone_args[2] = {};

	switch (call->when) {
	case WHEN_FOURTH_ARGUMENT:
		return argument_of(now, 3);
	case WHEN_CLONE_PIDFD:
		return first & CLONE_PIDFD ? argument_of(now, 2) : 0;
	case WHEN_CLONE3_PIDFD:
		read_user(clone_args, sizeof(clone_args), first);
		return clone_args[0] & CLONE_PIDFD ? clone_args[1] : 0;
	}
	return first;
}

/* Tail call of what writes new descriptors to memory: a pair, or one of clone. */
int on_fds_in_memory(struct bpf_raw_tracepoint_args *ctx)
{
	struct under_way now = call_under_way((struct pt_regs *)ctx->args[0]);
	struct syscall *call = syscalls.lookup(&now.slot);
	u32 fds[2] = {}, size;
	u64 address;

	if (!call)
		return 0;
	address = new_fds(&now, call);
	size = call->birth == BIRTH_ANONYMOUS ? sizeof(fds[0]) : sizeof(fds);
	if (!address || !read_user(fds, size, address))
		return 0;
	fd_made(fds[0], call->birth);
	if (call->birth != BIRTH_ANONYMOUS)
		fd_made(fds[1], call->birth);
	return 0;
}

/* Tail call of connect. */
int on_connected(struct bpf_raw_tracepoint_args *ctx)
{
	struct under_way now = call_under_way((struct pt_regs *)ctx->args[0]);
	u64 address = argument_of(&now, 1);

	connected(file_of(now.first), address, ctx->args[1]);
	return 0;
}

/* Tail call of ptrace. */
int on_debugged(struct bpf_raw_tracepoint_args *ctx)
{
	u32 request = syscall_entry((struct pt_regs *)ctx->args[0]).first;

	if (request == PTRACE_ATTACH || request == PTRACE_SEIZE)
		account_current(ACCOUNT_DEBUG_ACCESS, FD_TYPE_OTHER,
				request == PTRACE_SEIZE ? DEBUG_METHOD_PTRACE_SEIZE :
							  DEBUG_METHOD_PTRACE_ATTACH,
				0, 1);
	return 0;
}
