/* SPDX-License-Identifier: GPL-2.0-only */
/* sendfile, splice, tee and vmsplice: splice KIND TIMES FOLDER */
#include "pair.h"
#include <sys/sendfile.h>
#include <sys/uio.h>

#define SIZE 5000

static const char *folder;
static int times;
static char data[SIZE];

static void moved(const char *from, const char *to, const char *door, ssize_t count)
{
	tally("read", from, door, 1, (uint64_t)CHECK(count));
	tally("written", to, door, 1, (uint64_t)count);
}

static void drain(const char *fd_type, int fd)
{
	ssize_t left = SIZE;

	while (left)
		left -= READ(fd_type, "read_write", read(fd, data, (size_t)left));
}

static void send_file(const char *to, struct pair pair)
{
	int i, file = file_of(folder, SIZE);

	for (i = 0; i < times; i++) {
		off_t at = 0;

		while (at < SIZE)
			moved("regular", to, "sendfile",
			      sendfile(pair.out, file, &at, SIZE - (size_t)at));
		drain(to, pair.in);
	}
}

static void send_file_to_file(void)
{
	int i, from = file_of(folder, SIZE), to = (int)CHECK(memfd_create("sc", 0));

	for (i = 0; i < times; i++) {
		lseek(from, 0, SEEK_SET);
		moved("regular", "memfd", "sendfile", sendfile(to, from, NULL, SIZE));
	}
}

static void all_of(const char *from, int in, const char *to, int out)
{
	ssize_t left = SIZE, more;

	while (left) {
		more = CHECK(splice(in, NULL, out, NULL, (size_t)left, SPLICE_F_MOVE));
		moved(from, to, "splice", more);
		left -= more;
	}
}

/* From a file through a pipe into a socket, and from the socket through a pipe into a file. */
static void splice_through(const char *fd_type, struct pair sockets)
{
	int i, from = file_of(folder, SIZE), to = file_of(folder, 0);
	struct pair pipe = pipe_pair();

	for (i = 0; i < times; i++) {
		lseek(from, 0, SEEK_SET);
		all_of("regular", from, "fifo", pipe.out);
		all_of("fifo", pipe.in, fd_type, sockets.out);
		all_of(fd_type, sockets.in, "fifo", pipe.out);
		all_of("fifo", pipe.in, "regular", to);
	}
}

static void tee_pipes(void)
{
	struct pair one = pipe_pair(), other = pipe_pair();
	int i;

	for (i = 0; i < times; i++) {
		ssize_t count;

		WRITTEN("fifo", "read_write", write(one.out, data, SIZE));
		count = CHECK(tee(one.in, other.out, SIZE, 0));
		tally("duplicated", "fifo", "splice", 1, (uint64_t)count);
		tally("written", "fifo", "splice", 1, (uint64_t)count);
		drain("fifo", one.in);
		drain("fifo", other.in);
		WRITTEN("fifo", "read_write", write(one.out, data, SIZE));
		all_of("fifo", one.in, "fifo", other.out);
		drain("fifo", other.in);
	}
}

static void vmsplice_pipe(void)
{
	struct iovec vector[2] = {{data, 100}, {data + 100, SIZE - 100}};
	struct pair pipe = pipe_pair();
	int i;

	for (i = 0; i < times; i++) {
		WRITTEN("fifo", "splice", vmsplice(pipe.out, vector, 2, 0));
		READ("fifo", "splice", vmsplice(pipe.in, vector, 2, 0));
	}
}

static void peek(const char *fd_type, struct pair sockets)
{
	struct iovec vector = {data, SIZE};
	struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
	int i;

	for (i = 0; i < times; i++) {
		WRITTEN(fd_type, "socket_call", send(sockets.out, data, 1000, 0));
		tally_one("peeked", fd_type, "socket_call",
			  recv(sockets.in, data, 1000, MSG_PEEK), "recv");
		tally_one("peeked", fd_type, "socket_call",
			  recvmsg(sockets.in, &message, MSG_PEEK), "recvmsg");
		READ(fd_type, "socket_call", recv(sockets.in, data, 1000, MSG_WAITALL));
	}
}

int main(int argc, char **argv)
{
	const char *kind = argv[1];

	if (argc < 4)
		return 2;
	times = atoi(argv[2]);
	folder = argv[3];
	name_process("sc-splice");
	if (!strcmp(kind, "sendfile-tcp"))
		send_file("tcp", tcp_pair());
	else if (!strcmp(kind, "sendfile-unix"))
		send_file("unix_stream", unix_pair(SOCK_STREAM));
	else if (!strcmp(kind, "sendfile-pipe"))
		send_file("fifo", pipe_pair());
	else if (!strcmp(kind, "sendfile-file"))
		send_file_to_file();
	else if (!strcmp(kind, "splice-tcp"))
		splice_through("tcp", tcp_pair());
	else if (!strcmp(kind, "splice-unix"))
		splice_through("unix_stream", unix_pair(SOCK_STREAM));
	else if (!strcmp(kind, "tee"))
		tee_pipes();
	else if (!strcmp(kind, "vmsplice"))
		vmsplice_pipe();
	else if (!strcmp(kind, "peek-tcp"))
		peek("tcp", tcp_pair());
	else if (!strcmp(kind, "peek-unix"))
		peek("unix_stream", unix_pair(SOCK_STREAM));
	else
		return 2;
	tally_report();
	return 0;
}
