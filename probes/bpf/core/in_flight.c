/* SPDX-License-Identifier: GPL-2.0-only */
/* What is kept of calls in flight until they return. */
#include "core/account.c"

/*
 * The files behind the descriptors of a call. A descriptor is looked up at the return. If threads
 * share the table it is looked up on entry, because another thread can close it or put another file
 * there during the call.
 */
#define NO_FD 0xffffffff
#define NO_CALL 0xffffffff

static __always_inline void forget_pending(void)
{
	u32 tid = current_tid();

	pending.delete(&tid);
}

static __always_inline struct target target_of_fd(u32 fd)
{
	struct file *file = fd == NO_FD ? NULL : file_of(fd);
	struct target target = {.fd_type = NO_FD_TYPE};

	if (file)
		target = target_of(file);
	target.fd_type = THROUGH_MEMORY(target.unused, target.fd_type);
	return target;
}

/*
 * The thread's entry. It stays until the thread ends: a store in place is far cheaper than an
 * update.
 */
static __always_inline struct pending *pending_of(u32 tid)
{
	struct pending *entry = pending.lookup(&tid);
	struct pending empty = {};

	if (entry)
		return entry;
	if (pending.update(&tid, &empty))
		lose(LOSS_PENDING_FULL);
	return pending.lookup(&tid);
}

static __always_inline void remember(u32 call, u32 first_fd, u32 second_fd)
{
	struct pending *now;

#ifndef LATENCY
	if ((first_fd == NO_FD && second_fd == NO_FD) || !fds_are_shared())
		return;
#endif
	now = pending_of(current_tid());
	if (!now)
		return;
	now->call = call;
	now->target[0] = target_of_fd(first_fd);
	now->target[1] = target_of_fd(second_fd);
#ifdef LATENCY
	now->started = bpf_ktime_get_ns();
#endif
}

/* The thread's entry, if it was made for this call. */
static __always_inline struct pending *recall(u32 call)
{
	u32 tid = current_tid();
	struct pending *then = pending.lookup(&tid);

	if (then && then->call != call)
		then = NULL;
	/* The compiler must test the pointer: the verifier does not know what follows from `call`. */
	asm volatile("" : "+r"(then));
	return then;
}

/* What was remembered of the call that returns; NULL if nothing. */
static __always_inline struct pending *remembered(u32 call)
{
	return fds_were_shared() ? recall(call) : NULL;
}

/* Marks the entry as used: the next call of this thread makes its own. */
static __always_inline void used(struct pending *then)
{
	if (then)
		then->call = NO_CALL;
}

/* The file behind the `index`th descriptor of a call that returns. */
static __always_inline struct target target_at_return(const struct pending *then, u32 index, u32 fd)
{
	return then ? then->target[index & 1] : target_of_fd(fd);
}

/* True if a call that returns EBADF had no file to fail on behind its `index`th descriptor. */
static __always_inline bool lacks_file(const struct pending *then, u32 index, u32 fd)
{
	const struct file *file = file_of(fd);

	return !file || is_path(file) || (then && then->target[index & 1].fd_type == NO_FD_TYPE);
}

/*
 * Transfers: sendfile and splice to a socket are counted at the socket layer piece by piece, and at
 * the file layer once, when they return. That can be hours later. `transfers` holds the bytes that
 * are counted at the socket layer only.
 */
static __always_inline u64 *transfers_in_flight(void)
{
	u32 zero = 0;

	return transfer_count.lookup(&zero);
}

/* A call begins that writes to a descriptor of this type. */
static __always_inline void begin_transfer(u32 fd_type)
{
	struct transfer transfer = {.fd_type = fd_type};
	u64 *count = transfers_in_flight();
	struct transfer *last;
	u32 tid = current_tid();

	if (!is_socket(fd_type) || !count)
		return;
	last = transfers.lookup(&tid);
	if (last) /* the kernel skipped its return */
		*last = transfer;
	else if (transfers.update(&tid, &transfer))
		lose(LOSS_PENDING_FULL);
	else
		__sync_fetch_and_add(count, 1);
}

/* The socket layer has counted so many bytes for the current thread. */
static __always_inline void transfer_goes_on(u32 fd_type, u64 bytes)
{
	u64 *count = transfers_in_flight();
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
	u64 *count = transfers_in_flight();
	u32 tid = current_tid();

	if (count && *count && !transfers.delete(&tid))
		__sync_fetch_and_add(count, -1);
}

/* Another operation of the thread returns: the return of the transfer was skipped. */
static __always_inline void end_lost_transfer(void)
{
	u64 *count = transfers_in_flight();

	if (count && *count)
		end_transfer();
}

#ifdef LATENCY

static __always_inline void add_latency(u32 slot, u64 value)
{
	u64 *sum = latency.lookup(&slot);

	if (sum)
		__sync_fetch_and_add(sum, value);
}

/* Bucket i counts durations above 2^(i-1) and up to 2^i ns; the last slot holds their sum. */
static __always_inline void observe(u32 call, u32 account, u32 fd_type)
{
	u32 first = (account == ACCOUNT_FILE_WRITE ? LATENCY_SLOTS / 2 : 0) +
		    fd_type * LATENCY_STRIDE;
	struct pending *then = recall(call);
	u32 bucket;
	u64 took;

	if (!then)
		return;
	took = bpf_ktime_get_ns() - then->started;
	bucket = took > 1 ? bpf_log2l(took - 1) : 0;
	if (bucket > LATENCY_LAST_BUCKET)
		bucket = LATENCY_LAST_BUCKET;
	add_latency(first + bucket, 1);
	add_latency(first + LATENCY_STRIDE - 1, took);
}
#else
static __always_inline void observe(u32 call, u32 account, u32 fd_type)
{
}
#endif

/* One side of a file operation of the current process, whose key is `owner`, that returns. */
static __always_inline void finish_of(struct process_key owner, u32 call, u32 account,
				      struct target target, u32 door, s64 result, u64 operations)
{
	if (target.fd_type == NO_FD_TYPE)
		target.fd_type = FD_TYPE_OTHER;
	account_file(this_task(), owner, account, target, door, result, operations);
	if (result >= 0)
		observe(call, account, target.fd_type);
	if (door != DOOR_SENDFILE && door != DOOR_SPLICE)
		end_lost_transfer();
}

static __always_inline void finish(u32 call, u32 account, struct target target, u32 door,
				   s64 result, u64 operations)
{
	finish_of(current_process_key(), call, account, target, door, result, operations);
}

/* A call on one descriptor returns. */
static __always_inline int one_fd(u32 call, u32 account, u32 door, u32 fd, s64 result)
{
	struct pending *then = remembered(call);

	if (result == -EBADF && lacks_file(then, 0, fd))
		fd_refused(BIRTH_OTHER, result);
	else
		finish(call, account, target_at_return(then, 0, fd), door, result, 1);
	used(then);
	return 0;
}

#if defined(MODE_KPROBE) && !defined(BY_FPROBE)

/*
 * The thread ends: removes what is left of calls whose return the kernel skipped. On the function
 * graph tracer it skips none.
 */
static __always_inline void forget_calls(void)
{
	struct call_key key = {.tid = current_tid()};
	u32 function;

	for (function = 0; function < CALL_COUNT; function++) {
		key.function = function;
		if (calls.lookup(&key))
			calls.delete(&key);
	}
}
#else
static __always_inline void forget_calls(void)
{
}
#endif
