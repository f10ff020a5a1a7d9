/* SPDX-License-Identifier: GPL-2.0-only */
/* Processes that fork, exec and exit, and threads: processes KIND TIMES [FOLDER] */
#include "pair.h"
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define SIZE 100

static int times;
static const char *folder;
static char data[4096];
static struct pair ends;

static void put_some(const char *fd_type, int fd, int count)
{
	while (count--)
		WRITTEN(fd_type, "read_write", write(fd, data, SIZE));
}

static void get_some(const char *fd_type, int fd, long count)
{
	for (count *= SIZE; count;)
		count -= READ(fd_type, "read_write", read(fd, data, count < 4096 ? (size_t)count : 4096));
}

static void write_once(void *unused)
{
	(void)unused;
	put_some("fifo", ends.out, 1);
}

/* Each process makes one write; the parent reads everything at the end. */
static void short_lived(void)
{
	int i;

	ends = pipe_pair();
	for (i = 0; i < times; i++) {
		pid_t pid = start("sc-short", write_once, NULL);

		(void)pid;
		get_some("fifo", ends.in, 1);
	}
}

/* The process executes another program: its name changes, its counters go on. */
static void become_another(void *unused)
{
	char fd[16];

	(void)unused;
	put_some("fifo", ends.out, times);
	snprintf(fd, sizeof(fd), "%d", ends.out);
	tally_report();
	execl("/proc/self/exe", "processes", "after-exec", fd, (char *)NULL);
	fail("exec");
}

static void fork_and_exec(void)
{
	ends = pipe_pair();
	start("sc-before", become_another, NULL);
	get_some("fifo", ends.in, times + 7);
}

static void child_of_middle(void *unused)
{
	(void)unused;
	put_some("unix_stream", ends.out, times);
}

static void fork_in_the_middle(void)
{
	ends = unix_pair(SOCK_STREAM);
	put_some("unix_stream", ends.out, 3);
	start("sc-child", child_of_middle, NULL);
	get_some("unix_stream", ends.in, times + 3);
	put_some("unix_stream", ends.out, 4);
	get_some("unix_stream", ends.in, 4);
}

static void *read_one(void *fd)
{
	READ("unix_stream", "read_write", read((int)(intptr_t)fd, data, SIZE));
	return NULL;
}

static void *receive_one(void *fd)
{
	READ("unix_stream", "socket_call", recv((int)(intptr_t)fd, data, SIZE, 0));
	return NULL;
}

static int is_blocked(pid_t tid)
{
	char path[64], text[64] = {};
	ssize_t unused;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", tid);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return 1;
	unused = READ("regular", "read_write", read(fd, text, sizeof(text) - 1));
	(void)unused;
	close(fd);
	return strncmp(text, "running", 7) != 0;
}

static volatile pid_t waiting;
static void *(*volatile waits)(void *);

static void *as_thread(void *fd)
{
	waiting = (pid_t)syscall(SYS_gettid);
	return waits(fd);
}

/* A pipe is put at the fd number of the socket that another thread waits on. */
static void close_in_use(void)
{
	int i;

	for (i = 0; i < times; i++) {
		struct pair sockets = unix_pair(SOCK_STREAM), pipes = pipe_pair();
		pthread_t reader;

		waiting = 0;
		waits = i % 2 ? read_one : receive_one;
		CHECK(-pthread_create(&reader, NULL, as_thread, (void *)(intptr_t)sockets.in));
		wait_until_set(&waiting);
		while (!is_blocked(waiting))
			usleep(500);
		CHECK(dup2(pipes.in, sockets.in));
		WRITTEN("unix_stream", "socket_call", send(sockets.out, data, SIZE, 0));
		pthread_join(reader, NULL);
		close(sockets.in);
		close(sockets.out);
		close(pipes.in);
		close(pipes.out);
	}
}

static void *of_a_thread(void *unused)
{
	struct pair pipe = pipe_pair();
	char mine[SIZE] = {};
	int i;

	(void)unused;
	name_process("sc-thread");
	for (i = 0; i < times; i++) {
		WRITTEN("fifo", "read_write", write(pipe.out, mine, SIZE));
		READ("fifo", "read_write", read(pipe.in, mine, SIZE));
	}
	return NULL;
}

static void threads(void)
{
	pthread_t list[6];
	int i;

	for (i = 0; i < 6; i++)
		CHECK(-pthread_create(&list[i], NULL, of_a_thread, NULL));
	for (i = 0; i < 6; i++)
		pthread_join(list[i], NULL);
}

/* Process 1 of a container: new pid, mount, network and user namespaces. */
static void in_container(void *unused)
{
	struct pair sockets;
	char path[] = "/tmp/file";
	int fd;

	(void)unused;
	if (getpid() != 1)
		fail("this is no process namespace");
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("none", "/tmp", "tmpfs", 0, NULL))
		fail("mount");
	fd = (int)CHECK(open(path, O_RDWR | O_CREAT, 0600));
	put_some("regular", fd, times);
	lseek(fd, 0, SEEK_SET);
	get_some("regular", fd, times);
	sockets = unix_pair(SOCK_STREAM);
	put_some("unix_stream", sockets.out, times);
	get_some("unix_stream", sockets.in, times);
	ends = pipe_pair();
	start("sc-inner", write_once, NULL);
	get_some("fifo", ends.in, 1);
	wait_for_children();
}

static void write_text(const char *to, const char *text)
{
	int fd = (int)CHECK(open(to, O_WRONLY));

	WRITTEN("regular", "read_write", write(fd, text, strlen(text)));
	close(fd);
}

static void container(void)
{
	if (unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC |
		    CLONE_NEWUTS))
		not_possible("unshare");
	write_text("/proc/self/setgroups", "deny");
	write_text("/proc/self/uid_map", "0 0 1");
	write_text("/proc/self/gid_map", "0 0 1");
	start("sc-container", in_container, NULL);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*work)(void);
	} kinds[] = {
		{"short-lived", short_lived}, {"exec", fork_and_exec}, {"fork", fork_in_the_middle},
		{"close-in-use", close_in_use}, {"threads", threads}, {"container", container},
	};
	size_t i;

	if (argc < 3)
		return 2;
	if (!strcmp(argv[1], "after-exec")) {
		name_process("sc-after");
		put_some("fifo", atoi(argv[2]), 7);
		tally_report();
		return 0;
	}
	times = atoi(argv[2]);
	folder = argc > 3 ? argv[3] : NULL;
	name_process("sc-processes");
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(argv[1], kinds[i].name)) {
			kinds[i].work();
			tally_report();
			wait_for_children();
			return 0;
		}
	return 2;
}
