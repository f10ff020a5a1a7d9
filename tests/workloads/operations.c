// SPDX-License-Identifier: GPL-2.0-only
/*
 * operations [threads]: what each operation costs, in ticks of the processor's clock. Under
 * `qemu -icount shift=0` a tick is an instruction. Prints a line for each: its name and the median
 * over ROUNDS rounds. With `threads` a second thread waits, so that the table of fds is shared.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 15
#define OPERATIONS 40 /* of a round */

enum { READS, WRITES };

static int zero, memory, ends[2], stream[2], local[2], datagram[2];
static char byte[64];

static uint64_t now(void)
{
#ifdef __x86_64__
	return __builtin_ia32_rdtsc();
#else
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ULL + time.tv_nsec;
#endif
}

static void must(ssize_t result, ssize_t wanted)
{
	if (result != wanted)
		err(1, "an operation gave %zd instead of %zd", result, wanted);
}

static void do_getpid(void)
{
	syscall(SYS_getpid);
}

static void do_read(void)
{
	must(read(zero, byte, 1), 1);
}

static void do_write(void)
{
	must(write(zero, byte, 1), 1);
}

static void do_writev(void)
{
	struct iovec parts[] = {{byte, 1}, {byte, 1}};

	must(writev(zero, parts, 2), 2);
}

static void do_pread(void)
{
	must(pread(memory, byte, sizeof(byte), 0), sizeof(byte));
}

static void do_pipe(void)
{
	must(write(ends[WRITES], byte, 1), 1);
	must(read(ends[READS], byte, 1), 1);
}

static void send_and_receive(const int pair[2])
{
	must(send(pair[WRITES], byte, 1, 0), 1);
	must(recv(pair[READS], byte, 1, 0), 1);
}

static void do_tcp(void)
{
	send_and_receive(stream);
}

static void do_tcp_by_read(void)
{
	must(write(stream[WRITES], byte, 1), 1);
	must(read(stream[READS], byte, 1), 1);
}

static void do_unix(void)
{
	send_and_receive(local);
}

static void do_udp(void)
{
	send_and_receive(datagram);
}

static void do_eagain(void)
{
	must(recv(stream[READS], byte, 1, MSG_DONTWAIT), -1);
}

static void do_open(void)
{
	must(close(open("/dev/null", O_RDWR)), 0);
}

static void do_fork(void)
{
	pid_t child = vfork();

	if (!child)
		_exit(0);
	must(waitpid(child, NULL, 0), child);
}

static const struct operation {
	const char *name;
	void (*run)(void);
} operations[] = {
	{"getpid", do_getpid}, {"read", do_read},   {"write", do_write},
	{"writev", do_writev}, {"pread", do_pread}, {"pipe", do_pipe},
	{"tcp", do_tcp},       {"tcp_by_read", do_tcp_by_read},
	{"unix", do_unix},     {"udp", do_udp},     {"eagain", do_eagain},
	{"open", do_open},     {"fork", do_fork},
};

static int bound(int type)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, type, 0);

	must(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static int connected_to(int fd, int type)
{
	struct sockaddr_in address;
	socklen_t length = sizeof(address);
	int peer = socket(AF_INET, type, 0);

	must(getsockname(fd, (struct sockaddr *)&address, &length), 0);
	must(connect(peer, (struct sockaddr *)&address, length), 0);
	return peer;
}

static void open_all(void)
{
	int listener = bound(SOCK_STREAM);

	zero = open("/dev/zero", O_RDWR);
	memory = open("/dev/shm/operations", O_RDWR | O_CREAT, 0600);
	must(pwrite(memory, byte, sizeof(byte), 0), sizeof(byte));
	must(pipe(ends), 0);
	must(listen(listener, 1), 0);
	stream[WRITES] = connected_to(listener, SOCK_STREAM);
	stream[READS] = accept(listener, NULL, NULL);
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, local), 0);
	datagram[READS] = bound(SOCK_DGRAM);
	datagram[WRITES] = connected_to(datagram[READS], SOCK_DGRAM);
}

static void *wait_for_the_end(void *unused)
{
	pause();
	return unused;
}

static int by_size(const void *one, const void *other)
{
	uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;

	return (a > b) - (a < b);
}

static double median(void (*run)(void))
{
	uint64_t took[ROUNDS], began;
	int round, i;

	for (round = 0; round < ROUNDS; round++) {
		began = now();
		for (i = 0; i < OPERATIONS; i++)
			run();
		took[round] = now() - began;
	}
	qsort(took, ROUNDS, sizeof(took[0]), by_size);
	return (double)took[ROUNDS / 2] / OPERATIONS;
}

int main(int count, char **arguments)
{
	pthread_t thread;
	unsigned i;

	(void)arguments;
	open_all();
	if (count > 1)
		must(pthread_create(&thread, NULL, wait_for_the_end, NULL), 0);
	for (i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
		printf("%s %.1f\n", operations[i].name, median(operations[i].run));
	return 0;
}
