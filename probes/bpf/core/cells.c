/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Cells: counters in a plain array, each CPU's apart, found by a load instead of a look-up. A key
 * has two places there. The first to count there takes the cell, until its process has ended; who
 * finds both taken counts in the hash maps. A reader adds them all up.
 */
#include "core/names.c"

#if defined(CELL_BITS) && defined(RDONLY_CAST)
#define HAS_CELLS 1

#define CELL_IN_USE (1ULL << 32)
/* 2^64 divided by the golden ratio: the upper bits of a product depend on all of the key. */
#define SPREAD 0x9E3779B97F4A7C15ULL

static u64 (*const compare_and_swap)(u64 *place, u64 expected,
				     u64 wanted) = (void *)COMPARE_AND_SWAP;

static __always_inline bool is_of(const struct cell *cell, const struct cell *key)
{
	return cell->owner == key->owner && cell->code == key->code &&
	       cell->filesystem == key->filesystem;
}

/* False if the cell is another one's, or about to be. */
static __always_inline bool take_cell(struct cell *cell, const struct cell *key,
				      struct process_key owner, const struct task_struct *task)
{
	if (cell->owner || compare_and_swap(&cell->owner, 0, key->owner))
		return false;
	note_process(owner, task);
	if (key->filesystem)
		note_filesystem(key->filesystem);
	cell->filesystem = key->filesystem;
	/* Last, and seen last: a reader takes the cell for used from now on. */
	compare_and_swap(&cell->code, 0, key->code);
	return true;
}

/* The cell of a key, `owner` for `task`; NULL if it has none. */
static __always_inline struct cell *cell_of(const struct cell *key, struct process_key owner,
					    const struct task_struct *task)
{
	u64 hash = (key->owner ^ key->code * SPREAD ^ key->filesystem) * SPREAD;
	u32 place = hash >> (64 - CELL_BITS) |
		    (bpf_get_smp_processor_id() & (CELL_STRIPES - 1)) << CELL_BITS;
	struct cell *first = cells.lookup(&place), *second;

	if (!first || is_of(first, key))
		return first;
	place ^= 1;
	second = cells.lookup(&place);
	if (!second || is_of(second, key))
		return second;
	if (take_cell(first, key, owner, task))
		return first;
	return take_cell(second, key, owner, task) ? second : NULL;
}

/* Counts in a cell; false if that must be done elsewhere. */
static __always_inline bool count_in_cell(struct process_key owner, const struct task_struct *task,
					  u32 code, u64 filesystem, u64 operations, u64 bytes)
{
	struct cell key = {
		.owner = owner.tgid | (u64)owner.start << 32,
		.code = code | CELL_IN_USE,
		.filesystem = filesystem,
	};
	struct cell *cell = cell_of(&key, owner, task);

	if (!cell)
		return false;
	__sync_fetch_and_add(&cell->operations, operations);
	if (bytes)
		__sync_fetch_and_add(&cell->bytes, bytes);
	return true;
}
#else
static __always_inline bool count_in_cell(struct process_key owner, const struct task_struct *task,
					  u32 code, u64 filesystem, u64 operations, u64 bytes)
{
	return false;
}
#endif
