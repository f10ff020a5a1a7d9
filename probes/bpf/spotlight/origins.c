/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where a watched process opens its descriptors: the call stack of the thread in user mode. It is
 * kept in two forms. The kernel follows frame pointers. The top of the stack as it is lets user space
 * follow what was compiled without them; one such sample is taken for each kind of opening.
 */
#include "core/account.c"
#include "spotlight/watched.c"

#ifdef ORIGINS

#define NO_ROOM -17 /* EEXIST: another stack has the place */

/*
 * The number of the stack by frame pointers. If another stack has its place, without its innermost
 * functions, which are those of the C library.
 */
static __always_inline u32 user_stack(void *ctx)
{
	int stack = user_stacks.get_stackid(ctx, BPF_F_USER_STACK);

	if (stack == NO_ROOM)
		stack = user_stacks.get_stackid(ctx, BPF_F_USER_STACK | 1);
	if (stack == NO_ROOM)
		stack = user_stacks.get_stackid(ctx, BPF_F_USER_STACK | 2);
	return stack < 0 ? NO_STACK : stack;
}

static __always_inline void read_registers(struct origin *to, const struct pt_regs *regs)
{
#ifdef MACHINE_aarch64
	PROBE_READ(to->instruction, &regs->pc);
	PROBE_READ(to->frame, &regs->regs[29]);
	PROBE_READ(to->link, &regs->regs[30]);
#else
	PROBE_READ(to->instruction, &regs->ip);
	PROBE_READ(to->frame, &regs->bp);
	PROBE_READ(to->saved[0], &regs->bx);
	PROBE_READ(to->saved[1], &regs->r12);
	PROBE_READ(to->saved[2], &regs->r13);
	PROBE_READ(to->saved[3], &regs->r14);
	PROBE_READ(to->saved[4], &regs->r15);
#endif
}

/* As many parts as can be read: the stack may end before. */
static __always_inline void sample_stack_of(struct origin *to, u64 sp)
{
	u32 i;

#pragma unroll
	for (i = 0; i < SAMPLE_PARTS; i++) {
		if (bpf_probe_read_user(to->sample + i * SAMPLE_PART_BYTES, SAMPLE_PART_BYTES,
					(const void *)(sp + i * SAMPLE_PART_BYTES)))
			return;
		to->parts = i + 1;
	}
}

/* The state of the current thread in an interpreter of Python, in user memory; 0 for none. */
static __always_inline u64 python_thread(const struct python *python)
{
	struct bpf_pidns_info numbers = {};
	u64 thread = 0, number;
	u32 i;

	if (bpf_get_ns_current_pid_tgid(python->namespace_device, python->namespace_inode, &numbers,
					sizeof(numbers)))
		return 0;
	bpf_probe_read_user(&thread, sizeof(thread), (const void *)python->threads);
	for (i = 0; i < PYTHON_THREADS && thread; i++) {
		number = 0;
		bpf_probe_read_user(&number, sizeof(number), (const void *)thread + python->number);
		if (number == numbers.pid)
			return thread;
		if (bpf_probe_read_user(&thread, sizeof(thread),
					(const void *)thread + python->next))
			break;
	}
	return 0;
}

/* A hash over the innermost frames of a thread of Python; kept in `to` too, if that is not NULL. */
static __always_inline u64 python_frames(const struct python *python, u64 thread, struct origin *to)
{
	u64 frame = 0, code, instruction, hash = 0;
	u32 i;

	bpf_probe_read_user(&frame, sizeof(frame), (const void *)thread + python->frame);
	if (frame && python->inner != NO_FIELD)
		bpf_probe_read_user(&frame, sizeof(frame), (const void *)frame + python->inner);
	for (i = 0; i < PYTHON_FRAMES && frame; i++) {
		code = instruction = 0;
		bpf_probe_read_user(&code, sizeof(code), (const void *)frame + python->code);
		bpf_probe_read_user(&instruction, sizeof(instruction),
				    (const void *)frame + python->instruction);
		hash = (hash + code) * 0x9E3779B97F4A7C15ULL;
		hash = ((hash ^ hash >> 32) + instruction) * 0x9E3779B97F4A7C15ULL;
		if (to) {
			to->python[2 * i] = code;
			to->python[2 * i + 1] = instruction;
			to->python_frames = i + 1;
		}
		if (bpf_probe_read_user(&frame, sizeof(frame),
					(const void *)frame + python->previous))
			break;
	}
	return hash;
}

static __always_inline struct origin *origin_of(struct origin_key *key, u64 sp,
						const struct pt_regs *regs,
						const struct python *python, u64 thread)
{
	struct origin *known = origins.lookup(key), *empty;
	u32 zero = 0;

	if (known)
		return known;
	empty = no_origin.lookup(&zero);
	if (!empty)
		return NULL;
	origins.insert(key, empty);
	known = origins.lookup(key);
	if (!known)
		return NULL;
	if (regs && !is_compat()) {
		read_registers(known, regs);
		known->stack_pointer = sp;
		sample_stack_of(known, sp);
	}
	if (python && thread)
		python_frames(python, thread, known);
	return known;
}

static __always_inline u64 user_stack_pointer(const struct pt_regs *regs)
{
	u64 sp = 0;

	if (regs)
		PROBE_READ(sp, &regs->sp);
	return sp;
}

/* A descriptor of the current process was opened. */
static __always_inline void watched_origin(void *ctx, struct process_key owner, u32 fd,
					   const struct file *file, u32 birth)
{
	struct watched_process *process = watched_processes.lookup(&owner);
	struct watch *watch = watched.lookup(&owner);
	const struct pt_regs *regs = user_registers();
	struct opened_fd_key key = {.owner = owner, .fd = fd};
	struct opened_fd opened = {};
	const struct python *python = pythons.lookup(&owner);
	struct origin *origin;
	u64 sp, thread = 0;
	u32 in_memory;

	if (!watch || !process || !(watch->origins & WATCHING))
		return;
	sp = user_stack_pointer(regs);
	opened.origin.owner = owner;
	opened.origin.stack = user_stack(ctx);
	opened.origin.fd_type = THROUGH_MEMORY(in_memory, file_fd_type(file));
	opened.origin.birth = birth;
	/* Without frame pointers all stacks look alike but for their depth. */
	if (watch->by_depth)
		opened.origin.stack_pointer = sp;
	if (python) {
		thread = python_thread(python);
		if (thread)
			opened.origin.place = python_frames(python, thread, NULL);
	}
	opened.file = (u64)file;
	opened.at = bpf_ktime_get_ns();
	origin = origin_of(&opened.origin, sp, regs, python, thread);
	if (origin) {
		__sync_fetch_and_add(&origin->opened, 1);
	} else {
		__sync_fetch_and_add(&process->without_origin, 1);
		lose(LOSS_WATCHED_FULL);
	}
	if (opened_fds.update(&key, &opened))
		lose(LOSS_WATCHED_FULL);
}

/* A descriptor was opened where the verifier has no room for more. */
static __always_inline void watched_without_origin(struct process_key owner)
{
	struct watched_process *process = watched_processes.lookup(&owner);
	struct watch *watch = watched.lookup(&owner);

	if (watch && process && watch->origins & WATCHING)
		__sync_fetch_and_add(&process->without_origin, 1);
}
#elif defined(SPOTLIGHT)
static __always_inline void watched_origin(void *ctx, struct process_key owner, u32 fd,
					   const struct file *file, u32 birth)
{
}

static __always_inline void watched_without_origin(struct process_key owner)
{
}
#endif
