/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fd type of a file, read from the kernel's structs: for fd_type.h and for walk_type.h, which say
 * by PROBE_READ() how, and by TYPED() what the functions are named.
 */

static __always_inline u32 TYPED(sock_fd_type)(const struct sock *sk)
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

static __always_inline u32 TYPED(character_fd_type)(const struct inode *inode)
{
	u32 rdev = 0;

	PROBE_READ(rdev, &inode->i_rdev);
	return is_tty(rdev >> 20) ? FD_TYPE_TTY : FD_TYPE_CHARACTER;
}

static __always_inline u32 TYPED(regular_fd_type)(const struct super_block *sb)
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
static __always_inline u32 TYPED(anonymous_fd_type)(const struct file *file)
{
	const unsigned char *name = NULL;
	struct dentry *dentry = NULL;
	u64 head = 0;

	PROBE_READ(dentry, &file->f_path.dentry);
	PROBE_READ(name, &dentry->d_name.name);
	PROBE_READ(head, name);
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
static __always_inline struct sock *TYPED(sock_of)(const struct socket *sock)
{
	struct sock *sk = NULL;

	PROBE_READ(sk, &sock->sk);
	return sk;
}

static __always_inline struct socket *TYPED(socket_of)(const struct file *file)
{
	struct socket *sock = NULL;

	PROBE_READ(sock, &file->private_data);
	return sock;
}

static __always_inline struct target TYPED(socket_target)(const struct socket *sock)
{
	const struct sock *sk = TYPED(sock_of)(sock);
	struct target target = {.fd_type = sk ? TYPED(sock_fd_type)(sk) : FD_TYPE_SOCKET_OTHER};

	return target;
}

/* `fd_type`: what a file of this mode is, unless its filesystem is a special one. */
static __always_inline struct target TYPED(filesystem_target)(const struct inode *inode, u32 fd_type)
{
	struct target target = {.fd_type = fd_type};
	struct super_block *sb = NULL;

	PROBE_READ(sb, &inode->i_sb);
	PROBE_READ(target.filesystem, &sb->s_type);
	if (fd_type == FD_TYPE_REGULAR)
		target.fd_type = TYPED(regular_fd_type)(sb);
	return target;
}

static __always_inline struct target TYPED(target_of)(const struct file *file)
{
	struct target target = {.fd_type = FD_TYPE_OTHER};
	struct inode *inode = NULL;
	u16 mode = 0;

	PROBE_READ(inode, &file->f_inode);
	PROBE_READ(mode, &inode->i_mode);
	switch (mode & S_IFMT) {
	case S_IFSOCK:
		target = TYPED(socket_target)(TYPED(socket_of)(file));
		break;
	case S_IFREG:
		target = TYPED(filesystem_target)(inode, FD_TYPE_REGULAR);
		break;
	case S_IFDIR:
		target = TYPED(filesystem_target)(inode, FD_TYPE_DIRECTORY);
		break;
	case S_IFBLK:
		target = TYPED(filesystem_target)(inode, FD_TYPE_BLOCK);
		break;
	case S_IFIFO:
		target.fd_type = FD_TYPE_FIFO;
		break;
	case S_IFCHR:
		target.fd_type = TYPED(character_fd_type)(inode);
		break;
	case 0:
		target.fd_type = TYPED(anonymous_fd_type)(file);
	}
	target.file = (u64)file;
	target.inode = (u64)inode;
	return target;
}

/* True for a descriptor opened with O_PATH: no operation reaches the file through it. */
static __always_inline bool TYPED(is_path)(const struct file *file)
{
	u32 mode = 0;

	PROBE_READ(mode, &file->f_mode);
	return mode & FMODE_PATH;
}

static __always_inline u32 TYPED(file_fd_type)(const struct file *file)
{
	return TYPED(is_path)(file) ? FD_TYPE_PATH : TYPED(target_of)(file).fd_type;
}
