// SPDX-License-Identifier: GPL-2.0-only
/*
 * crowd PROCESSES NAMES: so many processes of so many names that have moved bytes and then wait.
 * Prints a line when all of them wait; they end with it.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void live(int number, int names, int ready)
{
	char name[32], buffer[8] = "";
	int pipe_fds[2], pair[2], file;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(name, sizeof(name), "crowd-%d", number % names);
	prctl(PR_SET_NAME, name);
	if (pipe(pipe_fds) || socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		_exit(1);
	file = open("/dev/zero", O_RDWR);
	if (write(pipe_fds[1], buffer, 8) != 8 || read(pipe_fds[0], buffer, 8) != 8 ||
	    write(pair[0], buffer, 8) != 8 || read(pair[1], buffer, 8) != 8 ||
	    read(file, buffer, 8) != 8)
		_exit(1);
	close(ready);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	int processes = argc > 1 ? atoi(argv[1]) : 1;
	int names = argc > 2 ? atoi(argv[2]) : 1;
	int ready[2];
	char byte;

	if (pipe(ready))
		return 1;
	for (int number = 0; number < processes; number++) {
		pid_t pid = fork();

		if (pid < 0)
			return 1;
		if (!pid) {
			close(ready[0]);
			live(number, names, ready[1]);
		}
	}
	close(ready[1]);
	/* Returns at the end of the file: when the last of them has closed its end. */
	if (read(ready[0], &byte, 1) < 0)
		return 1;
	puts("ready");
	fflush(stdout);
	pause();
	return 0;
}
