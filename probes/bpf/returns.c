/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ON_RETURN(function) { statement } runs when a kernel function returns, with its arguments in
 * `arg` and its result in `result`: one fexit program in fentry mode, in kprobe mode a kprobe that
 * keeps the first four arguments and the kretprobe that finds them again.
 *
 * ON_FD_RETURN(function, index) is for functions that take a descriptor, in argument `index`,
 * instead of a file.
 */

#define BODY(fn) static __always_inline int done_##fn(const u64 *arg, s64 result)

#ifdef MODE_FENTRY

#define ON_RETURN(fn)                                    \
	BODY(fn);                                        \
	KRETFUNC_PROBE(fn)                               \
	{                                                \
		return done_##fn(ctx, ctx[ARITY_##fn]);  \
	}                                                \
	KFUNC_PROBE(fn)                                  \
	{                                                \
		remember_start(CALL_##fn);               \
		return 0;                                \
	}                                                \
	BODY(fn)

#define ON_FD_RETURN(fn, index)                          \
	BODY(fn);                                        \
	KRETFUNC_PROBE(fn)                               \
	{                                                \
		return done_##fn(ctx, ctx[ARITY_##fn]);  \
	}                                                \
	KFUNC_PROBE(fn)                                  \
	{                                                \
		remember(CALL_##fn, ctx[index], NO_FD);  \
		return 0;                                \
	}                                                \
	BODY(fn)

#else

/* Of the calls under way in kprobe mode, by thread and function. */
BPF_TABLE("hash", struct call_key, struct call, calls, PENDING_ENTRIES);

static __always_inline void keep_call(u32 function, struct pt_regs *ctx)
{
	struct call_key key = {.tid = current_tid(), .function = function};
	struct call call = {
		.arg = {PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx), PT_REGS_PARM3(ctx), PT_REGS_PARM4(ctx)},
	};

	if (calls.update(&key, &call))
		lose(LOSS_CALLS_FULL);
}

static __always_inline bool take_call(u32 function, struct call *call)
{
	struct call_key key = {.tid = current_tid(), .function = function};
	struct call *kept = calls.lookup(&key);

	if (!kept) {
		lose(LOSS_UNMATCHED_RETURN);
		return false;
	}
	*call = *kept;
	calls.delete(&key);
	return true;
}

#define ON_RETURN(fn)                                               \
	BODY(fn);                                                   \
	int enter_##fn(struct pt_regs *ctx)                         \
	{                                                           \
		keep_call(CALL_##fn, ctx);                          \
		remember_start(CALL_##fn);                          \
		return 0;                                           \
	}                                                           \
	int return_##fn(struct pt_regs *ctx)                        \
	{                                                           \
		struct call call = {};                              \
		if (take_call(CALL_##fn, &call))                    \
			done_##fn(call.arg, PT_REGS_RC(ctx));       \
		return 0;                                           \
	}                                                           \
	BODY(fn)

#define ON_FD_RETURN(fn, index)                                     \
	BODY(fn);                                                   \
	int enter_##fn(struct pt_regs *ctx)                         \
	{                                                           \
		keep_call(CALL_##fn, ctx);                          \
		remember(CALL_##fn, PT_REGS_PARM1(ctx), NO_FD);     \
		return 0;                                           \
	}                                                           \
	int return_##fn(struct pt_regs *ctx)                        \
	{                                                           \
		struct call call = {};                              \
		if (take_call(CALL_##fn, &call))                    \
			done_##fn(call.arg, PT_REGS_RC(ctx));       \
		return 0;                                           \
	}                                                           \
	BODY(fn)

#endif
