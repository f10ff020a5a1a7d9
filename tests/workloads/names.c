/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Uses ever new process names: names KIND STYLE COUNT RATE FOLDER
 * KIND: fork (short-lived processes), exec (the same, named by the program's path), thread (threads
 * of one process), rename (one process renames itself). STYLE: plain, or odd (names of any bytes).
 * COUNT names in all (0: until SIGTERM), RATE a second (0: as fast as possible). Under each name, 7
 * bytes are written to a socket by writev() and read from it by readv(), which hardly any other
 * program does with sockets of this type. At the end the number of names is printed. No name is
 * used twice.
 */
#include "pair.h"
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>

#define SIZE 7

static const char *folder;
static char program[4096];
static int is_odd;
static struct pair ends;
static uint32_t seed;
static volatile sig_atomic_t ended;

static void end(int signal)
{
	(void)signal;
	ended = 1;
}

static void make_name(char name[16], uint32_t number)
{
	static const char odd[] = "\xff\x01\n\r\t\"\\{},=\x7f\x1b\xe2\x80\xae\xc2\x85\xf0\x9f\x98";
	uint32_t mixed = number * 2654435761u ^ seed;
	int i;

	/* Contains the number in hexadecimal, so that no two names are equal. */
	snprintf(name, 16, "%c%08x", is_odd ? '\xfe' : 'u', number);
	for (i = 9; is_odd && i < 15; i++, mixed = mixed * 1103515245u + 12345u)
		name[i] = odd[(mixed >> 16) % (sizeof(odd) - 1)];
	name[is_odd ? 15 : 9] = 0;
}

static void move_some(void)
{
	char data[SIZE] = {};
	struct iovec vector = {data, SIZE};

	CHECK(writev(ends.out, &vector, 1));
	CHECK(readv(ends.in, &vector, 1));
}

static void by_fork(uint32_t number)
{
	char name[16];
	int status;
	pid_t pid;

	make_name(name, number);
	pid = (pid_t)CHECK(fork());
	if (!pid) {
		name_process(name);
		move_some();
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0));
}

static void by_exec(uint32_t number)
{
	char name[16], path[4200], out[16], in[16];
	int status;
	pid_t pid;

	make_name(name, number);
	while (strchr(name, '/'))
		*strchr(name, '/') = '.';
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	snprintf(out, sizeof(out), "%d", ends.out);
	snprintf(in, sizeof(in), "%d", ends.in);
	CHECK(symlink(program, path));
	pid = (pid_t)CHECK(fork());
	if (!pid) {
		execl(path, name, out, in, (char *)NULL);
		fail("exec");
	}
	CHECK(waitpid(pid, &status, 0));
	CHECK(unlink(path));
}

static void *of_a_thread(void *number)
{
	char name[16];

	make_name(name, (uint32_t)(uintptr_t)number);
	name_process(name);
	move_some();
	return NULL;
}

static void by_thread(uint32_t number)
{
	pthread_t thread;

	CHECK(-pthread_create(&thread, NULL, of_a_thread, (void *)(uintptr_t)number));
	pthread_join(thread, NULL);
}

static void by_rename(uint32_t number)
{
	of_a_thread((void *)(uintptr_t)number);
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*one)(uint32_t number);
	} kinds[] = {
		{"fork", by_fork}, {"exec", by_exec}, {"thread", by_thread}, {"rename", by_rename},
	};
	long count, rate, number;
	double began = now();
	size_t i;

	if (argc == 3) { /* started by by_exec() */
		ends = (struct pair){atoi(argv[1]), atoi(argv[2])};
		move_some();
		return 0;
	}
	if (argc < 6)
		return 2;
	is_odd = !strcmp(argv[2], "odd");
	count = atol(argv[3]);
	rate = atol(argv[4]);
	folder = argv[5];
	seed = (uint32_t)getpid();
	CHECK(readlink("/proc/self/exe", program, sizeof(program) - 1));
	ends = unix_pair(SOCK_SEQPACKET);
	CHECK(sigaction(SIGTERM, &(struct sigaction){.sa_handler = end, .sa_flags = SA_RESTART}, NULL));
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(argv[1], kinds[i].name))
			break;
	if (i == sizeof(kinds) / sizeof(kinds[0]))
		return 2;
	for (number = 0; !ended && (!count || number < count); number++) {
		kinds[i].one((uint32_t)number);
		while (!ended && rate && (now() - began) * (double)rate < (double)number)
			usleep(1000);
	}
	printf("%ld\n", number);
	return 0;
}
