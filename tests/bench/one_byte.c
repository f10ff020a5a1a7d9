/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Nanoseconds of a one-byte read and write of /dev/zero: "READ WRITE", the best of several rounds.
 * With the argument "threads" another thread sleeps meanwhile, so that descriptors are shared.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 7, OPERATIONS = 200000 };

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

static void *idle(void *unused)
{
	pause();
	return unused;
}

static double best_of(int fd, int writing)
{
	double best = 1e18;
	char byte = 0;

	for (int round = 0; round < ROUNDS; round++) {
		double start = now(), took;

		for (int i = 0; i < OPERATIONS; i++)
			if ((writing ? write(fd, &byte, 1) : read(fd, &byte, 1)) != 1)
				return -1;
		took = (now() - start) / OPERATIONS;
		if (took < best)
			best = took;
	}
	return best;
}

int main(int argc, char **argv)
{
	int fd = open("/dev/zero", O_RDWR);
	pthread_t thread;

	(void)argv;
	if (argc > 1)
		pthread_create(&thread, NULL, idle, NULL);
	printf("%f %f\n", best_of(fd, 0), best_of(fd, 1));
	return 0;
}
