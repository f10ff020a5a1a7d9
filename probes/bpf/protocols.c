/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The socket layer where the kernel has no tracepoints of it: the operations of each protocol
 * family. unix_seqpacket_* call unix_dgram_*, so these stand for both.
 */

static __always_inline int protocol_operation(u32 direction, u64 sock, s32 result)
{
	struct sock *sk = NULL;

	READ(sk, &((struct socket *)sock)->sk);
	return sk ? socket_operation(direction, sk, result) : 0;
}

/* int FAMILY_sendmsg(struct socket *sock, struct msghdr *msg, size_t size) */
#define ON_SENDMSG(fn)                                                          \
	ON_RETURN(fn)                                                           \
	{                                                                       \
		return protocol_operation(ACCOUNT_SOCKET_SEND, arg[0], result); \
	}

/* int FAMILY_recvmsg(struct socket *sock, struct msghdr *msg, size_t size, int flags) */
#define ON_RECVMSG(fn)                                                                    \
	ON_RETURN(fn)                                                                     \
	{                                                                                 \
		return protocol_operation(arg[3] & MSG_PEEK ? ACCOUNT_SOCKET_PEEK :       \
							      ACCOUNT_SOCKET_RECEIVE,     \
					  arg[0], result);                                \
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
ON_RECVMSG(unix_dgram_recvmsg)
ON_RECVMSG(netlink_recvmsg)
ON_RECVMSG(packet_recvmsg)
