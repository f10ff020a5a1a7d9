/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The lifecycle of a descriptor: opened, closed, passed on, connected. Each attach mode sees these
 * events in its own way; fork and exit are the same in all.
 */
#include "core/account.c"
#include "journal/unusual.c"

#define AF_UNSPEC 0
#define PTRACE_ATTACH 16
#define PTRACE_SEIZE 0x4206

/* Counts descriptors of the whole host by fd type: the census is compared with these. */
static __always_inline void count_flow(u32 account, u32 fd_type, u64 count)
{
	u32 slot = fd_type + (account == ACCOUNT_FD_CLOSED ? FD_TYPE_COUNT : 0);
	u64 *sum = fd_flow.lookup(&slot);

	if (sum && account != ACCOUNT_FD_PASSED)
		__sync_fetch_and_add(sum, count);
}

/* True if a message took its descriptors along: in a stream they need at least one byte. */
static __always_inline bool takes_fds_along(u32 fd_type, s64 result)
{
	return result > 0 || (!result && fd_type != FD_TYPE_UNIX_STREAM);
}

/* The number of a connection in the counter; `role`: the first of those of its role. */
static __always_inline u32 connection_of(const struct file *file, u32 role)
{
	const struct sock *sk = sock_of(socket_of(file));

	return role + (sk ? sock_scope(sk) : SCOPE_UNKNOWN);
}

static __always_inline void count_connection(const struct file *file, u32 role)
{
	u32 fd_type = file_fd_type(file);

	if (is_socket(fd_type))
		account_current(ACCOUNT_CONNECTION, fd_type, connection_of(file, role), 0, 1);
}


/* connect() has returned. On a non-blocking socket it counts when it begins, and not again. */
static __always_inline void connected(const struct file *file, u64 address, s64 result)
{
	struct socket_key key = {};
	struct inode *inode = NULL;
	u16 family = AF_UNSPEC;
	u32 one = 1;

	if (!file || result == -EALREADY || is_restart(result))
		return;
	if (WATCHING)
		watched_connected(file);
	key.file = (u64)file;
	PROBE_READ(inode, &file->f_inode);
	PROBE_READ(key.inode, &inode->i_ino);
	if (result == -EINPROGRESS)
		connecting.update(&key, &one);
	else if (!connecting.delete(&key) || result)
		return;
	if (!read_user(&family, sizeof(family), address))
		return;
	if (family != AF_UNSPEC)
		count_connection(file, CONNECTION_CONNECT_LOOPBACK);
}

/* A descriptor of the current process, whose key is `owner`, was opened. */
static __always_inline void fd_opened_by(struct process_key owner, u32 fd, const struct file *file,
					 u32 birth)
{
	u32 in_memory, account = ACCOUNT_NONE, via = 0;
	u32 fd_type = THROUGH_MEMORY(in_memory, file_fd_type(file));

	event_fd_opened(fd, file, fd_type, birth);
	count_flow(ACCOUNT_FD_OPENED, fd_type, 1);
	account_of(this_task(), owner, ACCOUNT_FD_OPENED, fd_type, birth, 0, 1);
	if (WATCHING)
		watched_opened(owner, fd, file, fd_type, birth);
	if (birth == BIRTH_DUP && fd <= STDIO_ERROR && is_socket(fd_type)) {
		account = ACCOUNT_STDIO_SOCKET;
		via = fd;
	} else if (birth == BIRTH_ACCEPT) {
		account = ACCOUNT_CONNECTION;
		via = connection_of(file, CONNECTION_ACCEPT_LOOPBACK);
	} else if (birth == BIRTH_SCM_RIGHTS) {
		account = ACCOUNT_FD_PASSED;
		via = PASSING_RECEIVED;
	} else if (birth == BIRTH_PIDFD_GETFD) {
		account = ACCOUNT_DEBUG_ACCESS;
		via = DEBUG_METHOD_PIDFD_GETFD;
		fd_type = FD_TYPE_OTHER;
	}
	if (account != ACCOUNT_NONE)
		account_of(this_task(), owner, account, fd_type, via, 0, 1);
}

static __always_inline void fd_opened(void *ctx, u32 fd, const struct file *file, u32 birth)
{
	struct process_key owner = current_process_key();

	fd_opened_by(owner, fd, file, birth);
	if (WATCHING)
		watched_origin(ctx, owner, fd, file, birth);
}

static __always_inline void fd_closed(u32 fd_type, u32 cause)
{
	if (fd_type == NO_FD_TYPE)
		return;
	count_flow(ACCOUNT_FD_CLOSED, fd_type, 1);
	account_current(ACCOUNT_FD_CLOSED, fd_type, cause, 0, 1);
}

/* ptrace() has succeeded. */
static __always_inline void debugged(u32 request)
{
	u32 method = request == PTRACE_SEIZE ? DEBUG_METHOD_PTRACE_SEIZE :
					       DEBUG_METHOD_PTRACE_ATTACH;

	if (request != PTRACE_ATTACH && request != PTRACE_SEIZE)
		return;
	account_current(ACCOUNT_DEBUG_ACCESS, FD_TYPE_OTHER, method, 0, 1);
	event_debugged(method);
}
