/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ON_TRACEPOINT(name) { statement } runs at a tracepoint, with its arguments in `arg` (and `ctx`): as
 * a raw tracepoint program, or with BY_FPROBE, if the loader so chooses, as one on the function of
 * the tracepoint, which gets its arguments behind a pointer that is not used, up to five of them.
 */

#define AT_TRACEPOINT(name) static __always_inline int at_##name(void *ctx, const u64 *arg)

#ifdef BY_FPROBE
#define ON_ITS_FUNCTION(name)                                              \
	int function_##name(struct pt_regs *ctx)                           \
	{                                                                  \
		const u64 arg[] = {PT_REGS_PARM2(ctx), PT_REGS_PARM3(ctx), \
				   PT_REGS_PARM4(ctx), PT_REGS_PARM5(ctx), \
				   PT_REGS_PARM6(ctx)};                    \
		return at_##name(ctx, arg);                                \
	}
#else
#define ON_ITS_FUNCTION(name)
#endif

#define ON_TRACEPOINT(name)                                \
	AT_TRACEPOINT(name);                               \
	int on_##name(struct bpf_raw_tracepoint_args *ctx) \
	{                                                  \
		return at_##name(ctx, (const u64 *)ctx);   \
	}                                                  \
	ON_ITS_FUNCTION(name)                              \
	AT_TRACEPOINT(name)
