/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How a program is attached and how it goes on: the macros that make programs of kernel functions
 * and tracepoints, in each attach mode, and what programs that call others share.
 */
#include "core/account.c"
#include "core/in_flight.c"

/*
 * ON_TRACEPOINT(name) { statement } runs at a tracepoint, with its arguments in `arg` (and `ctx`):
 * as a raw tracepoint program, or with BY_FPROBE, if the loader so chooses, as one on the function
 * of the tracepoint, which gets its arguments behind a pointer that is not used, up to five of
 * them.
 */
#define AT_TRACEPOINT(name) static __always_inline int at_##name(void *ctx, const u64 *arg)

#define PASTED(first, second) first##second
#define PASTE(first, second) PASTED(first, second)

/* RAW_##name is 0 for a tracepoint that is hooked by its function. */
#define TRACEPOINT_PROGRAM(name) PASTE(TRACEPOINT_PROGRAM_, RAW_##name)(name)
#define TRACEPOINT_PROGRAM_1(name)                         \
	int on_##name(struct bpf_raw_tracepoint_args *ctx) \
	{                                                  \
		return at_##name(ctx, (const u64 *)ctx);   \
	}
#define TRACEPOINT_PROGRAM_0(name)                                         \
	int function_##name(struct pt_regs *ctx)                           \
	{                                                                  \
		const u64 arg[] = {PT_REGS_PARM2(ctx), PT_REGS_PARM3(ctx), \
				   PT_REGS_PARM4(ctx), PT_REGS_PARM5(ctx), \
				   PT_REGS_PARM6(ctx)};                    \
		return at_##name(ctx, arg);                                \
	}

#define ON_TRACEPOINT(name)       \
	AT_TRACEPOINT(name);      \
	TRACEPOINT_PROGRAM(name)  \
	AT_TRACEPOINT(name)

/*
 * ON_RETURN(function) { statement } runs when a kernel function returns, with its arguments in
 * `arg` and its result in `result` (and its `ctx`): one fexit program in fentry mode, in kprobe
 * mode a kprobe that keeps the first four arguments and the kretprobe that finds them again.
 *
 * ON_CALL(function, begin) { statement } runs `begin` as well, when the function is called; it may
 * use `arg`.
 *
 * ON_FD_RETURN(function, first, second) is for functions that take descriptors instead of files:
 * `first` and `second` are expressions over `arg`, or NO_FD.
 *
 * ON_FIRST(function, flags) and ON_FIRST_FD(function, flags) are the same for what needs arg[0] and
 * the MSG_* of a receive in arg[3] only; `flags` is where they are, or 0. In kprobe mode: one program at
 * both ends where the kernel has sessions, which keep eight bytes in between.
 *
 * ON_RESULT(function) { statement } is ON_RETURN for what needs the `result` only: in kprobe mode
 * no argument is kept.
 *
 * ON_ENTRY(function) { statement } runs when the function is called, with `arg` (and its `ctx`).
 *
 * A function that is not attached on this kernel (ATTACHED_##function is 0) has no program.
 */
/* Arguments of a system call whose function is only given the saved registers. */
#define FIRST(regs) syscall_entry((struct pt_regs *)(regs)).first
#define THIRD(regs) syscall_argument((struct pt_regs *)(regs), 2)

#define IF_ATTACHED(fn, ...) PASTE(IF_ATTACHED_, ATTACHED_##fn)(__VA_ARGS__)
#define IF_ATTACHED_0(...)
#define IF_ATTACHED_1(...) __VA_ARGS__

#define BODY(fn) static __always_inline int done_##fn(void *ctx, const u64 *arg, s64 result)
#define ENTRY_BODY(fn) static __always_inline int begun_##fn(void *ctx, const u64 *arg)

#define ON_FIRST(fn, flags) ON_FIRST_CALL(fn, flags, remember(CALL_##fn, NO_FD, NO_FD))
#define ON_FIRST_FD(fn, flags) ON_FIRST_CALL(fn, flags, remember(CALL_##fn, arg[0], NO_FD))
#define ON_RETURN(fn) ON_FD_RETURN(fn, NO_FD, NO_FD)
#define ON_FD_RETURN(fn, first, second) ON_CALL(fn, remember(CALL_##fn, first, second))

#ifndef SESSION_COOKIE
#define ON_FIRST_CALL(fn, flags, begin) ON_CALL(fn, begin)
#else
static u64 *(*const session_cookie)(void *ctx) = (void *)SESSION_COOKIE;
static u64 (*const session_is_return)(void *ctx) = (void *)SESSION_IS_RETURN;

/* The first argument and three flags: of an address in the kernel the upper three bits are set. */
#define KEPT_FLAGS 3

static __always_inline u64 packed(u64 first, u64 flags)
{
	return first << KEPT_FLAGS | (flags & MSG_PEEK ? 1 : 0) | (flags & MSG_TRUNC ? 2 : 0) |
	       (flags & MSG_ERRQUEUE ? 4 : 0);
}

static __always_inline u64 unpacked_flags(u64 kept)
{
	return (kept & 1 ? MSG_PEEK : 0) | (kept & 2 ? MSG_TRUNC : 0) |
	       (kept & 4 ? MSG_ERRQUEUE : 0);
}

#define ON_FIRST_CALL(fn, flags, begin)                 \
	BODY(fn);                                       \
	IF_ATTACHED(fn, AT_BOTH_ENDS(fn, flags, begin)) \
	BODY(fn)

#define AT_BOTH_ENDS(fn, flags, begin)                                    \
	int session_##fn(struct pt_regs *ctx)                             \
	{                                                                 \
		u64 *kept = session_cookie(ctx);                          \
		if ((u8)session_is_return(ctx)) {                         \
			const u64 arg[] = {(s64)*kept >> KEPT_FLAGS, 0, 0, \
					   unpacked_flags(*kept)};        \
			done_##fn(ctx, arg, PT_REGS_RC(ctx));             \
		} else {                                                  \
			struct call call = first_arguments(ctx);          \
			const u64 *arg = call.arg;                        \
			*kept = packed(arg[0], flags);                    \
			begin;                                            \
		}                                                         \
		return 0;                                                 \
	}
#endif

#define ON_CALL(fn, begin)                                  \
	BODY(fn);                                           \
	IF_ATTACHED(fn, AT_RETURN(fn) AT_CALL(fn, begin))   \
	BODY(fn)

#define ON_RESULT(fn)                   \
	BODY(fn);                       \
	IF_ATTACHED(fn, AT_RESULT(fn))  \
	BODY(fn)

#define ON_ENTRY(fn)                    \
	ENTRY_BODY(fn);                 \
	IF_ATTACHED(fn, AT_ENTRY(fn))   \
	ENTRY_BODY(fn)

#ifdef MODE_FENTRY

#define AT_RETURN(fn)                                        \
	KRETFUNC_PROBE(fn)                                   \
	{                                                    \
		return done_##fn(ctx, ctx, ctx[ARITY_##fn]); \
	}
#define AT_RESULT AT_RETURN

#define AT_CALL(fn, begin)               \
	KFUNC_PROBE(fn)                  \
	{                                \
		const u64 *arg = ctx;    \
		begin;                   \
		return 0;                \
	}

#define AT_ENTRY(fn)                     \
	KFUNC_PROBE(fn)                  \
	{                                \
		return begun_##fn(ctx, ctx);  \
	}

#elif defined(MODE_KPROBE)

static __always_inline struct call first_arguments(struct pt_regs *ctx)
{
	struct call call = {
		.arg = {PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx), PT_REGS_PARM3(ctx), PT_REGS_PARM4(ctx)},
	};

	return call;
}

static __always_inline void keep_call(u32 function, struct call *call)
{
	struct call_key key = {.tid = current_tid(), .function = function};

	if (calls.update(&key, call))
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

#define AT_CALL(fn, begin)                               \
	int enter_##fn(struct pt_regs *ctx)              \
	{                                                \
		struct call call = first_arguments(ctx); \
		const u64 *arg = call.arg;               \
		keep_call(CALL_##fn, &call);             \
		begin;                                   \
		return 0;                                \
	}

#define AT_RETURN(fn)                                              \
	int return_##fn(struct pt_regs *ctx)                       \
	{                                                          \
		struct call call = {};                             \
		if (take_call(CALL_##fn, &call))                   \
			done_##fn(ctx, call.arg, PT_REGS_RC(ctx)); \
		return 0;                                          \
	}

#define AT_RESULT(fn)                                       \
	int return_##fn(struct pt_regs *ctx)                \
	{                                                   \
		return done_##fn(ctx, NULL, PT_REGS_RC(ctx)); \
	}

#define AT_ENTRY(fn)                                     \
	int enter_##fn(struct pt_regs *ctx)              \
	{                                                \
		struct call call = first_arguments(ctx); \
		return begun_##fn(ctx, call.arg);             \
	}

#endif

/*
 * The key of a map of scratch memory, which a program leaves to those that it calls: see
 * Kind.SCRATCH in fdscope.probes.attach.maps.
 */
static __always_inline u32 scratch_key(void)
{
#ifdef PREEMPTED
	return current_tid();
#else
	return 0;
#endif
}

/*
 * What needs a loop runs in a program of its own, a few steps at a time, and calls itself for the
 * rest: the verifier walks a loop once for each state that leads to it, and gives up after a
 * million instructions. Returns only if the other program cannot run.
 */
static __always_inline void go_on(void *ctx, u32 tail_call)
{
	tail_calls.call(ctx, tail_call);
	lose(LOSS_TAIL_CALLS);
}
