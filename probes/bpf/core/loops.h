/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Loops of any length: the verifier looks at one step of them, whatever their number. A header, because
 * BCC rewrites pointer accesses in the main text only.
 *
 *	u64 loop;
 *	u32 step;
 *
 *	begin_loop(&loop, steps);
 *	while (next_step(&loop, &step))
 *		...
 *	end_loop(&loop);
 */
#pragma once

#ifdef ITER_NUM_NEW
#define HAS_LOOPS 1

#define MOST_STEPS (8 * 1024 * 1024) /* include/linux/bpf.h: BPF_MAX_LOOPS */

static int (*const iter_num_new)(u64 *loop, int first, int end) = (void *)ITER_NUM_NEW;
static int *(*const iter_num_next)(u64 *loop) = (void *)ITER_NUM_NEXT;
static void (*const iter_num_destroy)(u64 *loop) = (void *)ITER_NUM_DESTROY;

static __always_inline void begin_loop(u64 *loop, u32 steps)
{
	iter_num_new(loop, 0, steps < MOST_STEPS ? steps : MOST_STEPS);
}

/* Steps are numbered from 0; false after the last one. */
static __always_inline bool next_step(u64 *loop, u32 *step)
{
	const int *number = iter_num_next(loop);

	if (!number)
		return false;
	*step = *number;
	return true;
}

static __always_inline void end_loop(u64 *loop)
{
	iter_num_destroy(loop);
}
#endif
