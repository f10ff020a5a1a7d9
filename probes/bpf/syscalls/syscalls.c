/* SPDX-License-Identifier: GPL-2.0-only */
/* The file layer in tracepoint mode: system calls, and the files behind their descriptors. */
#include "attach.c"
#include "core/account.c"
#include "core/in_flight.c"
#include "fds/lifecycle.c"

static __always_inline struct progress *current_progress(void)
{
	u32 key = scratch_key();

	return progress.lookup(&key);
}

static __always_inline struct progress *new_progress(void)
{
#ifdef PREEMPTED
	struct progress empty = {};
	u32 key = scratch_key();

	progress.update(&key, &empty);
#endif
	return current_progress();
}

/* A system call in flight: its slot in `syscalls`, and its first argument. */
struct in_flight {
	struct pt_regs *regs;
	u32 slot;
	u32 first;
	struct process_key owner; /* once it has returned */
};

/*
 * An argument of socketcall(2) of 32-bit programs, which has them in memory; NO_FD if it cannot be
 * read. Nothing is lost if the kernel could not read it either, nor on entry (result -ENOSYS).
 */
static __always_inline u32 socketcall_argument(const struct in_flight *now, u32 index)
{
	const void *from = (void *)syscall_argument(now->regs, 1) + index * sizeof(u32);
	u32 value;
#ifndef MACHINE_aarch64
	u64 result = 0;

	if (!bpf_probe_read_user(&value, sizeof(value), from))
		return value;
	PROBE_READ(result, &now->regs->ax);
	if ((s32)result != -EFAULT && (s32)result != -ENOSYS)
		lose(LOSS_USER_MEMORY);
#endif
	return NO_FD;
}

/* Argument `index` of 1 to 3. */
static __always_inline u64 argument_of(const struct in_flight *now, u32 index)
{
	return now->slot < SOCKETCALL_SLOTS ? syscall_argument(now->regs, index)
					    : socketcall_argument(now, index);
}

static __always_inline struct in_flight call_in_flight(struct pt_regs *regs)
{
	struct syscall_entry entry = syscall_entry(regs);
	struct in_flight now = {.regs = regs, .slot = entry.number, .first = entry.first};

	if (!is_compat())
		return now;
	now.slot += COMPAT_SLOTS;
	if (now.slot == COMPAT_SLOTS + SOCKETCALL_NUMBER) {
		now.slot = SOCKETCALL_SLOTS + now.first;
		now.first = argument_of(&now, 0);
	}
	return now;
}

/* The descriptor in argument `index`; NO_FD if the call has none there. */
static __always_inline u32 fd_argument(const struct in_flight *now, u32 index)
{
	if (!index)
		return now->first;
	return index == NO_ARGUMENT ? NO_FD : argument_of(now, index);
}

/*
 * How system calls of a number are followed, whatever program makes them: not (0), at the return, or
 * from their entry. The latter are those that close descriptors, whose types are known only before,
 * and those that may take long with a part of their bytes moved.
 */
static __always_inline u8 how_followed(u32 number)
{
	u8 *found = followed.lookup(&number);

	return found ? *found : 0;
}

static __always_inline bool is_transfer(const struct syscall *call)
{
	return call->door == DOOR_SENDFILE || call->door == DOOR_SPLICE;
}

static __always_inline void remember_closing(const struct in_flight *now, struct syscall *call)
{
	struct pending *entry = pending_of(current_tid());
	struct file *file;

	if (!entry)
		return;
	file = file_of(fd_argument(now, call->ends_argument));
	entry->call = now->slot;
	entry->target[0].fd_type = file ? file_fd_type(file) : NO_FD_TYPE;
	if (!WATCHING)
		return;
	watched_closing(&entry->target[0], file);
	/* A close does not fail. Counted now: another thread may soon open a file there. */
	if (!call->ends_argument)
		watched_closed(entry->target[0], CAUSE_CLOSE);
}

static __always_inline void begin_tail_call(void)
{
	struct progress *done = new_progress();

	if (!done) {
		lose(LOSS_SCRATCH);
		return;
	}
	done->position = 0;
	done->bytes = 0;
}

/* sys_enter(struct pt_regs *regs, long number) */
int on_sys_enter(struct bpf_raw_tracepoint_args *ctx)
{
	u8 followed = how_followed(ctx->args[1]);
	struct in_flight now;
	struct syscall *call;

	if (!followed)
		return 0;
#ifndef LATENCY
	if (followed != FROM_ENTRY && !fds_are_shared())
		return 0;
#endif
	now = call_in_flight((struct pt_regs *)ctx->args[0]);
	call = syscalls.lookup(&now.slot);
	if (!call || !call->known)
		return 0;
	if (call->on_entry != NO_ARGUMENT) {
		begin_tail_call();
		go_on(ctx, call->on_entry);
		return 0;
	}
	if (call->ends_argument != NO_ARGUMENT) {
		remember_closing(&now, call);
		return 0;
	}
	remember(now.slot, fd_argument(&now, call->read_argument),
		 fd_argument(&now, call->write_argument));
	if (is_transfer(call))
		begin_transfer(target_of_fd(fd_argument(&now, call->write_argument)).fd_type);
	return 0;
}

static __always_inline u32 read_account(const struct in_flight *now, struct syscall *call,
					u32 fd_type)
{
	u32 index = call->flags_argument;

	if (index == NO_ARGUMENT)
		return call->read_account;
	return receive_account(argument_of(now, index), fd_type, true);
}

/* Counts the descriptor that is read from, or the one that is written to; returns its fd type. */
static __always_inline u32 one_side(const struct in_flight *now, struct syscall *call,
				    const struct pending *then, bool writes, s64 result,
				    u64 operations)
{
	u32 fd = fd_argument(now, writes ? call->write_argument : call->read_argument);
	struct target target = target_at_return(then, writes, fd);
	u32 account = writes ? ACCOUNT_FILE_WRITE : read_account(now, call, target.fd_type);

	finish_of(now->owner, now->slot, account, target, call->door, result, operations);
	return target.fd_type;
}

/*
 * True if the failed call was no operation: it was given no descriptor that it could use. A call
 * that found no free descriptor can be an operation all the same: reading fanotify's events opens
 * files.
 */
static __always_inline bool ends_refused(const struct in_flight *now, struct syscall *call,
					 const struct pending *then, s64 result)
{
	u32 in = call->read_argument, out = call->write_argument;

	switch (result) {
	case -EMFILE:
	case -ENFILE:
		fd_refused_to(now->owner, call->birth, result);
		event_fd_refused(call->birth, result);
		return false;
	case -EBADF:
		if ((in != NO_ARGUMENT || out != NO_ARGUMENT) &&
		    !(in != NO_ARGUMENT && lacks_file(then, 0, fd_argument(now, in))) &&
		    !(out != NO_ARGUMENT && lacks_file(then, 1, fd_argument(now, out))))
			return false;
		break;
	case -ENOTSOCK:
		break;
	default:
		return false;
	}
	fd_refused_to(now->owner, BIRTH_OTHER, result);
	return true;
}

/* Begins to read the control messages of a call, in user memory: see syscalls/fds.c. */
static __always_inline struct control_walk *current_control(void)
{
	u32 key = scratch_key();

	return control_walks.lookup(&key);
}

static __always_inline struct control_walk *new_control(void)
{
#ifdef PREEMPTED
	struct control_walk empty = {};
	u32 key = scratch_key();

	control_walks.update(&key, &empty);
#endif
	return current_control();
}

/* `headers`: the first struct msghdr, or struct mmsghdr if there are several. */
static __always_inline void control_messages(struct bpf_raw_tracepoint_args *ctx, u64 headers,
					     u32 count, bool sent)
{
	struct control_walk *walk = new_control();

	if (!walk) {
		lose(LOSS_SCRATCH);
		return;
	}
	__builtin_memset(walk, 0, sizeof(*walk));
	walk->header = headers;
	walk->messages = count;
	walk->sent = sent;
	go_on(ctx, TAIL_CALL_CONTROL);
}

/* sys_exit(struct pt_regs *regs, long result) */
int on_sys_exit(struct bpf_raw_tracepoint_args *ctx)
{
	struct pt_regs *regs = (struct pt_regs *)ctx->args[0];
	s64 result = ctx->args[1];
	struct in_flight now;
	struct pending *then;
	struct syscall *call;
	bool writes;
	u32 fd_type;

	if (!how_followed(syscall_number(regs)))
		return 0;
	now = call_in_flight(regs);
	call = syscalls.lookup(&now.slot);
	if (!call || !call->known)
		return 0;
	now.owner = current_process_key();
	then = remembered(now.slot);
	if (result < 0 && ends_refused(&now, call, then, result)) {
		if (is_transfer(call))
			end_transfer();
		used(then);
		return 0;
	}
	if (call->tail_call != NO_ARGUMENT && result >= call->least) {
		begin_tail_call();
		go_on(ctx, call->tail_call);
		return 0;
	}
	if (call->read_argument == NO_ARGUMENT && call->write_argument == NO_ARGUMENT)
		return 0;
	writes = call->one_way ? fd_is_writable(now.first) : call->write_argument != NO_ARGUMENT;
	if (call->bytes_argument != NO_ARGUMENT && result == 0)
		result = argument_of(&now, call->bytes_argument);
	fd_type = one_side(&now, call, then, writes, result, 1);
	if (is_transfer(call))
		end_transfer();
	used(then);
	if (call->when == WHEN_IN_MESSAGE && is_unix_socket(fd_type) &&
	    (writes ? takes_fds_along(fd_type, result) : result >= 0))
		control_messages(ctx, argument_of(&now, 1), 1, writes);
	return 0;
}

/*
 * Tail call of system calls that read one descriptor and write another: in the program of the
 * others, the verifier would follow each way through the first with each through the second.
 */
int on_two_fds(struct bpf_raw_tracepoint_args *ctx)
{
	struct in_flight now = call_in_flight((struct pt_regs *)ctx->args[0]);
	struct syscall *call = syscalls.lookup(&now.slot);
	s64 result = ctx->args[1];
	struct pending *then;

	if (!call)
		return 0;
	now.owner = current_process_key();
	then = remembered(now.slot);
	one_side(&now, call, then, false, result, 1);
	one_side(&now, call, then, true, result, 1);
	if (is_transfer(call))
		end_transfer();
	used(then);
	return 0;
}

/* msg_len of one message of sendmmsg or recvmmsg. */
static __always_inline u32 message_length(u64 vector, u32 index)
{
	u32 stride = is_compat() ? 32 : 64, msg_len = is_compat() ? 28 : 56;
	u32 length = 0;

	read_user(&length, sizeof(length), vector + index * stride + msg_len);
	return length;
}

/* Tail call of sendmmsg and recvmmsg, which return a number of messages. */
int on_messages(struct bpf_raw_tracepoint_args *ctx)
{
	struct in_flight now = call_in_flight((struct pt_regs *)ctx->args[0]);
	struct syscall *call = syscalls.lookup(&now.slot);
	struct progress *done = current_progress();
	u64 vector = argument_of(&now, 1);
	u32 messages = ctx->args[1], i, fd_type;
	struct pending *then;
	bool writes;

	/* A call of no message is no operation. */
	if (!call || !messages)
		return 0;
	if (!done) {
		lose(LOSS_SCRATCH);
		return 0;
	}
	for (i = 0; i < MESSAGES_A_CALL; i++)
		if (done->position + i < messages)
			done->bytes += message_length(vector, done->position + i);
	done->position += MESSAGES_A_CALL;
	if (done->position < messages) {
		go_on(ctx, TAIL_CALL_MESSAGES);
		return 0;
	}
	writes = call->write_argument != NO_ARGUMENT;
	now.owner = current_process_key();
	then = remembered(now.slot);
	fd_type = one_side(&now, call, then, writes, done->bytes, messages);
	used(then);
	if (is_unix_socket(fd_type))
		control_messages(ctx, vector, messages, writes);
	return 0;
}
