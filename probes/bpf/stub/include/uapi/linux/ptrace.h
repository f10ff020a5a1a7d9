/* SPDX-License-Identifier: GPL-2.0-only */
/* The saved registers, as each architecture's ABI lays them out. */
#pragma once

#include <linux/types.h>

#ifdef MACHINE_aarch64
struct pt_regs {
	u64 regs[31];
	u64 sp;
	u64 pc;
	u64 pstate;
	u64 orig_x0;
	s32 syscallno;
};
#else
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8;
	unsigned long ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};
#endif
