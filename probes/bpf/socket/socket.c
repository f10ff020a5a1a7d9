/* SPDX-License-Identifier: GPL-2.0-only */
/* The socket layer: the bytes that protocols sent and received, for any call. */
#include "attach.c"
#include "core/account.c"
#include "core/in_flight.c"

/* Sampled stacks: the kernel's own call chain, from the door down to the socket layer. */
#ifdef STACKS_EVERY

static __always_inline bool is_sampled(void)
{
	u32 zero = 0;
	u64 *turn = stack_turns.lookup(&zero);

	return turn && __sync_fetch_and_add(turn, 1) % STACKS_EVERY == 0;
}

/* True if all sockets are sampled, or the socket of this file is. */
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

/* The file of the socket; NULL for a socket that the kernel uses itself. */
static __always_inline struct file *file_of_sock(const struct sock *sk)
{
	struct socket *sock = NULL;
	struct file *file = NULL;
#ifdef BIT_sock_sk_kern_sock
	u8 flags = 0;

	PROBE_READ(flags, (const char *)sk + BIT_sock_sk_kern_sock / 8);
	if (flags >> (BIT_sock_sk_kern_sock % 8) & 1)
		return NULL;
#endif
	PROBE_READ(sock, &sk->sk_socket);
	if (sock)
		PROBE_READ(file, &sock->file);
	return file;
}

/* `flags`: MSG_* of a receive. */
static __always_inline int socket_operation(void *ctx, u32 direction, u64 flags, struct sock *sk,
					    s32 result)
{
	struct file *file;
	u32 fd_type;

	if (result < 0)
		return 0;
	file = file_of_sock(sk);
	fd_type = sock_fd_type(sk);
	/* A kernel thread uses a socket that a process gave it: nbd, iscsi, sockmap. */
	if (task_flags() & PF_KTHREAD)
		file = NULL;
	if (direction == ACCOUNT_SOCKET_RECEIVE)
		direction = receive_account(flags, fd_type, false);
	account_current(direction, fd_type, sock_scope(sk) | (file ? 0 : KERNEL_SOCKET),
			result, 1);
	if (!file)
		return 0;
	if (direction == ACCOUNT_SOCKET_SEND)
		transfer_goes_on(fd_type, result);
	sample_stack(ctx, direction, fd_type, file);
	return 0;
}

/* sock_send_length(struct sock *sk, int result, int flags) */
ON_TRACEPOINT(sock_send_length)
{
	return socket_operation(ctx, ACCOUNT_SOCKET_SEND, 0, (struct sock *)arg[0], arg[1]);
}

/* sock_recv_length(struct sock *sk, int result, int flags) */
ON_TRACEPOINT(sock_recv_length)
{
	return socket_operation(ctx, ACCOUNT_SOCKET_RECEIVE, arg[2], (struct sock *)arg[0],
				arg[1]);
}
