/* SPDX-License-Identifier: GPL-2.0-only */
/* The fd type of a file, and the scope of a socket: where its peer is. */
#pragma once

#ifndef S_IFMT /* the kernel's own headers have the rest too */
#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define S_IFREG 0100000
#define S_IFBLK 0060000
#define S_IFDIR 0040000
#define S_IFCHR 0020000
#define S_IFIFO 0010000

#define SB_KERNMOUNT (1 << 22)

#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define AF_NETLINK 16
#define AF_PACKET 17
#define AF_VSOCK 40

#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define SOCK_RAW 3
#define SOCK_SEQPACKET 5

#define IPPROTO_ICMP 1
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_ICMPV6 58
#define IPPROTO_SCTP 132
#define IPPROTO_UDPLITE 136
#define IPPROTO_MPTCP 262

#define MSG_PEEK 0x2
#define MSG_TRUNC 0x20
#define MSG_ERRQUEUE 0x2000

#define IFF_LOOPBACK (1 << 3)
#endif

#define MQUEUE_MAGIC 0x19800202
#define NSFS_MAGIC 0x6e736673
#define PIDFS_MAGIC 0x50494446
#define TMPFS_MAGIC 0x01021994
#define HUGETLBFS_MAGIC 0x958458f6
#define SECRETMEM_MAGIC 0x5345434d

/* The first eight bytes of a name, as one number. */
#define NAME8(a, b, c, d, e, f, g, h)                                                     \
	((u64)(a) | (u64)(b) << 8 | (u64)(c) << 16 | (u64)(d) << 24 | (u64)(e) << 32 |    \
	 (u64)(f) << 40 | (u64)(g) << 48 | (u64)(h) << 56)

static __always_inline bool is_socket(u32 fd_type)
{
	return fd_type >= FD_TYPE_TCP && fd_type <= FD_TYPE_SOCKET_OTHER;
}

static __always_inline bool is_unix_socket(u32 fd_type)
{
	return fd_type >= FD_TYPE_UNIX_STREAM && fd_type <= FD_TYPE_UNIX_SEQPACKET;
}

static __always_inline u32 inet_fd_type(u16 type, u16 protocol)
{
	if (type == SOCK_RAW)
		return FD_TYPE_RAW;
	switch (protocol) {
	case IPPROTO_TCP:
	case IPPROTO_MPTCP:
		return FD_TYPE_TCP;
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
		return FD_TYPE_UDP;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return FD_TYPE_ICMP;
	case IPPROTO_SCTP:
		return FD_TYPE_SCTP;
	}
	return FD_TYPE_SOCKET_OTHER;
}

static __always_inline u32 unix_fd_type(u16 type)
{
	if (type == SOCK_STREAM)
		return FD_TYPE_UNIX_STREAM;
	return type == SOCK_SEQPACKET ? FD_TYPE_UNIX_SEQPACKET : FD_TYPE_UNIX_DGRAM;
}

/* The devices of the terminal layer: virtual consoles, serial lines, /dev/tty, ptys. */
static __always_inline bool is_tty(u32 major)
{
	switch (major) {
	case TTY_MAJORS:
		return true;
	}
	return false;
}

#define TYPED(name) name
#include "core/file_type.h"
#undef TYPED

/* True if MSG_ERRQUEUE asks for the error queue; other sockets ignore the flag. */
static __always_inline bool has_error_queue(u32 fd_type)
{
	switch (fd_type) {
	case FD_TYPE_TCP:
	case FD_TYPE_UDP:
	case FD_TYPE_ICMP:
	case FD_TYPE_RAW:
	case FD_TYPE_PACKET:
	case FD_TYPE_VSOCK:
	case FD_TYPE_SOCKET_OTHER:
		return true;
	}
	return false;
}

/*
 * The account of a receive. With these flags the bytes are copies of what was sent (MSG_ERRQUEUE),
 * stay in the queue (MSG_PEEK), or may not all reach memory (MSG_TRUNC).
 */
static __always_inline u32 receive_account(u64 flags, u32 fd_type, bool at_file_layer)
{
	if (flags & MSG_ERRQUEUE && has_error_queue(fd_type))
		return at_file_layer ? ACCOUNT_FILE_ERRQUEUE : ACCOUNT_SOCKET_ERRQUEUE;
	if (flags & MSG_PEEK)
		return at_file_layer ? ACCOUNT_FILE_PEEK : ACCOUNT_SOCKET_PEEK;
	if (flags & MSG_TRUNC)
		return at_file_layer ? ACCOUNT_FILE_TRUNCATE : ACCOUNT_SOCKET_TRUNCATE;
	return at_file_layer ? ACCOUNT_FILE_READ : ACCOUNT_SOCKET_RECEIVE;
}

/*
 * The struct pid behind a pidfd. It is in the inode since Linux kernel commit cb12fd8e0dab
 * ("pidfd: add pidfs") (in v6.9), and in the file of an anonymous inode before.
 */
static __always_inline const struct pid *pid_behind(const struct file *pidfd)
{
	const struct inode *inode = NULL;
	const struct pid *pid = NULL;
	u16 mode = 0;

	PROBE_READ(inode, &pidfd->f_inode);
	PROBE_READ(mode, &inode->i_mode);
	if ((mode & S_IFMT) == S_IFREG)
		PROBE_READ(pid, &inode->i_private);
	else
		PROBE_READ(pid, &pidfd->private_data);
	return pid;
}

/* Addresses are in network byte order, on machines that are little-endian. */

/* 127.0.0.0/8 */
static __always_inline bool is_loopback_v4(u32 address)
{
	return (address & 0xff) == 127;
}

static __always_inline u32 scope_v4(u32 peer, u32 own)
{
	if (is_loopback_v4(peer) || (peer && peer == own) || is_loopback_v4(own))
		return SCOPE_LOOPBACK;
	return peer ? SCOPE_REMOTE : SCOPE_UNKNOWN;
}

/* True for ::1; `half` are the two halves of the address. */
static __always_inline bool is_loopback_v6(const u64 half[2])
{
	return !half[0] && half[1] == 1ULL << 56;
}

static __always_inline u32 scope_v6(const struct sock *sk)
{
	u64 peer[2] = {}, own[2] = {};

	PROBE_READ(peer, &sk->__sk_common.skc_v6_daddr);
	PROBE_READ(own, &sk->__sk_common.skc_v6_rcv_saddr);
	/* ::ffff:a.b.c.d, an IPv4 peer */
	if (!peer[0] && (u32)peer[1] == 0xffff0000)
		return scope_v4(peer[1] >> 32, own[1] >> 32);
	if (is_loopback_v6(peer) || is_loopback_v6(own))
		return SCOPE_LOOPBACK;
	if (!peer[0] && !peer[1])
		return SCOPE_UNKNOWN;
	return peer[0] == own[0] && peer[1] == own[1] ? SCOPE_LOOPBACK : SCOPE_REMOTE;
}

/* The MPTCP socket of a program sends nothing itself: its first subflow has the route. */
static __always_inline const struct sock *first_subflow(const struct sock *sk)
{
	const struct sock *first = NULL;
#ifdef HAVE_mptcp_sock_first
	u16 protocol = 0;

	PROBE_READ(protocol, &sk->sk_protocol);
	if (protocol == IPPROTO_MPTCP)
		PROBE_READ(first, &((const struct mptcp_sock *)sk)->first);
#endif
	return first;
}

/* True if the route goes to the loopback device: the peer can be another address of this host. */
static __always_inline bool routed_to_loopback(const struct sock *sk)
{
	const struct sock *subflow = first_subflow(sk);
	struct dst_entry *dst = NULL;
	struct net_device *dev = NULL;
	u32 flags = 0;

	PROBE_READ(dst, &(subflow ?: sk)->sk_dst_cache);
	if (dst)
		PROBE_READ(dev, &dst->dev);
	if (dev)
		PROBE_READ(flags, &dev->flags);
	return flags & IFF_LOOPBACK;
}

static __always_inline u32 sock_scope(const struct sock *sk)
{
	u32 peer = 0, own = 0, scope;
	u16 family = 0;

	PROBE_READ(family, &sk->__sk_common.skc_family);
	if (family == AF_INET) {
		PROBE_READ(peer, &sk->__sk_common.skc_daddr);
		PROBE_READ(own, &sk->__sk_common.skc_rcv_saddr);
		scope = scope_v4(peer, own);
	} else if (family == AF_INET6) {
		scope = scope_v6(sk);
	} else {
		return family == AF_UNIX || family == AF_NETLINK ? SCOPE_LOCAL : SCOPE_UNKNOWN;
	}
	return scope == SCOPE_REMOTE && routed_to_loopback(sk) ? SCOPE_LOOPBACK : scope;
}
