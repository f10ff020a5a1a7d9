/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sendfile and splice to a socket pass the socket layer piece by piece, and the file layer once: when
 * they return, which may be hours later. What has passed the one and not yet the other is kept here.
 */
#include "core/account.c"
#include "fds/lifecycle.c"


static __always_inline u64 *transfers_under_way(void)
{
	u32 zero = 0;

	return transfer_count.lookup(&zero);
}

/* The call under way writes to a descriptor of this type. */
static __always_inline void begin_transfer(u32 fd_type)
{
	struct transfer transfer = {.fd_type = fd_type};
	u64 *count = transfers_under_way();
	struct transfer *last;
	u32 tid = current_tid();

	if (!is_socket(fd_type) || !count)
		return;
	last = transfers.lookup(&tid);
	if (last) /* its return was missed */
		*last = transfer;
	else if (transfers.update(&tid, &transfer))
		lose(LOSS_PENDING_FULL);
	else
		__sync_fetch_and_add(count, 1);
}

/* The socket layer of the current thread has taken so many bytes. */
static __always_inline void transfer_goes_on(u32 fd_type, u64 bytes)
{
	u64 *count = transfers_under_way();
	struct transfer *transfer;
	u32 tid = current_tid();

	if (!count || !*count)
		return;
	transfer = transfers.lookup(&tid);
	if (transfer && transfer->fd_type == fd_type)
		transfer->bytes += bytes;
}

/* The call has returned and is counted, or its thread has ended. */
static __always_inline void end_transfer(void)
{
	u64 *count = transfers_under_way();
	u32 tid = current_tid();

	if (count && *count && !transfers.delete(&tid))
		__sync_fetch_and_add(count, -1);
}

/* Another operation of the thread returns: so must have done the transfer, unseen. */
static __always_inline void end_lost_transfer(void)
{
	u64 *count = transfers_under_way();

	if (count && *count)
		end_transfer();
}
