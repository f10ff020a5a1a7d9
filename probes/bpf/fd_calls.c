/* SPDX-License-Identifier: GPL-2.0-only */
/* The life of a descriptor in tracepoint mode: system calls that open, end and pass descriptors. */

#define F_DUPFD 0
#define F_DUPFD_CLOEXEC 1030
#define CLONE_PIDFD 0x1000
#define CLOSE_RANGE_UNSHARE 2
#define CLOSE_RANGE_CLOEXEC 4
#define SECCOMP_FILTER_FLAG_NEW_LISTENER 8
#define PTRACE_ATTACH 16
#define PTRACE_SEIZE 0x4206
#define AF_UNSPEC 0

static __always_inline void fd_made(u32 fd, u32 birth)
{
	struct file *file = file_of(fd);

	if (file)
		fd_opened(fd, file, birth);
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
		bpf_probe_read_user(clone_args, sizeof(clone_args), (void *)first);
		return clone_args[0] & CLONE_PIDFD ? clone_args[1] : 0;
	}
	return first;
}

/* Tail call of what writes new descriptors to memory: a pair, or one of clone. */
int on_fds_in_memory(struct bpf_raw_tracepoint_args *ctx)
{
	struct under_way now = call_under_way((struct pt_regs *)ctx->args[0]);
	struct syscall *call = syscalls.lookup(&now.slot);
	u32 fds[2] = {};
	u64 address;

	if (!call)
		return 0;
	address = new_fds(&now, call);
	if (!address || bpf_probe_read_user(fds, sizeof(fds), (void *)address))
		return 0;
	fd_made(fds[0], call->birth);
	if (call->birth != BIRTH_ANONYMOUS)
		fd_made(fds[1], call->birth);
	return 0;
}

/* What stood behind the descriptor when the call began. */
static __always_inline u32 ended_fd_type(u32 slot)
{
	struct pending *then = recall(slot);

	return then ? then->target[0].fd_type : NO_FD_TYPE;
}

/* Tail call of close, dup2 and dup3: a descriptor ends, another one may take its number. */
int on_fd_ended(struct bpf_raw_tracepoint_args *ctx)
{
	struct under_way now = call_under_way((struct pt_regs *)ctx->args[0]);
	struct syscall *call = syscalls.lookup(&now.slot);
	u32 ended = ended_fd_type(now.slot);
	s64 result = ctx->args[1];

	if (!call)
		return 0;
	if (!call->ends_argument) {
		fd_closed(ended, CAUSE_CLOSE);
		return 0;
	}
	if (result < 0 || result == now.first)
		return 0;
	fd_closed(ended, CAUSE_REPLACED);
	fd_made(result, BIRTH_DUP);
	return 0;
}

/* Tail call at the entry of close_range, which fails only if its arguments are wrong. */
int on_close_range(struct bpf_raw_tracepoint_args *ctx)
{
	struct pt_regs *regs = (struct pt_regs *)ctx->args[0];
	u32 first = syscall_entry(regs).first, last = syscall_argument(regs, 1);
	u32 flags = syscall_argument(regs, 2);
	struct fd_walk *walk;

	if (first > last || flags & ~CLOSE_RANGE_UNSHARE)
		return 0;
	walk = begin_walk(this_task(), current_files(), first, last == NO_FD ? last : last + 1);
	if (!walk)
		return 0;
	walk->purpose = PURPOSE_ACCOUNT;
	walk->account = ACCOUNT_FD_CLOSED;
	walk->via = CAUSE_CLOSE;
	tail_calls.call(ctx, TAIL_CALL_WALK_FDS);
	return 0;
}

/* Tail call at the entry of execve: when it has gone well these descriptors are closed. */
int on_exec(struct bpf_raw_tracepoint_args *ctx)
{
	struct files_struct *files = current_files();
	struct fd_walk *walk = begin_walk(this_task(), files, 0, NO_FD);
	struct fdtable *table = NULL;

	if (!walk)
		return 0;
	PROBE_READ(table, &files->fdt);
	PROBE_READ(walk->close_on_exec, &table->close_on_exec);
	walk->purpose = PURPOSE_EXEC;
	tail_calls.call(ctx, TAIL_CALL_WALK_FDS);
	return 0;
}

/* sched_process_exec(struct task_struct *task, pid_t old_tid, struct linux_binprm *) */
int on_sched_process_exec(struct bpf_raw_tracepoint_args *ctx)
{
	struct process_key owner = current_process_key();
	u32 tid = ctx->args[1];
	struct fd_counts *closed = exec_fds.lookup(&tid);

	if (!closed)
		return 0;
	account_fds(this_task(), owner, closed->count, ACCOUNT_FD_CLOSED, CAUSE_EXEC);
	exec_fds.delete(&tid);
	return 0;
}

/* Tail call of connect: one that does not wait counts when it is under way. */
int on_connected(struct bpf_raw_tracepoint_args *ctx)
{
	struct under_way now = call_under_way((struct pt_regs *)ctx->args[0]);
	u64 address = argument_of(&now, 1);
	struct file *file = file_of(now.first);
	s64 result = ctx->args[1];
	u16 family = AF_UNSPEC;

	if (!file || (result && result != -EINPROGRESS))
		return 0;
	bpf_probe_read_user(&family, sizeof(family), (void *)address);
	if (family != AF_UNSPEC)
		count_connection(file, CONNECTION_CONNECT_LOOPBACK);
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
