/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Door io_uring: operations are counted when they complete, for the process of the ring, whichever
 * thread completes them.
 */
#include "attach.c"
#include "core/account.c"

#define IO_COMPL_BATCH 32

static __always_inline const struct task_struct *request_task(const struct io_kiocb *request)
{
	struct task_struct *task = NULL;
#ifdef HAVE_io_kiocb_tctx
	struct io_uring_task *tctx = NULL;

	PROBE_READ(tctx, &request->tctx);
	PROBE_READ(task, &tctx->task);
#else
	PROBE_READ(task, &request->task);
#endif
	return task;
}

/* The account of an opcode; ACCOUNT_NONE if it moves nothing, or is counted elsewhere. */
static __always_inline u32 opcode_account(u8 opcode)
{
	switch (opcode) {
	case IORING_READ_OPCODES:
		return ACCOUNT_FILE_READ;
	case IORING_WRITE_OPCODES:
		return ACCOUNT_FILE_WRITE;
	}
	return ACCOUNT_NONE;
}

/* The flags of a receive are in the request, which begins with a struct io_sr_msg. */
static __always_inline u32 request_account(const struct io_kiocb *request, u8 opcode, u32 fd_type)
{
	u32 flags = 0;

#ifdef HAVE_io_sr_msg_msg_flags
	if (opcode == OPCODE_RECV || opcode == OPCODE_RECVMSG) {
		PROBE_READ(flags, &((const struct io_sr_msg *)request)->msg_flags);
		return receive_account(flags, fd_type, true);
	}
#endif
	return opcode_account(opcode);
}

/* True if no descriptor was free for the request; in the other modes alloc_fd() is hooked. */
static __always_inline bool found_no_fd(u8 opcode, s32 result)
{
#ifdef MODE_TRACEPOINT
	if (result != -EMFILE)
		return false;
	switch (opcode) {
	case IORING_OPENING_OPCODES:
		return true;
	}
#endif
	return false;
}

static __always_inline int request_done(const struct io_kiocb *request, s32 result)
{
	const struct task_struct *task;
	struct file *file = NULL;
	struct target target;
	u8 opcode = 0;
	bool moves;

	PROBE_READ(opcode, &request->opcode);
	PROBE_READ(file, &request->file);
	moves = opcode_account(opcode) != ACCOUNT_NONE;
	if (found_no_fd(opcode, result) || (moves && !file && result == -EBADF)) {
		task = request_task(request);
		account_of(task, process_key_of(task), ACCOUNT_FD_REFUSED, FD_TYPE_OTHER,
			   moves ? BIRTH_OTHER : BIRTH_IO_URING, result, 1);
		return 0;
	}
	if (!moves || !file)
		return 0;
	task = request_task(request);
	target = target_of(file);
	account_file(task, process_key_of(task), request_account(request, opcode, target.fd_type),
		     target, DOOR_IO_URING, result, 1);
	return 0;
}

/*
 * io_uring_complete(void *ctx, struct io_kiocb *req, ...): then user_data and the result, or the
 * completion since Linux kernel commit 2946f08ae9ed ("io_uring: clean up cqe trace points")
 * (in v6.13); req is NULL for all but the last completion of a multishot request
 */
ON_TRACEPOINT(io_uring_complete)
{
	const struct io_kiocb *request = (const struct io_kiocb *)arg[1];
	s32 result = 0;

	if (!request)
		return 0;
#if IO_URING_COMPLETE_ARITY == 3
	PROBE_READ(result, &((const struct io_uring_cqe *)arg[2])->res);
#else
	result = arg[3];
#endif
	return request_done(request, result);
}

#ifndef MODE_TRACEPOINT
/*
 * bool io_req_post_cqe(struct io_kiocb *req, s32 res, u32 flags): a multishot request has one more
 * result
 */
ON_ENTRY(io_req_post_cqe)
{
	return request_done((const struct io_kiocb *)arg[0], arg[1]);
}

#if IO_URING_COMPLETE_ARITY != 3 && IO_URING_COMPLETE_ARITY != 7
/*
 * Where the tracepoint is not used, before Linux kernel commit c4bb964fa092 ("io_uring: add
 * tracing for additional CQE32 fields") (in v5.19), a request completes in one of two places: void
 * io_req_complete_post(struct io_kiocb *req, s32 res, u32 flags)
 */
ON_ENTRY(io_req_complete_post)
{
	return request_done((const struct io_kiocb *)arg[0], arg[1]);
}

/*
 * void io_submit_flush_completions(struct io_ring_ctx *ctx): all requests that completed at
 * submission
 */
ON_ENTRY(io_submit_flush_completions)
{
	const struct io_submit_state *state = &((struct io_ring_ctx *)arg[0])->submit_state;
	struct io_kiocb *request;
	u32 count = 0, i;
	s32 result;

	PROBE_READ(count, &state->compl_nr);
	for (i = 0; i < IO_COMPL_BATCH; i++) {
		if (i >= count)
			break;
		request = NULL;
		result = 0;
		PROBE_READ(request, &state->compl_reqs[i]);
		PROBE_READ(result, &request->result);
		request_done(request, result);
	}
	return 0;
}
#endif
#endif
