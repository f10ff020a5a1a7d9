/* SPDX-License-Identifier: GPL-2.0-only */
/* The file layer's door socket_call, one operation a message: sendmmsg and recvmmsg loop here. */
#include "attach/returns.c"
#include "core/account.c"
#include "core/pending.c"
#include "fds/functions.c"
#include "fds/lifecycle.c"

/* `flags`: MSG_* of a receive. */
static __always_inline u32 message_account(u32 account, u64 flags, u32 fd_type)
{
	return account == ACCOUNT_FILE_READ ? receive_account(flags, fd_type, true) : account;
}

static __always_inline int fd_operation(u32 call, u32 account, u64 flags, u64 fd, s32 result)
{
	struct pending *then = remembered(call);
	struct target target;

	if (result == -EBADF || result == -ENOTSOCK) {
		fd_refused(BIRTH_OTHER, result);
	} else {
		target = target_at_return(then, 0, fd);
		finish(call, message_account(account, flags, target.fd_type), target,
		       DOOR_SOCKET_CALL, result, 1);
	}
	used(then);
	return 0;
}

/* The fd type of the socket. */
static __always_inline u32 message_operation(u32 call, u32 account, u64 flags, u64 sock, s32 result)
{
	struct target target = socket_target((struct socket *)sock);

	finish(call, message_account(account, flags, target.fd_type), target, DOOR_SOCKET_CALL,
	       result, 1);
	return target.fd_type;
}

/* int __sys_sendto(int fd, void *buf, size_t len, unsigned flags, struct sockaddr *, int) */
ON_FD_RETURN(__sys_sendto, arg[0], NO_FD)
{
	return fd_operation(CALL___sys_sendto, ACCOUNT_FILE_WRITE, 0, arg[0], result);
}

/* int __sys_recvfrom(int fd, void *buf, size_t size, unsigned flags, struct sockaddr *, int *) */
ON_FD_RETURN(__sys_recvfrom, arg[0], NO_FD)
{
	return fd_operation(CALL___sys_recvfrom, ACCOUNT_FILE_READ, arg[3], arg[0], result);
}

/* int ___sys_sendmsg(struct socket *, struct user_msghdr *, struct msghdr *, unsigned flags, ...) */
ON_RETURN(___sys_sendmsg)
{
	u32 fd_type = message_operation(CALL____sys_sendmsg, ACCOUNT_FILE_WRITE, 0, arg[0], result);

	if (is_unix_socket(fd_type))
		message_ends(arg[2], fd_type, result);
	return 0;
}

/* int ___sys_recvmsg(struct socket *, struct user_msghdr *, struct msghdr *, unsigned flags, int) */
ON_RETURN(___sys_recvmsg)
{
	message_operation(CALL____sys_recvmsg, ACCOUNT_FILE_READ, arg[3], arg[0], result);
	return 0;
}
