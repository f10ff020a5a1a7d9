/* SPDX-License-Identifier: GPL-2.0-only */
/* The socket layer: what the protocols took and gave, whatever call it was for. */
#include "attach/tracepoints.c"
#include "core/account.c"
#include "core/transfers.c"
#include "socket/stacks.c"

/* What stands for the socket; NULL for what the kernel does for itself. */
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
	struct file *file = file_of_sock(sk);
	u32 fd_type = sock_fd_type(sk);

	if (result < 0)
		return 0;
	/* A thread of the kernel works on the socket that a process gave it: nbd, iscsi, sockmap. */
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
