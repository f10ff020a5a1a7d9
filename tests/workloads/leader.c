/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Threads that rename threads, and a leader thread that exits: leader KIND FOLDER
 * A process has the name of its leader thread, whichever thread sets it. KIND: worker-named (the
 * leader renames a worker), leader-named (a worker renames the leader), itself-named (a worker
 * renames itself), ended (the leader thread exits, a worker goes on). It moves known bytes, prints
 * that it is done, and sleeps until it is killed.
 */
#include "pair.h"
#include <semaphore.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#define SIZE 1000
#define TIMES 300
#define EVENTS 77
#define PIPES 50
#define LIMIT 900

static const char *kind;
static pthread_t leader;
static sem_t started, named;
static int file;

static void write_file(void)
{
	char data[SIZE] = {};
	int i;

	for (i = 0; i < TIMES; i++)
		CHECK(write(file, data, SIZE));
}

__attribute__((noreturn)) static void done(void)
{
	CHECK(write(STDOUT_FILENO, "", 1));
	for (;;)
		pause();
}

static void *work(void *unused)
{
	struct rlimit limit = {LIMIT, LIMIT};
	int i;

	(void)unused;
	sem_post(&started);
	if (!strcmp(kind, "leader-named"))
		CHECK(-pthread_setname_np(leader, "wk-gives"));
	if (!strcmp(kind, "itself-named"))
		name_process("wk-own");
	if (!strcmp(kind, "ended")) {
		pthread_join(leader, NULL);
		CHECK(setrlimit(RLIMIT_NOFILE, &limit));
		for (i = 0; i < EVENTS; i++)
			CHECK(eventfd(0, 0));
		for (i = 0; i < PIPES; i++)
			pipe_pair();
		write_file();
		done();
	}
	sem_post(&named);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	pthread_t worker;

	if (argc < 3)
		return 2;
	kind = argv[1];
	leader = pthread_self();
	name_process("ld-name");
	file = file_of(argv[2], 0);
	write_file();
	CHECK(-pthread_create(&worker, NULL, work, NULL));
	sem_wait(&started);
	if (!strcmp(kind, "worker-named"))
		CHECK(-pthread_setname_np(worker, "wk-given"));
	if (!strcmp(kind, "ended"))
		pthread_exit(NULL);
	sem_wait(&named);
	write_file();
	done();
}
