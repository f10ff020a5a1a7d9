/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The socket layer of a kernel without its tracepoints: the operations of each protocol family.
 * unix_seqpacket_sendmsg calls unix_dgram_sendmsg on every kernel, so one hook serves both.
 * unix_seqpacket_recvmsg calls unix_dgram_recvmsg on some kernels only, so each has its hook.
 */
#include "attach.c"
#include "socket/socket.c"

static __always_inline int protocol_operation(void *ctx, u32 direction, u64 flags, u64 sock,
					      s32 result)
{
	struct sock *sk = sock_of((struct socket *)sock);

	return sk ? socket_operation(ctx, direction, flags, sk, result) : 0;
}

/* int FAMILY_sendmsg(struct socket *sock, struct msghdr *msg, size_t size) */
#define ON_SENDMSG(fn)                                                          \
	ON_RETURN(fn)                                                           \
	{                                                                       \
		return protocol_operation(ctx, ACCOUNT_SOCKET_SEND, 0, arg[0], result); \
	}

/* int FAMILY_recvmsg(struct socket *sock, struct msghdr *msg, size_t size, int flags) */
#define ON_RECVMSG(fn)                                                                       \
	ON_RETURN(fn)                                                                        \
	{                                                                                    \
		return protocol_operation(ctx, ACCOUNT_SOCKET_RECEIVE, arg[3], arg[0], result);   \
	}

ON_SENDMSG(inet_sendmsg)
ON_SENDMSG(inet6_sendmsg)
ON_SENDMSG(unix_stream_sendmsg)
ON_SENDMSG(unix_dgram_sendmsg)
ON_SENDMSG(netlink_sendmsg)
ON_SENDMSG(packet_sendmsg)

ON_RECVMSG(inet_recvmsg)
ON_RECVMSG(inet6_recvmsg)
ON_RECVMSG(unix_stream_recvmsg)
ON_RECVMSG(unix_seqpacket_recvmsg)
ON_RECVMSG(netlink_recvmsg)
ON_RECVMSG(packet_recvmsg)
ON_RECVMSG(sock_common_recvmsg) /* raw and ping sockets over IPv6 */

/* int unix_dgram_recvmsg(struct socket *sock, struct msghdr *msg, size_t size, int flags) */
ON_RETURN(unix_dgram_recvmsg)
{
	struct sock *sk = sock_of((struct socket *)arg[0]);

	if (!sk || sock_fd_type(sk) == FD_TYPE_UNIX_SEQPACKET)
		return 0;
	return protocol_operation(ctx, ACCOUNT_SOCKET_RECEIVE, arg[3], arg[0], result);
}

/*
 * ssize_t sock_sendpage(struct file *file, struct page *, int, size_t, loff_t *, int): splice and
 * sendfile to a socket. A protocol without a function of its own calls its sendmsg, which is
 * counted.
 */
ON_RETURN(sock_sendpage)
{
	struct sock *sk = sock_of(socket_of((struct file *)arg[0]));

	if (!sk)
		return 0;
	switch (sock_fd_type(sk)) {
	case FD_TYPE_TCP:
	case FD_TYPE_UDP:
	case FD_TYPE_UNIX_STREAM:
		return socket_operation(ctx, ACCOUNT_SOCKET_SEND, 0, sk, result);
	}
	return 0;
}
