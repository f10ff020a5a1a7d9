/* SPDX-License-Identifier: GPL-2.0-only */
/* The lifecycle of a descriptor in tracepoint mode: calls that open, close and pass descriptors. */
#include "attach.c"
#include "core/account.c"
#include "core/in_flight.c"
#include "fds/lifecycle.c"
#include "fds/walk.c"
#include "syscalls/syscalls.c"

#define F_DUPFD 0
#define F_DUPFD_CLOEXEC 1030
#define CLONE_PIDFD 0x1000
#define SECCOMP_FILTER_FLAG_NEW_LISTENER 8
#define IORING_SETUP_REGISTERED_FD_ONLY (1 << 15)

static __always_inline void fd_made(void *ctx, u32 fd, u32 birth)
{
	struct file *file = file_of(fd);

	if (file)
		fd_opened(ctx, fd, file, birth);
}

/* False for a ring that is registered only: its process has no descriptor of it. */
static __always_inline bool ring_has_fd(u64 params)
{
	u32 flags = 0;

	read_user(&flags, sizeof(flags), params + 8);
	return !(flags & IORING_SETUP_REGISTERED_FD_ONLY);
}

/* True if the call made a descriptor: some calls also do other things. */
static __always_inline bool makes_fd(const struct in_flight *now, struct syscall *call)
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

/* Tail call of system calls that return a new descriptor. */
int on_fd_made(struct bpf_raw_tracepoint_args *ctx)
{
	struct in_flight now = call_in_flight((struct pt_regs *)ctx->args[0]);
	struct syscall *call = syscalls.lookup(&now.slot);

	if (!call || !makes_fd(&now, call))
		return 0;
	fd_made(ctx, ctx->args[1], call->birth);
	if (WATCHING)
		watched_named(ctx->args[1], file_of(ctx->args[1]));
	return 0;
}

/* The address of the new descriptors in user memory; 0 if there are none. */
static __always_inline u64 new_fds(const struct in_flight *now, struct syscall *call)
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

/* Tail call of system calls that write new descriptors to memory: a pair, or one of clone. */
int on_fds_in_memory(struct bpf_raw_tracepoint_args *ctx)
{
	struct in_flight now = call_in_flight((struct pt_regs *)ctx->args[0]);
	struct syscall *call = syscalls.lookup(&now.slot);
	u32 fds[2] = {}, size;
	u64 address;

	if (!call)
		return 0;
	address = new_fds(&now, call);
	size = call->birth == BIRTH_ANONYMOUS ? sizeof(fds[0]) : sizeof(fds);
	if (!address || !read_user(fds, size, address))
		return 0;
	fd_made(ctx, fds[0], call->birth);
	if (call->birth != BIRTH_ANONYMOUS)
		fd_made(ctx, fds[1], call->birth);
	return 0;
}

/* Tail call of connect. */
int on_connected(struct bpf_raw_tracepoint_args *ctx)
{
	struct in_flight now = call_in_flight((struct pt_regs *)ctx->args[0]);
	u64 address = argument_of(&now, 1);

	connected(file_of(now.first), address, ctx->args[1]);
	return 0;
}

/* Tail call of ptrace. */
int on_debugged(struct bpf_raw_tracepoint_args *ctx)
{
	debugged(syscall_entry((struct pt_regs *)ctx->args[0]).first);
	return 0;
}

#define CLOSE_RANGE_UNSHARE 2

/* What the descriptor referred to when the call began. */
static __always_inline struct target ended_target(u32 slot)
{
	struct target none = {.fd_type = NO_FD_TYPE};
	struct pending *then = recall(slot);
	struct target ended = then ? then->target[0] : none;

	used(then);
	return ended;
}

/* Tail call of close, dup2 and dup3: a descriptor is closed, and may be replaced. */
int on_fd_ended(struct bpf_raw_tracepoint_args *ctx)
{
	struct in_flight now = call_in_flight((struct pt_regs *)ctx->args[0]);
	struct syscall *call = syscalls.lookup(&now.slot);
	struct target ended = ended_target(now.slot);
	s64 result = ctx->args[1];

	if (!call)
		return 0;
	if (!call->ends_argument) {
		fd_closed(ended.fd_type, CAUSE_CLOSE);
		return 0;
	}
	if (result < 0 || result == now.first)
		return 0;
	fd_closed(ended.fd_type, CAUSE_REPLACED);
	if (WATCHING)
		watched_closed(ended, CAUSE_REPLACED);
	fd_made(ctx, result, BIRTH_DUP);
	return 0;
}

/* Tail call at the entry of close_range, which fails only for wrong arguments. */
int on_close_range(struct bpf_raw_tracepoint_args *ctx)
{
	struct pt_regs *regs = (struct pt_regs *)ctx->args[0];
	u32 first = syscall_entry(regs).first, last = syscall_argument(regs, 1);
	u32 flags = syscall_argument(regs, 2);

	if (first > last || flags & ~CLOSE_RANGE_UNSHARE)
		return 0;
	walk_fds(ctx, this_task(), current_files(), first, last == NO_FD ? last : last + 1,
		 PURPOSE_ACCOUNT, ACCOUNT_FD_CLOSED, CAUSE_CLOSE);
	return 0;
}

/* Tail call at the entry of execve: keeps the descriptors that a successful exec will close. */
int on_exec(struct bpf_raw_tracepoint_args *ctx)
{
	walk_fds(ctx, this_task(), current_files(), 0, NO_FD, PURPOSE_EXEC, 0, 0);
	return 0;
}

/* A thread that had this number has executed a program: counts the descriptors that were kept. */
static __always_inline void closed_by_exec(u32 tid)
{
	struct process_key owner = current_process_key();
	struct fd_counts *closed = exec_fds.lookup(&tid);

	if (WATCHING)
		watched_execed();
	if (!closed)
		return;
	account_fds(this_task(), owner, closed->count, ACCOUNT_FD_CLOSED, CAUSE_EXEC);
	exec_fds.delete(&tid);
}

/* Descriptors passed through unix sockets: read from the messages in user memory at the return. */
#define SOL_SOCKET 1
#define SCM_RIGHTS 1
#define SCM_PIDFD 4 /* of the sender, made for the receiver */

/* Reads a pointer or a length, which are as wide as those of the program. */
static __always_inline u64 user_word(u64 address)
{
	u32 narrow = 0;
	u64 wide = 0;

	if (is_compat()) {
		read_user(&narrow, sizeof(narrow), address);
		return narrow;
	}
	read_user(&wide, sizeof(wide), address);
	return wide;
}

static __always_inline void next_header(struct control_walk *walk)
{
	u32 word = is_compat() ? 4 : 8;

	walk->control = user_word(walk->header + 4 * word);
	walk->control_end = walk->control + user_word(walk->header + 5 * word);
	walk->header += 8 * word;
	walk->messages--;
}

static __always_inline void next_control_message(struct control_walk *walk)
{
	u32 word = is_compat() ? 4 : 8;
	u64 length = user_word(walk->control);
	u32 kind[2] = {};

	read_user(kind, sizeof(kind), walk->control + word);
	if (length < word + sizeof(kind) || length > walk->control_end - walk->control) {
		walk->control = walk->control_end;
		return;
	}
	if (kind[0] == SOL_SOCKET &&
	    (kind[1] == SCM_RIGHTS || (kind[1] == SCM_PIDFD && !walk->sent))) {
		walk->fds = walk->control + word + sizeof(kind);
		walk->fds_end = walk->control + length;
	}
	walk->control += (length + word - 1) & ~(u64)(word - 1);
}

#ifdef JOURNAL
static __always_inline void note_received(struct control_walk *walk, u32 fd)
{
	if (walk->received_count < RECEIVED_FDS)
		walk->received[walk->received_count & (RECEIVED_FDS - 1)] = fd;
	walk->received_count++;
}
#else
static __always_inline void note_received(struct control_walk *walk, u32 fd)
{
}
#endif

static __always_inline void next_passed_fd(struct control_walk *walk, struct files_struct *files,
					   struct process_key owner)
{
	struct file *file;
	u32 fd = NO_FD;

	read_user(&fd, sizeof(fd), walk->fds);
	walk->fds += sizeof(fd);
	file = file_in(files, fd);
	if (!file)
		return;
	if (walk->sent) {
		account_of(this_task(), owner, ACCOUNT_FD_PASSED, file_fd_type(file), PASSING_SENT,
			   0, 1);
	} else {
		fd_opened_by(owner, fd, file, BIRTH_SCM_RIGHTS);
		if (WATCHING)
			watched_without_origin(owner);
		note_received(walk, fd);
	}
}

static __always_inline bool control_is_left(const struct control_walk *walk)
{
	return walk->fds + sizeof(u32) <= walk->fds_end ||
	       walk->control + (is_compat() ? 12 : 16) <= walk->control_end || walk->messages;
}

static __always_inline void control_step(struct control_walk *walk, struct files_struct *files,
					 struct process_key owner)
{
	if (walk->fds + sizeof(u32) <= walk->fds_end)
		next_passed_fd(walk, files, owner);
	else if (walk->control + (is_compat() ? 12 : 16) <= walk->control_end)
		next_control_message(walk);
	else if (walk->messages)
		next_header(walk);
}

/* Tail call of system calls that send and receive messages on unix sockets. */
int on_control(struct bpf_raw_tracepoint_args *ctx)
{
	struct control_walk *walk = current_control();
	struct process_key owner = current_process_key();
	struct files_struct *files = current_files();
	u32 i;

	if (!walk) {
		lose(LOSS_SCRATCH);
		return 0;
	}
	for (i = 0; i < CONTROL_STEPS_A_CALL; i++)
		control_step(walk, files, owner);
	if (!control_is_left(walk)) {
		if (walk->received_count)
			go_on(ctx, TAIL_CALL_RECEIVED);
		return 0;
	}
	tail_calls.call(ctx, TAIL_CALL_CONTROL);
	lose(LOSS_FDS_UNSEEN);
	return 0;
}

/*
 * Tail call of what has received descriptors: those from another user or cgroup are events. Who
 * passed them on is the process at the other end of the socket, as the socket knows it: the message
 * of the giver is read when its call returns, which may be later.
 */
int on_received(struct bpf_raw_tracepoint_args *ctx)
{
#ifdef JOURNAL
	struct files_struct *files = current_files();
	struct control_walk *walk = current_control();
	struct event_process giver = {};
	struct file *file;
	u32 i;

	if (!walk || is_like_current(&giver, find_peer(&giver)))
		return 0;
	for (i = 0; i < RECEIVED_FDS; i++) {
		if (i >= walk->received_count)
			return 0;
		file = file_in(files, walk->received[i]);
		if (file)
			event_fd_received(walk->received[i], file, file_fd_type(file), &giver);
	}
	if (walk->received_count > RECEIVED_FDS)
		leave_out_events(walk->received_count - RECEIVED_FDS);
#endif
	return 0;
}
