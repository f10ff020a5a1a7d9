/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Many live processes at once: herd COUNT
 * Each has its own name and fds and does a little I/O; then all sleep. A byte on standard output
 * says that all have started. All exit with the first process, which runs until it is killed.
 */
#include "pair.h"

static void live(void *number)
{
	struct pair pipe = pipe_pair(), stream = unix_pair(SOCK_STREAM);
	char data[16] = {}, name[16];

	snprintf(name, sizeof(name), "herd%d", (int)(intptr_t)number);
	name_process(name);
	CHECK(write(pipe.out, data, sizeof(data)));
	CHECK(read(pipe.in, data, sizeof(data)));
	CHECK(send(stream.out, data, sizeof(data), 0));
	CHECK(recv(stream.in, data, sizeof(data), 0));
}

int main(int argc, char **argv)
{
	struct pair ready = pipe_pair();
	pid_t parent = getpid();
	int i, count;
	char byte;

	if (argc < 2)
		return 2;
	count = atoi(argv[1]);
	for (i = 0; i < count; i++) {
		pid_t pid = fork();

		if (pid < 0) /* the user's limit of processes is reached */
			break;
		if (pid)
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() && getppid() != parent)
			_exit(1);
		live((void *)(intptr_t)i);
		CHECK(write(ready.out, "", 1));
		for (;;)
			pause();
	}
	for (count = i; count; count--)
		CHECK(read(ready.in, &byte, 1));
	CHECK(write(STDOUT_FILENO, "", 1));
	for (;;)
		pause();
}
