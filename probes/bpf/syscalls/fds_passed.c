/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Descriptors that travel through unix sockets, in tracepoint mode: the messages in user memory tell
 * when the call returns.
 */
#include "core/account.c"
#include "core/pending.c"
#include "core/scratch.c"
#include "fds/lifecycle.c"
#include "fds/walk.c"

#define SOL_SOCKET 1
#define SCM_RIGHTS 1
#define SCM_PIDFD 4 /* of the sender, made for the receiver */

/* How far the control messages of a call have been read, in user memory. */

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

/* Pointers and lengths are as wide as the program's. */
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

static __always_inline void next_passed_fd(struct control_walk *walk)
{
	struct file *file;
	u32 fd = NO_FD;

	read_user(&fd, sizeof(fd), walk->fds);
	walk->fds += sizeof(fd);
	file = file_of(fd);
	if (!file)
		return;
	if (walk->sent)
		account_current(ACCOUNT_FD_PASSED, file_fd_type(file), PASSING_SENT, 0, 1);
	else
		fd_opened(fd, file, BIRTH_SCM_RIGHTS);
}

static __always_inline bool control_is_left(const struct control_walk *walk)
{
	return walk->fds + sizeof(u32) <= walk->fds_end ||
	       walk->control + (is_compat() ? 12 : 16) <= walk->control_end || walk->messages;
}

static __always_inline void control_step(struct control_walk *walk)
{
	if (walk->fds + sizeof(u32) <= walk->fds_end)
		next_passed_fd(walk);
	else if (walk->control + (is_compat() ? 12 : 16) <= walk->control_end)
		next_control_message(walk);
	else if (walk->messages)
		next_header(walk);
}

/* Tail call of what sends and receives messages on unix sockets: descriptors that are passed. */
int on_control(struct bpf_raw_tracepoint_args *ctx)
{
	struct control_walk *walk = current_control();
	u32 i;

	if (!walk) {
		lose(LOSS_SCRATCH);
		return 0;
	}
	for (i = 0; i < CONTROL_STEPS_A_CALL; i++)
		control_step(walk);
	if (!control_is_left(walk))
		return 0;
	tail_calls.call(ctx, TAIL_CALL_CONTROL);
	lose(LOSS_FDS_UNSEEN);
	return 0;
}
