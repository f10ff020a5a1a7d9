/* SPDX-License-Identifier: GPL-2.0-only */
/* The one account of an operation, whatever the layer and the attach mode. */

BPF_PERCPU_HASH(counters, struct counter_key, struct amount, COUNTER_ENTRIES);
BPF_TABLE("hash", struct process_key, struct process, processes, PROCESS_ENTRIES);
BPF_PERCPU_ARRAY(overflow, struct amount, OVERFLOW_SLOTS);
BPF_PERCPU_ARRAY(losses, u64, LOSS_COUNT);

/* From here on a negative result is a restart of the system call, not an error. */
#define ERESTARTSYS 512

static __always_inline void lose(u32 loss)
{
	u64 *count = losses.lookup(&loss);

	if (count)
		__sync_fetch_and_add(count, 1);
}

static __always_inline void add(struct amount *amount, u64 operations, u64 bytes)
{
	__sync_fetch_and_add(&amount->operations, operations);
	if (bytes)
		__sync_fetch_and_add(&amount->bytes, bytes);
}

/* What finds no room under its process is kept for the host as a whole. */
static __always_inline void account_overflow(struct counter_key *key, u64 operations, u64 bytes)
{
	u32 slot = key->account | key->fd_type << 3 | key->via << 8 | (key->error ? 1 << 11 : 0);
	struct amount *amount = overflow.lookup(&slot);

	lose(LOSS_COUNTERS_FULL);
	if (amount)
		add(amount, operations, bytes);
}

static __always_inline void describe(struct process *process)
{
	struct task_struct *leader;

	TASK_READ(leader, &current_task()->group_leader);
	READ(process->comm, &leader->comm);
	process->cgroup_id = bpf_get_current_cgroup_id();
}

static __always_inline void note_process(struct counter_key *counter)
{
	struct process_key key = {.tgid = counter->tgid, .start = counter->start};
	struct process process = {};

	if (processes.lookup(&key))
		return;
	describe(&process);
	if (processes.update(&key, &process))
		lose(LOSS_PROCESSES_FULL);
}

static __always_inline struct amount *new_counter(struct counter_key *key)
{
	struct amount zero = {};

	note_process(key);
	counters.insert(key, &zero);
	return counters.lookup(key);
}

/* `result`: the bytes that were moved, or a negative errno. */
static __always_inline void account_many(u32 account, u32 fd_type, u32 via, s64 result,
					 u64 operations)
{
	struct counter_key key = {
		.tgid = current_tgid(),
		.account = account,
		.fd_type = fd_type,
		.via = via,
	};
	struct amount *amount;
	u64 bytes = result;

#ifdef EXCLUDED_TGID
	if (key.tgid == EXCLUDED_TGID)
		return;
#endif
	if (result < 0) {
		if (result <= -ERESTARTSYS)
			return;
		key.error = -result;
		bytes = 0;
	}
	key.start = current_start();
	amount = counters.lookup(&key);
	if (!amount)
		amount = new_counter(&key);
	if (amount)
		add(amount, operations, bytes);
	else
		account_overflow(&key, operations, bytes);
}

static __always_inline void account_one(u32 account, u32 fd_type, u32 via, s64 result)
{
	account_many(account, fd_type, via, result, 1);
}
