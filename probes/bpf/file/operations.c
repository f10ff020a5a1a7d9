/* SPDX-License-Identifier: GPL-2.0-only */
/* What the kernel calls when a file is written to: on demand. */
#include "core/account.c"

/*
 * Not attached: fdscope.probes.read.operations runs it with a descriptor of its own. Reads the
 * tables of functions that the kernel goes through: that of the file, and for a socket those of its
 * protocol family and its protocol.
 */
int on_operations(struct bpf_raw_tracepoint_args *ctx)
{
	const struct file_operations *of_file = NULL;
	const struct file *file = file_of(ctx->args[0]);
	const struct proto_ops *of_family = NULL;
	const struct proto *of_protocol = NULL;
	const struct super_block *super = NULL;
	const struct file_system_type *type = NULL;
	const struct inode *inode = NULL;
	const struct socket *sock;
	const struct sock *sk;
	const char *name = NULL;
	struct operations *found;
	u32 zero = 0;
	u16 mode = 0;

	found = operations.lookup(&zero);
	if (!file || !found)
		return 0;
	__builtin_memset(found, 0, sizeof(*found));
	PROBE_READ(of_file, &file->f_op);
	PROBE_READ(found->file_write, &of_file->write_iter);
	if (!found->file_write)
		PROBE_READ(found->file_write, &of_file->write);
	PROBE_READ(inode, &file->f_inode);
	PROBE_READ(super, &inode->i_sb);
	PROBE_READ(type, &super->s_type);
	PROBE_READ(name, &type->name);
	bpf_probe_read_kernel_str(found->filesystem, sizeof(found->filesystem), name);
	found->fd_type = file_fd_type((struct file *)file);
	PROBE_READ(mode, &inode->i_mode);
	if ((mode & S_IFMT) != S_IFSOCK)
		return 1;
	sock = socket_of(file);
	PROBE_READ(of_family, &sock->ops);
	PROBE_READ(found->family_send, &of_family->sendmsg);
	sk = sock_of(sock);
	PROBE_READ(of_protocol, &sk->__sk_common.skc_prot);
	PROBE_READ(found->protocol_send, &of_protocol->sendmsg);
	return 1;
}
