/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Many operations by many threads of several processes, at a rate, for a time:
 * load SECONDS OPERATIONS_A_SECOND PROCESSES THREADS FOLDER
 */
#include "pair.h"
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <time.h>

#define MOST_THREADS 64
#define STEP_NANOSECONDS 20000000L

struct count {
	const char *account, *fd_type, *door;
	uint64_t operations, bytes;
};

struct worker {
	pthread_t thread;
	struct pair tcp, stream, dgram, pipe;
	int file, event, number;
	struct count counts[LINES];
};

static double seconds;
static long rate;
static int processes, threads;
static const char *folder;

static void count(struct worker *worker, int slot, const char *account, const char *fd_type,
		  const char *door, ssize_t result)
{
	struct count *to = &worker->counts[slot];

	to->account = account;
	to->fd_type = fd_type;
	to->door = door;
	to->operations++;
	to->bytes += (uint64_t)check(result, fd_type);
}

/* Sixteen operations, whose sizes change from round to round. */
static void round_of_operations(struct worker *w, long number)
{
	char data[1200] = {};
	size_t size = 1 + (size_t)(number * 37 % 1000);
	struct iovec vector[2] = {{data, size / 2}, {data + size / 2, size - size / 2}};
	struct msghdr message = {.msg_iov = vector, .msg_iovlen = 2};
	uint64_t one = 1;

	count(w, 0, "written", "tcp", "socket_call", send(w->tcp.out, data, size, 0));
	count(w, 1, "read", "tcp", "socket_call", recv(w->tcp.in, data, size, MSG_WAITALL));
	count(w, 2, "written", "unix_stream", "read_write", write(w->stream.out, data, size));
	count(w, 3, "read", "unix_stream", "read_write", read(w->stream.in, data, size));
	count(w, 4, "written", "unix_dgram", "socket_call", sendmsg(w->dgram.out, &message, 0));
	count(w, 5, "read", "unix_dgram", "socket_call", recvmsg(w->dgram.in, &message, 0));
	count(w, 6, "written", "fifo", "read_write", write(w->pipe.out, data, size));
	count(w, 7, "read", "fifo", "read_write", read(w->pipe.in, data, size));
	count(w, 8, "written", "regular", "read_write", pwrite(w->file, data, size, 0));
	count(w, 9, "read", "regular", "read_write", pread(w->file, data, size, 0));
	count(w, 10, "written", "regular", "vectored", pwritev(w->file, vector, 2, 0));
	count(w, 11, "read", "regular", "vectored", preadv(w->file, vector, 2, 0));
	count(w, 12, "written", "eventfd", "read_write", write(w->event, &one, sizeof(one)));
	count(w, 13, "read", "eventfd", "read_write", read(w->event, &one, sizeof(one)));
	count(w, 14, "written", "tcp", "vectored", writev(w->tcp.out, vector, 2));
	count(w, 15, "read", "tcp", "socket_call", recv(w->tcp.in, data, size, MSG_WAITALL));
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void *work(void *argument)
{
	struct worker *w = argument;
	double began = now(), passed;
	long done = 0;

	while ((passed = now() - began) < seconds) {
		struct timespec step = {0, STEP_NANOSECONDS};

		while ((double)(done * 16) < passed * (double)rate / (processes * threads))
			round_of_operations(w, done++);
		nanosleep(&step, NULL);
	}
	return NULL;
}

static void process(void *unused)
{
	static struct worker workers[MOST_THREADS];
	int i, j;

	(void)unused;
	for (i = 0; i < threads; i++) {
		struct worker *w = &workers[i];

		w->tcp = tcp_pair();
		w->stream = unix_pair(SOCK_STREAM);
		w->dgram = unix_pair(SOCK_DGRAM);
		w->pipe = pipe_pair();
		w->file = file_of(folder, 0);
		w->event = (int)CHECK(eventfd(0, 0));
		CHECK(-pthread_create(&w->thread, NULL, work, w));
	}
	for (i = 0; i < threads; i++) {
		struct worker *w = &workers[i];

		pthread_join(w->thread, NULL);
		for (j = 0; j < LINES; j++)
			if (w->counts[j].operations)
				tally(w->counts[j].account, w->counts[j].fd_type, w->counts[j].door,
				      w->counts[j].operations, w->counts[j].bytes);
	}
}

int main(int argc, char **argv)
{
	int i;

	if (argc < 6)
		return 2;
	seconds = atof(argv[1]);
	rate = atol(argv[2]);
	processes = atoi(argv[3]);
	threads = atoi(argv[4]);
	folder = argv[5];
	if (threads > MOST_THREADS)
		return 2;
	name_process("sc-load");
	for (i = 0; i < processes; i++) {
		char name[32];

		snprintf(name, sizeof(name), "sc-load-%d", i);
		start(name, process, NULL);
	}
	wait_for_children();
	return 0;
}
