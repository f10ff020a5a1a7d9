/* SPDX-License-Identifier: GPL-2.0-only */
/* How long accesses wait for a fanotify permission group. */
#include "attach.c"


/* FS_OPEN_PERM, FS_ACCESS_PERM, FS_OPEN_EXEC_PERM, FS_PRE_ACCESS */
#define FANOTIFY_PERMISSION_EVENTS 0x170000

static __always_inline void add_wait(u32 slot, u64 value)
{
	u64 *sum = fanotify_waits.lookup(&slot);

	if (sum)
		__sync_fetch_and_add(sum, value);
}

static __always_inline void fanotify_begins(u32 mask)
{
	u64 now = bpf_ktime_get_ns();
	u32 tid = current_tid();

	if (mask & FANOTIFY_PERMISSION_EVENTS)
		fanotify_starts.update(&tid, &now);
}

/* int fanotify_handle_event(struct fsnotify_group *group, u32 mask, ...): waits for the answer */
ON_CALL(fanotify_handle_event, fanotify_begins(arg[1]))
{
	u32 tid = current_tid(), bucket;
	u64 *started, took;

	if (!(arg[1] & FANOTIFY_PERMISSION_EVENTS))
		return 0;
	started = fanotify_starts.lookup(&tid);
	if (!started)
		return 0;
	took = bpf_ktime_get_ns() - *started;
	fanotify_starts.delete(&tid);
	bucket = took > 1 ? bpf_log2l(took - 1) : 0;
	add_wait(bucket < LATENCY_LAST_BUCKET ? bucket : LATENCY_LAST_BUCKET, 1);
	add_wait(LATENCY_STRIDE - 1, took);
	return 0;
}
