/* SPDX-License-Identifier: GPL-2.0-only */
/* Counts an operation: the same in every layer and attach mode. */
#include "core/cells.c"
#include "core/names.c"

/* Results by which the kernel asks itself to restart a system call: they are no errors. */
static __always_inline bool is_restart(s64 result)
{
	switch (result) {
	case -512: /* ERESTARTSYS */
	case -513: /* ERESTARTNOINTR */
	case -514: /* ERESTARTNOHAND */
	case -516: /* ERESTART_RESTARTBLOCK */
		return true;
	}
	return false;
}

/* Reads user memory that the call has just used; false, and counted as lost, if it is gone. */
static __always_inline bool read_user(void *to, u32 size, u64 address)
{
	if (!bpf_probe_read_user(to, size, (const void *)address))
		return true;
	lose(LOSS_USER_MEMORY);
	return false;
}

/* Atomic: also on per-CPU values, for a task can lose the CPU to another one in a program. */
static __always_inline void add(struct amount *amount, u64 operations, u64 bytes)
{
	__sync_fetch_and_add(&amount->operations, operations);
	if (bytes)
		__sync_fetch_and_add(&amount->bytes, bytes);
}

/* What has no room under its process is counted for the whole host. */
static __always_inline void account_overflow(struct counter_key *key, u64 operations, u64 bytes)
{
	u32 row = key->via + (key->error ? VIA_COUNT : 0);
	u32 slot = key->account + ACCOUNT_COUNT * (key->fd_type + FD_TYPE_COUNT * row);
	struct amount *amount = overflow.lookup(&slot);

	lose(LOSS_COUNTERS_FULL);
	if (amount)
		add(amount, operations, bytes);
}

static __always_inline struct amount *new_counter(struct counter_key *key,
						  const struct task_struct *task)
{
	struct process_key owner = {.tgid = key->tgid, .start = key->start};
	struct amount zero = {};

	note_process(owner, task);
	counters.insert(key, &zero);
	return counters.lookup(key);
}

static __always_inline u64 *new_filesystem(struct filesystem_key *key)
{
	u64 zero = 0;

	note_filesystem(key->type);
	filesystem_bytes.insert(key, &zero);
	return filesystem_bytes.lookup(key);
}

/* Counts the bytes by type of filesystem too, for the whole host. */
static __always_inline void account_filesystem(struct target target, u32 account, u64 bytes)
{
	struct filesystem_key key = {
		.type = target.filesystem,
		.fd_type = target.fd_type,
		.account = account,
	};
	u64 *sum = filesystem_bytes.lookup(&key);

	if (!sum)
		sum = new_filesystem(&key);
	if (sum)
		__sync_fetch_and_add(sum, bytes);
	else
		lose(LOSS_FILESYSTEMS_FULL);
}

/* Counts in the hash maps. */
static __always_inline void count_by_key(const struct task_struct *task, struct counter_key *key,
					 u64 filesystem, u64 operations, u64 bytes)
{
	struct target target = {.filesystem = filesystem, .fd_type = key->fd_type};
	struct amount *amount = counters.lookup(key);

	if (!amount)
		amount = new_counter(key, task);
	if (amount)
		add(amount, operations, bytes);
	else
		account_overflow(key, operations, bytes);
	if (filesystem && bytes)
		account_filesystem(target, key->account, bytes);
}

static __always_inline void count(const struct task_struct *task, struct process_key owner,
				  u32 account, struct target target, u32 via, s64 result,
				  u64 operations)
{
	struct counter_key key = {
		.tgid = owner.tgid,
		.start = owner.start,
		.account = account,
		.fd_type = target.fd_type,
		.via = via,
	};
	u64 bytes = result;
	u32 code;

	if (is_excluded(owner))
		return;
	if (result < 0) {
		if (is_restart(result))
			return;
		key.error = -result < UNKNOWN_ERRNO ? -result : UNKNOWN_ERRNO;
		bytes = 0;
	}
	code = account | target.fd_type << 8 | via << 16 | (u32)key.error << 24;
	if (!count_in_cell(owner, task, code, target.filesystem, operations, bytes))
		count_by_key(task, &key, target.filesystem, operations, bytes);
}

/*
 * Counts what `task` has done, for the process `owner`; `task` is NULL if the process is known
 * already. `result`: the bytes that were moved, or a negative errno.
 */
static __always_inline void account_of(const struct task_struct *task, struct process_key owner,
				       u32 account, u32 fd_type, u32 via, s64 result,
				       u64 operations)
{
	struct target target = {.fd_type = fd_type};

	count(task, owner, account, target, via, result, operations);
}

/* Counts what `task` has done at the file layer. */
static __always_inline void account_file(const struct task_struct *task, struct process_key owner,
					 u32 account, struct target target, u32 door, s64 result,
					 u64 operations)
{
	count(task, owner, account, target, door, result, operations);
	if (WATCHING)
		watched_operation(owner, account, target, door, result, operations);
}

/* Counts what the current process has done. */
static __always_inline void account_current(u32 account, u32 fd_type, u32 via, s64 result,
					    u64 operations)
{
	account_of(this_task(), current_process_key(), account, fd_type, via, result,
		   operations);
}

/*
 * Counts a call of the current process, whose key is `owner`, that failed because of a descriptor:
 * one it was given, or one it asked for.
 */
static __always_inline void fd_refused_to(struct process_key owner, u32 birth, s64 result)
{
	account_of(this_task(), owner, ACCOUNT_FD_REFUSED, FD_TYPE_OTHER, birth, result, 1);
}

static __always_inline void fd_refused(u32 birth, s64 result)
{
	fd_refused_to(current_process_key(), birth, result);
}
