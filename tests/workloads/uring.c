/* SPDX-License-Identifier: GPL-2.0-only */
/* Reads and writes by io_uring: uring KIND TIMES FOLDER */
#include "pair.h"
#include "ring.h"
#include <sys/uio.h>

#define SIZE 3000
#define BUFFERS 4

static const char *folder;
static int times;
static char data[BUFFERS * SIZE];
static struct iovec vector[2] = {{data, 1000}, {data + 1000, SIZE - 1000}};
static struct msghdr message = {.msg_iov = vector, .msg_iovlen = 2};

static void written(const char *fd_type, int result)
{
	tally("written", fd_type, "io_uring", 1, (uint64_t)result);
}

static void got(const char *fd_type, int result)
{
	tally("read", fd_type, "io_uring", 1, (uint64_t)result);
}

static struct io_uring_sqe with(struct io_uring_sqe entry, unsigned flags)
{
	entry.flags = (uint8_t)flags;
	return entry;
}

static void files(unsigned setup, unsigned flags)
{
	struct ring ring = ring_of(setup);
	int fd = file_of(folder, 0), i;

	if (flags & IOSQE_FIXED_FILE) {
		registered(&ring, IORING_REGISTER_FILES, &fd, 1);
		fd = 0;
	}
	for (i = 0; i < times; i++) {
		written("regular", perform(&ring, with(operation(IORING_OP_WRITE, fd, data, SIZE, 0), flags)));
		got("regular", perform(&ring, with(operation(IORING_OP_READ, fd, data, SIZE, 0), flags)));
		written("regular", perform(&ring, with(operation(IORING_OP_WRITEV, fd, vector, 2, 0), flags)));
		got("regular", perform(&ring, with(operation(IORING_OP_READV, fd, vector, 2, 0), flags)));
	}
}

static void fixed_buffers(void)
{
	struct ring ring = ring_of(0);
	struct iovec whole = {data, SIZE};
	int fd = file_of(folder, 0), i;

	registered(&ring, IORING_REGISTER_BUFFERS, &whole, 1);
	for (i = 0; i < times; i++) {
		written("regular", perform(&ring, operation(IORING_OP_WRITE_FIXED, fd, data, SIZE, 0)));
		got("regular", perform(&ring, operation(IORING_OP_READ_FIXED, fd, data, SIZE, 0)));
	}
}

static void sockets(const char *fd_type, struct pair pair, unsigned flags)
{
	struct ring ring = ring_of(0);
	int i;

	for (i = 0; i < times; i++) {
		written(fd_type, perform(&ring, with(operation(IORING_OP_SEND, pair.out, data, SIZE, 0), flags)));
		got(fd_type, perform(&ring, with(operation(IORING_OP_RECV, pair.in, data, SIZE, 0), flags)));
		written(fd_type, perform(&ring, with(operation(IORING_OP_SENDMSG, pair.out, &message, 1, 0), flags)));
		got(fd_type, perform(&ring, with(operation(IORING_OP_RECVMSG, pair.in, &message, 1, 0), flags)));
		written(fd_type, perform(&ring, operation(IORING_OP_WRITE, pair.out, data, SIZE, -1UL)));
		got(fd_type, perform(&ring, operation(IORING_OP_READ, pair.in, data, SIZE, -1UL)));
	}
}

/* Zero-copy send: the second completion says that the memory can be reused. */
static void zero_copy(void)
{
	struct ring ring = ring_of(0);
	struct pair pair = tcp_pair();
	int i;

	for (i = 0; i < times; i++) {
		written("tcp", perform(&ring, operation(IORING_OP_SEND_ZC, pair.out, data, SIZE, 0)));
		READ("tcp", "socket_call", recv(pair.in, data, SIZE, MSG_WAITALL));
		while (!(completion(&ring).flags & IORING_CQE_F_NOTIF))
			;
	}
}

/* A multishot receive: one request completes each time data arrives. */
static void multishot(unsigned opcode, const char *fd_type, struct pair pair)
{
	struct ring ring = ring_of(0);
	struct io_uring_sqe many = with(operation(opcode, pair.in, NULL, 0, opcode == IORING_OP_RECV ? 0 : -1UL),
					IOSQE_BUFFER_SELECT);
	int i;

	if (opcode == IORING_OP_RECV)
		many.ioprio = IORING_RECV_MULTISHOT;
	many.buf_group = 1;
	for (i = 0; i < times; i++) {
		struct io_uring_sqe buffers = operation(IORING_OP_PROVIDE_BUFFERS, BUFFERS, data, SIZE, 0);
		struct done last = {};
		int j;

		buffers.buf_group = 1;
		perform(&ring, buffers);
		submit(&ring, many);
		for (j = 0; j < BUFFERS; j++) {
			if (opcode == IORING_OP_RECV)
				WRITTEN(fd_type, "socket_call", send(pair.out, data, 700, 0));
			else
				WRITTEN(fd_type, "read_write", write(pair.out, data, 700));
			last = completion(&ring);
			if (last.res == -EINVAL || last.res == -ENOBUFS) {
				errno = -last.res;
				not_possible("the kernel's io_uring has no such multishot");
			}
			got(fd_type, (int)check(last.res, "multishot"));
		}
		WRITTEN(fd_type, opcode == IORING_OP_RECV ? "vectored" : "read_write",
			opcode == IORING_OP_RECV ? writev(pair.out, vector, 1)
						 : write(pair.out, data, 1000));
		while (last.flags & IORING_CQE_F_MORE)
			last = completion(&ring); /* no buffer is left, so the request ends */
		READ(fd_type, "read_write", read(pair.in, data, SIZE));
	}
}

static void moving(void)
{
	struct ring ring = ring_of(0);
	struct pair one = pipe_pair(), other = pipe_pair();
	int file = file_of(folder, SIZE), i;

	for (i = 0; i < times; i++) {
		struct io_uring_sqe entry = operation(IORING_OP_SPLICE, one.out, NULL, SIZE, -1UL);
		int count;

		entry.splice_off_in = 0;
		entry.splice_fd_in = file;
		count = perform(&ring, entry);
		tally("read", "regular", "splice", 1, (uint64_t)count);
		tally("written", "fifo", "splice", 1, (uint64_t)count);
		entry = operation(IORING_OP_TEE, other.out, NULL, SIZE, 0);
		entry.splice_fd_in = one.in;
		count = perform(&ring, entry);
		tally("duplicated", "fifo", "splice", 1, (uint64_t)count);
		tally("written", "fifo", "splice", 1, (uint64_t)count);
		READ("fifo", "read_write", read(one.in, data, SIZE));
		READ("fifo", "read_write", read(other.in, data, SIZE));
	}
}

/* A successful request posts no completion (IOSQE_CQE_SKIP_SUCCESS). */
static void silent(void)
{
	struct ring ring = ring_of(0);
	int fd = file_of(folder, 0), i;

	if (!(ring.params.features & IORING_FEAT_CQE_SKIP)) {
		errno = EOPNOTSUPP;
		not_possible("IOSQE_CQE_SKIP_SUCCESS");
	}
	for (i = 0; i < times; i++) {
		submit(&ring, with(operation(IORING_OP_WRITE, fd, data, SIZE, 0),
				   IOSQE_CQE_SKIP_SUCCESS | IOSQE_IO_LINK));
		perform(&ring, operation(IORING_OP_NOP, -1, NULL, 0, 0));
		written("regular", SIZE);
	}
}

int main(int argc, char **argv)
{
	const char *kind = argv[1];

	if (argc < 4)
		return 2;
	times = atoi(argv[2]);
	folder = argv[3];
	name_process("sc-uring");
	if (!strcmp(kind, "files"))
		files(0, 0);
	else if (!strcmp(kind, "workers"))
		files(0, IOSQE_ASYNC);
	else if (!strcmp(kind, "fixed-files"))
		files(0, IOSQE_FIXED_FILE);
	else if (!strcmp(kind, "fixed-buffers"))
		fixed_buffers();
	else if (!strcmp(kind, "kernel-thread"))
		files(IORING_SETUP_SQPOLL, 0);
	else if (!strcmp(kind, "deferred"))
		files(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, 0);
	else if (!strcmp(kind, "tcp"))
		sockets("tcp", tcp_pair(), 0);
	else if (!strcmp(kind, "unix-workers"))
		sockets("unix_stream", unix_pair(SOCK_STREAM), IOSQE_ASYNC);
	else if (!strcmp(kind, "zero-copy"))
		zero_copy();
	else if (!strcmp(kind, "multishot"))
		multishot(IORING_OP_RECV, "unix_stream", unix_pair(SOCK_STREAM));
	else if (!strcmp(kind, "multishot-pipe"))
		multishot(OPCODE_READ_MULTISHOT, "fifo", pipe_pair());
	else if (!strcmp(kind, "moving"))
		moving();
	else if (!strcmp(kind, "silent"))
		silent();
	else
		return 2;
	tally_report();
	return 0;
}
