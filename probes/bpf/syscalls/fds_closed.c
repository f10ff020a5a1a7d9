/* SPDX-License-Identifier: GPL-2.0-only */
/* The life of a descriptor in tracepoint mode: system calls that end descriptors. */
#include "core/pending.c"
#include "fds/lifecycle.c"
#include "fds/walk.c"
#include "syscalls/fds_opened.c"
#include "syscalls/syscalls.c"

#define CLOSE_RANGE_UNSHARE 2

/* What stood behind the descriptor when the call began. */
static __always_inline u32 ended_fd_type(u32 slot)
{
	struct pending *then = recall(slot);
	u32 fd_type = then ? then->target[0].fd_type : NO_FD_TYPE;

	used(then);
	return fd_type;
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
	go_on(ctx, TAIL_CALL_WALK_FDS);
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
	go_on(ctx, TAIL_CALL_WALK_FDS);
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
