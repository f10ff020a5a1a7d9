/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ground truth of a workload: what its own system calls moved. A process sums up in memory and
 * stores the sums at exit in a mapping that it shares with the runner, because a write to a
 * descriptor would be counted too.
 */
#ifndef TALLY_H
#define TALLY_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOT_POSSIBLE 77
#define RECORDS 65536
#define LINES 64

/* As tests/scorecard/tally.py reads it. The first one of the mapping holds their number. */
struct record {
	uint64_t operations, bytes;
	uint32_t pid;
	char name[16], account[12], fd_type[16], door[16];
};

struct line {
	const char *account, *fd_type, *door;
	uint64_t operations, bytes;
};

static struct line lines[LINES];
static int line_count;
static pthread_mutex_t lines_lock = PTHREAD_MUTEX_INITIALIZER;

__attribute__((noreturn, unused)) static void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

/* This kernel lacks the feature: neither right nor wrong. */
__attribute__((noreturn, unused)) static void not_possible(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(NOT_POSSIBLE);
}

static inline long check(long result, const char *what)
{
	if (result < 0)
		fail(what);
	return result;
}

#define CHECK(call) check((long)(call), #call)

__attribute__((unused)) static void tally(const char *account, const char *fd_type,
					  const char *door, uint64_t operations, uint64_t bytes)
{
	int i;

	pthread_mutex_lock(&lines_lock);
	for (i = 0; i < line_count; i++)
		if (!strcmp(lines[i].account, account) && !strcmp(lines[i].fd_type, fd_type) &&
		    !strcmp(lines[i].door, door))
			break;
	if (i == LINES)
		abort();
	if (i == line_count)
		lines[line_count++] = (struct line){account, fd_type, door, 0, 0};
	lines[i].operations += operations;
	lines[i].bytes += bytes;
	pthread_mutex_unlock(&lines_lock);
}

static inline ssize_t tally_one(const char *account, const char *fd_type, const char *door,
				ssize_t result, const char *what)
{
	tally(account, fd_type, door, 1, check(result, what));
	return result;
}

/* One operation and its result; the process exits if it failed. */
#define READ(fd_type, door, call) tally_one("read", fd_type, door, call, #call)
#define WRITTEN(fd_type, door, call) tally_one("written", fd_type, door, call, #call)

/* The process id in the host's pid namespace, read without a descriptor. */
static inline uint32_t host_pid(void)
{
	char target[16] = {};

	CHECK(readlink("/proc/self", target, sizeof(target) - 1));
	return (uint32_t)atoi(target);
}

static struct record *shared_records(void)
{
	static struct record *records;
	const char *fd = getenv("FDSCOPE_TALLY");

	if (!records && fd) {
		records = mmap(NULL, (RECORDS + 1) * sizeof(*records), PROT_READ | PROT_WRITE,
			       MAP_SHARED, atoi(fd), 0);
		if (records == MAP_FAILED)
			fail("mapping the tally");
	}
	return records;
}

/* Once before a process exits or executes another program. */
__attribute__((unused)) static void tally_report(void)
{
	struct record *records = shared_records();
	uint32_t pid = host_pid();
	int i;

	for (i = 0; records && i < line_count; i++) {
		uint64_t at = __atomic_fetch_add(&records[0].operations, 1, __ATOMIC_SEQ_CST);
		struct record *record = &records[at + 1];

		if (at >= RECORDS)
			abort();
		record->operations = lines[i].operations;
		record->bytes = lines[i].bytes;
		record->pid = pid;
		prctl(PR_GET_NAME, record->name);
		strncpy(record->account, lines[i].account, sizeof(record->account) - 1);
		strncpy(record->fd_type, lines[i].fd_type, sizeof(record->fd_type) - 1);
		strncpy(record->door, lines[i].door, sizeof(record->door) - 1);
	}
	line_count = 0;
	memset(lines, 0, sizeof(lines));
}

/* With more than one, the C library would read the number of processors from a file. */
__attribute__((constructor)) static void one_arena_of_memory(void)
{
	mallopt(M_ARENA_MAX, 1);
}

static inline void name_process(const char *name)
{
	prctl(PR_SET_NAME, name);
}

/* Exits as a failed child did: nobody would end the wait for it. */
__attribute__((unused)) static void child_ended(int signal)
{
	int status;

	(void)signal;
	while (waitpid(-1, &status, WNOHANG) > 0)
		if (status)
			_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

/* Forks; the child counts for itself, reports and exits, at the latest with its parent. */
static inline pid_t start(const char *name, void (*work)(void *), void *with)
{
	struct sigaction action = {.sa_handler = child_ended, .sa_flags = SA_RESTART};
	pid_t pid, parent = getpid();

	CHECK(sigaction(SIGCHLD, &action, NULL));
	pid = (pid_t)CHECK(fork());
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() && getppid() != parent)
		_exit(1);
	signal(SIGCHLD, SIG_DFL);
	line_count = 0;
	memset(lines, 0, sizeof(lines));
	name_process(name);
	work(with);
	tally_report();
	_exit(0);
}

static inline void wait_for_children(void)
{
	signal(SIGCHLD, SIG_DFL);
	child_ended(0);
	while (waitid(P_ALL, 0, &(siginfo_t){}, WEXITED | WNOWAIT) == 0)
		child_ended(0);
}

static inline void *shared_memory(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? (fail("mmap"), NULL) : memory;
}

#endif
