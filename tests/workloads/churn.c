/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Starts short-lived processes that open and close descriptors, at a rate, for a time:
 * churn SECONDS PROCESSES_A_SECOND FOLDER
 * Each process has one of a few names, opens a dozen descriptors, does a little I/O on each, and
 * exits. The parent prints the sum: there are too many processes to print one by one.
 */
#include "pair.h"
#include <sys/eventfd.h>
#include <time.h>

#define NAMES 5
#define SIZE 50

static const char *folder;
static char data[SIZE];

static void live(int number)
{
	struct pair pipe = pipe_pair(), stream = unix_pair(SOCK_STREAM);
	int file = file_of(folder, 0), event = (int)CHECK(eventfd(0, 0)), i;
	uint64_t one = 1;
	char name[16];

	snprintf(name, sizeof(name), "sc-churn-%d", number % NAMES);
	name_process(name);
	for (i = 0; i < 3; i++) {
		CHECK(write(pipe.out, data, SIZE));
		CHECK(read(pipe.in, data, SIZE));
		CHECK(send(stream.out, data, SIZE, 0));
		CHECK(recv(stream.in, data, SIZE, 0));
		CHECK(pwrite(file, data, SIZE, 0));
		CHECK(pread(file, data, SIZE, 0));
		CHECK(write(event, &one, sizeof(one)));
		CHECK(read(event, &one, sizeof(one)));
	}
	for (i = 0; i < 6; i++)
		close(dup(file));
	_exit(0);
}

static void tell(long count)
{
	static const char *const types[] = {"fifo", "unix_stream", "regular", "eventfd"};
	uint64_t operations = (uint64_t)count * 3;
	int i;

	for (i = 0; i < 4; i++) {
		const char *door = i == 1 ? "socket_call" : "read_write";
		uint64_t bytes = operations * (i == 3 ? 8 : SIZE);

		tally("written", types[i], door, operations, bytes);
		tally("read", types[i], door, operations, bytes);
	}
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	double began = now(), passed;
	long rate, count = 0;
	int status;

	if (argc < 4)
		return 2;
	rate = atol(argv[2]);
	folder = argv[3];
	name_process("sc-churn");
	while ((passed = now() - began) < atof(argv[1])) {
		while ((double)count < passed * (double)rate) {
			pid_t pid = (pid_t)CHECK(fork());

			if (!pid)
				live((int)count);
			CHECK(waitpid(pid, &status, 0));
			if (status)
				return 1;
			count++;
		}
		usleep(2000);
	}
	tell(count);
	tally_report();
	return 0;
}
