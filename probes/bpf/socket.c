/* SPDX-License-Identifier: GPL-2.0-only */
/* The socket layer: what the protocols took and gave, whatever call it was for. */

/* True for what the kernel does for itself: no struct file stands for the socket. */
static __always_inline bool is_kernel_socket(const struct sock *sk)
{
	struct socket *sock = NULL;
	struct file *file = NULL;
#ifdef BIT_sock_sk_kern_sock
	u8 flags = 0;

	PROBE_READ(flags, (const char *)sk + BIT_sock_sk_kern_sock / 8);
	if (flags >> (BIT_sock_sk_kern_sock % 8) & 1)
		return true;
#endif
	PROBE_READ(sock, &sk->sk_socket);
	if (sock)
		PROBE_READ(file, &sock->file);
	return !file;
}

static __always_inline int socket_operation(u32 direction, struct sock *sk, s32 result)
{
	u32 via = sock_scope(sk) | (is_kernel_socket(sk) ? KERNEL_SOCKET : 0);

	if (result >= 0)
		account_current(direction, sock_fd_type(sk), via, result, 1);
	return 0;
}

static __always_inline u32 receive_direction(u64 flags)
{
	return flags & MSG_PEEK ? ACCOUNT_SOCKET_PEEK : ACCOUNT_SOCKET_RECEIVE;
}

/* sock_send_length(struct sock *sk, int result, int flags) */
int on_sock_send_length(struct bpf_raw_tracepoint_args *ctx)
{
	return socket_operation(ACCOUNT_SOCKET_SEND, (struct sock *)ctx->args[0], ctx->args[1]);
}

/* sock_recv_length(struct sock *sk, int result, int flags) */
int on_sock_recv_length(struct bpf_raw_tracepoint_args *ctx)
{
	return socket_operation(receive_direction(ctx->args[2]), (struct sock *)ctx->args[0],
				ctx->args[1]);
}
