/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory that a program leaves to those that it calls. One place on each CPU does, unless another
 * task can take the CPU in between: then each thread has its own.
 */

static __always_inline u32 scratch_key(void)
{
#ifdef PREEMPTED
	return current_tid();
#else
	return 0;
#endif
}
