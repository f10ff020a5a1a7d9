/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ON_TRACEPOINT(name) { statement } runs at a tracepoint, with its arguments in `arg` (and `ctx`):
 * a raw tracepoint program, or with BY_FPROBE one on the function of the tracepoint, which gets its
 * arguments behind a pointer that is not used. ON_RAW_TRACEPOINT is for those that pass more than
 * registers hold.
 */

#define AT_TRACEPOINT(name) static __always_inline int at_##name(void *ctx, const u64 *arg)

#define ON_RAW_TRACEPOINT(name)                           \
	AT_TRACEPOINT(name);                              \
	int on_##name(struct bpf_raw_tracepoint_args *ctx) \
	{                                                 \
		return at_##name(ctx, (const u64 *)ctx);  \
	}                                                 \
	AT_TRACEPOINT(name)

#ifdef BY_FPROBE
#define ON_TRACEPOINT(name)                                                            \
	AT_TRACEPOINT(name);                                                           \
	int on_##name(struct pt_regs *ctx)                                             \
	{                                                                              \
		const u64 arg[] = {PT_REGS_PARM2(ctx), PT_REGS_PARM3(ctx),             \
				   PT_REGS_PARM4(ctx), PT_REGS_PARM5(ctx),             \
				   PT_REGS_PARM6(ctx)};                                \
		return at_##name(ctx, arg);                                            \
	}                                                                              \
	AT_TRACEPOINT(name)
#else
#define ON_TRACEPOINT(name) ON_RAW_TRACEPOINT(name)
#endif
