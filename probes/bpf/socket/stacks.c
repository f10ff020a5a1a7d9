/* SPDX-License-Identifier: GPL-2.0-only */
/* The proof: every so often, the kernel's own call chain from the door down to the socket layer. */
#include "core/account.c"

#ifdef STACKS_EVERY

static __always_inline bool is_sampled(void)
{
	u32 zero = 0;
	u64 *turn = stack_turns.lookup(&zero);

	return turn && __sync_fetch_and_add(turn, 1) % STACKS_EVERY == 0;
}

/* True if all sockets are sampled, or this one, which `file` stands for. */
static __always_inline bool is_wanted(const struct file *file)
{
#ifdef STACKS_SOCKET
	struct inode *inode = NULL;
	u64 number = 0;

	PROBE_READ(inode, &file->f_inode);
	PROBE_READ(number, &inode->i_ino);
	return number == STACKS_SOCKET;
#else
	return true;
#endif
}

static __always_inline void sample_stack(void *ctx, u32 direction, u32 fd_type,
					 const struct file *file)
{
	struct stack_key key = {.account = direction, .fd_type = fd_type};
	u64 *count, zero = 0;
	int stack;

	if (!is_wanted(file) || !is_sampled())
		return;
	stack = stacks.get_stackid(ctx, 0);
	key.stack = stack < 0 ? NO_STACK : stack;
	count = stack_samples.lookup(&key);
	if (!count) {
		stack_samples.insert(&key, &zero);
		count = stack_samples.lookup(&key);
	}
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		lose(LOSS_STACKS_FULL);
}
#else
static __always_inline void sample_stack(void *ctx, u32 direction, u32 fd_type,
					 const struct file *file)
{
}
#endif
