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

static __always_inline u32 sock_fd_type(const struct sock *sk)
{
	u16 family = 0, type = 0, protocol = 0;

	PROBE_READ(family, &sk->__sk_common.skc_family);
	PROBE_READ(type, &sk->sk_type);
	switch (family) {
	case AF_INET:
	case AF_INET6:
		PROBE_READ(protocol, &sk->sk_protocol);
		return inet_fd_type(type, protocol);
	case AF_UNIX:
		return unix_fd_type(type);
	case AF_NETLINK:
		return FD_TYPE_NETLINK;
	case AF_PACKET:
		return FD_TYPE_PACKET;
	case AF_VSOCK:
		return FD_TYPE_VSOCK;
	}
	return FD_TYPE_SOCKET_OTHER;
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

static __always_inline u32 character_fd_type(const struct inode *inode)
{
	u32 rdev = 0;

	PROBE_READ(rdev, &inode->i_rdev);
	return is_tty(rdev >> 20) ? FD_TYPE_TTY : FD_TYPE_CHARACTER;
}

static __always_inline u32 regular_fd_type(const struct super_block *sb)
{
	unsigned long magic = 0, flags = 0;

	PROBE_READ(magic, &sb->s_magic);
	switch ((u32)magic) {
	case MQUEUE_MAGIC:
		return FD_TYPE_MQUEUE;
	case PIDFS_MAGIC:
		return FD_TYPE_PIDFD;
	case NSFS_MAGIC:
		return FD_TYPE_NAMESPACE;
	case SECRETMEM_MAGIC:
		return FD_TYPE_MEMFD;
	case TMPFS_MAGIC:
	case HUGETLBFS_MAGIC:
		/* The kernel's own, unmounted instance holds nothing but memfds. */
		PROBE_READ(flags, &sb->s_flags);
		return flags & SB_KERNMOUNT ? FD_TYPE_MEMFD : FD_TYPE_REGULAR;
	}
	return FD_TYPE_REGULAR;
}

/* Anonymous inodes have no type: the name of the dentry says what they are. */
static __always_inline u32 anonymous_fd_type(const struct file *file)
{
	const unsigned char *name = NULL;
	struct dentry *dentry = NULL;
	u64 head = 0;

	PROBE_READ(dentry, &file->f_path.dentry);
	PROBE_READ(name, &dentry->d_name.name);
	PROBE_READ(head, name);
	asm volatile("" : "+r"(head));
	switch (head) {
	case NAME8('[', 'e', 'v', 'e', 'n', 't', 'f', 'd'):
		return FD_TYPE_EVENTFD;
	case NAME8('[', 'e', 'v', 'e', 'n', 't', 'p', 'o'):
		return FD_TYPE_EVENTPOLL;
	case NAME8('[', 't', 'i', 'm', 'e', 'r', 'f', 'd'):
		return FD_TYPE_TIMERFD;
	case NAME8('[', 's', 'i', 'g', 'n', 'a', 'l', 'f'):
		return FD_TYPE_SIGNALFD;
	case NAME8('i', 'n', 'o', 't', 'i', 'f', 'y', 0):
		return FD_TYPE_INOTIFY;
	case NAME8('[', 'f', 'a', 'n', 'o', 't', 'i', 'f'):
		return FD_TYPE_FANOTIFY;
	case NAME8('[', 'i', 'o', '_', 'u', 'r', 'i', 'n'):
		return FD_TYPE_IO_URING;
	case NAME8('[', 'p', 'i', 'd', 'f', 'd', ']', 0):
		return FD_TYPE_PIDFD;
	case NAME8('b', 'p', 'f', '-', 'm', 'a', 'p', 0):
	case NAME8('b', 'p', 'f', '-', 'p', 'r', 'o', 'g'):
	case NAME8('b', 'p', 'f', '-', 'l', 'i', 'n', 'k'):
	case NAME8('b', 'p', 'f', '_', 'l', 'i', 'n', 'k'):
	case NAME8('b', 'p', 'f', '_', 'i', 't', 'e', 'r'):
		return FD_TYPE_BPF;
	case NAME8('[', 'p', 'e', 'r', 'f', '_', 'e', 'v'):
		return FD_TYPE_PERF_EVENT;
	case NAME8('[', 'u', 's', 'e', 'r', 'f', 'a', 'u'):
		return FD_TYPE_USERFAULTFD;
	}
	return FD_TYPE_ANON_OTHER;
}

/* The protocol's side of a socket; NULL once it is released. */
static __always_inline struct sock *sock_of(const struct socket *sock)
{
	struct sock *sk = NULL;

	PROBE_READ(sk, &sock->sk);
	return sk;
}

static __always_inline struct socket *socket_of(const struct file *file)
{
	struct socket *sock = NULL;

	PROBE_READ(sock, &file->private_data);
	return sock;
}

static __always_inline struct target socket_target(const struct socket *sock)
{
	const struct sock *sk = sock_of(sock);
	struct target target = {.fd_type = sk ? sock_fd_type(sk) : FD_TYPE_SOCKET_OTHER};

	return target;
}

/* `fd_type`: what a file of this mode is, unless its filesystem is a special one. */
static __always_inline struct target filesystem_target(const struct inode *inode, u32 fd_type)
{
	struct target target = {.fd_type = fd_type};
	struct super_block *sb = NULL;

	PROBE_READ(sb, &inode->i_sb);
	PROBE_READ(target.filesystem, &sb->s_type);
	if (fd_type == FD_TYPE_REGULAR)
		target.fd_type = regular_fd_type(sb);
	return target;
}

static __always_inline struct target target_of(const struct file *file)
{
	struct target target = {.fd_type = FD_TYPE_OTHER};
	struct inode *inode = NULL;
	u16 mode = 0;

	PROBE_READ(inode, &file->f_inode);
	PROBE_READ(mode, &inode->i_mode);
	asm volatile("" : "+r"(mode));
	switch (mode & S_IFMT) {
	case S_IFSOCK:
		target = socket_target(socket_of(file));
		break;
	case S_IFREG:
		target = filesystem_target(inode, FD_TYPE_REGULAR);
		break;
	case S_IFDIR:
		target = filesystem_target(inode, FD_TYPE_DIRECTORY);
		break;
	case S_IFBLK:
		target = filesystem_target(inode, FD_TYPE_BLOCK);
		break;
	case S_IFIFO:
		target.fd_type = FD_TYPE_FIFO;
		break;
	case S_IFCHR:
		target.fd_type = character_fd_type(inode);
		break;
	case 0:
		target.fd_type = anonymous_fd_type(file);
	}
	target.file = (u64)file;
	target.inode = (u64)inode;
	/* What follows is the same code for all types. */
	asm volatile("" : "+r"(target.fd_type));
	return target;
}

/* True for a descriptor opened with O_PATH: no operation reaches the file through it. */
static __always_inline bool is_path(const struct file *file)
{
	return file_mode(file) & FMODE_PATH;
}

static __always_inline u32 file_fd_type(const struct file *file)
{
	return is_path(file) ? FD_TYPE_PATH : target_of(file).fd_type;
}

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
