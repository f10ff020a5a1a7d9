/* SPDX-License-Identifier: GPL-2.0-only */
/* What a file is: its device, its position, the addresses and queues of a socket. */
#pragma once

#define AF_UNIX_NAME_OFFSET 2 /* of sun_path in struct sockaddr_un */

/* Where a file is: its filesystem, and the device of a device file. */
static __always_inline void read_place(struct place *to, const struct inode *inode)
{
	const struct file_system_type *type = NULL;
	const struct super_block *sb = NULL;
	const char *name = NULL;

	PROBE_READ(to->inode, &inode->i_ino);
	PROBE_READ(to->device_number, &inode->i_rdev);
	PROBE_READ(sb, &inode->i_sb);
	PROBE_READ(to->device, &sb->s_dev);
	PROBE_READ(type, &sb->s_type);
	PROBE_READ(name, &type->name);
	bpf_probe_read_kernel_str(to->filesystem, sizeof(to->filesystem), name);
}

/* The interface of the route that the socket has used. */
static __always_inline u32 route_interface(const struct sock *sk)
{
	const struct net_device *dev = NULL;
	const struct dst_entry *dst = NULL;
	u32 index = 0;

	PROBE_READ(dst, &(first_subflow(sk) ?: sk)->sk_dst_cache);
	if (dst)
		PROBE_READ(dev, &dst->dev);
	if (dev)
		PROBE_READ(index, &dev->ifindex);
	return index;
}

/* The file of the socket at the other end. */
static __always_inline u64 inode_number_of_sock(const struct sock *sk)
{
	const struct socket *sock = NULL;
	const struct inode *inode = NULL;
	const struct file *file = NULL;
	u64 number = 0;

	PROBE_READ(sock, &sk->sk_socket);
	if (sock)
		PROBE_READ(file, &sock->file);
	if (file)
		PROBE_READ(inode, &file->f_inode);
	if (inode)
		PROBE_READ(number, &inode->i_ino);
	return number;
}

static __always_inline void read_unix_addresses(struct addresses *to, const struct sock *sk)
{
#ifdef HAVE_unix_sock_peer
	const struct unix_sock *own = (const struct unix_sock *)sk;
	const struct unix_address *name = NULL;
	const struct sock *peer = NULL;
	u32 length = 0;

	PROBE_READ(peer, &own->peer);
	if (peer) {
		to->peer = inode_number_of_sock(peer) ?: to->peer;
		own = (const struct unix_sock *)peer;
		PROBE_READ(name, &own->addr);
		to->name_is_peers = name != NULL;
	}
	if (!name)
		PROBE_READ(name, &((const struct unix_sock *)sk)->addr);
	if (!name)
		return;
	PROBE_READ(length, &name->len);
	to->name_length = length > AF_UNIX_NAME_OFFSET ? length - AF_UNIX_NAME_OFFSET : 0;
	bpf_probe_read_kernel(to->name, sizeof(to->name),
			      (const char *)&name->name + AF_UNIX_NAME_OFFSET);
#endif
}

/* Of a socket that is closed already the addresses read before stay. */
static __always_inline void read_addresses(struct addresses *to, const struct sock *sk)
{
	u16 family = 0, port = 0;
	u32 interface = 0;

	PROBE_READ(family, &sk->__sk_common.skc_family);
	PROBE_READ(to->state, &sk->__sk_common.skc_state);
	to->family = family;
	if (family == AF_UNIX) {
		read_unix_addresses(to, sk);
		return;
	}
	PROBE_READ(to->protocol, &sk->sk_protocol);
	if (family != AF_INET && family != AF_INET6)
		return;
	PROBE_READ(port, &sk->__sk_common.skc_num);
	to->local_port = port ?: to->local_port;
	PROBE_READ(to->remote_port, &sk->__sk_common.skc_dport);
	PROBE_READ(interface, &sk->__sk_common.skc_bound_dev_if);
	interface = interface ?: route_interface(sk);
	to->interface = interface ?: to->interface;
	if (family == AF_INET) {
		PROBE_READ(to->local[0], &sk->__sk_common.skc_rcv_saddr);
		PROBE_READ(to->remote[0], &sk->__sk_common.skc_daddr);
	} else {
		PROBE_READ(to->local, &sk->__sk_common.skc_v6_rcv_saddr);
		PROBE_READ(to->remote, &sk->__sk_common.skc_v6_daddr);
	}
}
