/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Programs that leak descriptors, and some that do not: `leaks NAME` does it some twenty times a
 * second until it is killed. The function that leaks is called leak_NAME.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAUSE_MICROSECONDS 20000
#define POOL 6

#define LEAK __attribute__((noinline)) static int

static volatile int result; /* so that no call is a tail call */

static void check(int value, const char *what)
{
	if (value < 0) {
		perror(what);
		exit(1);
	}
}

static struct sockaddr_in server;

static int listener(void)
{
	socklen_t length = sizeof(server);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	server = (struct sockaddr_in){.sin_family = AF_INET};
	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	check(bind(fd, (struct sockaddr *)&server, sizeof(server)), "bind");
	check(listen(fd, 64), "listen");
	check(getsockname(fd, (struct sockaddr *)&server, &length), "getsockname");
	return fd;
}

static int connected(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	check(connect(fd, (struct sockaddr *)&server, sizeof(server)), "connect");
	return fd;
}

LEAK leak_error_path(int n)
{
	char buffer[16];
	int fd = open("/etc/passwd", O_RDONLY);

	check(fd, "open");
	if (read(fd, buffer, sizeof(buffer)) < 0 || n % 2)
		return -1; /* forgotten */
	close(fd);
	return 0;
}

LEAK leak_close_wait(int n)
{
	static int at = -1;
	char byte;
	int client, fd;

	if (at < 0)
		at = listener();
	client = connected();
	fd = accept(at, NULL, NULL);
	check(fd, "accept");
	close(client);
	return read(fd, &byte, 1) + n; /* the end of the stream, and no close */
}

LEAK leak_dead_children(int n)
{
	int pipe_fds[2], status;
	pid_t child;

	check(pipe(pipe_fds), "pipe");
	child = fork();
	check(child, "fork");
	if (!child)
		_exit(0);
	close(pipe_fds[1]);
	check(waitpid(child, &status, 0), "waitpid");
	return n + status;
}

LEAK leak_inotify(int n)
{
	int fd;

	if (n % 10) /* a user may have 128 */
		return n;
	fd = inotify_init1(0);
	check(fd, "inotify");
	return n + inotify_add_watch(fd, "/tmp", IN_CREATE);
}

LEAK leak_epoll(int n)
{
	return n + epoll_create1(EPOLL_CLOEXEC);
}

LEAK leak_timerfd(int n)
{
	return n + timerfd_create(CLOCK_MONOTONIC, 0);
}

LEAK leak_eventfd(int n)
{
	return n + eventfd(0, 0);
}

LEAK leak_memfd(int n)
{
	return n + memfd_create("leaked", 0);
}

LEAK leak_dup(int n)
{
	return n + dup(1);
}

LEAK leak_opendir(int n)
{
	return n + (opendir("/tmp") == NULL);
}

LEAK leak_socketpair(int n)
{
	int fds[2];

	check(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), "socketpair");
	return n + close(fds[0]);
}

static void *in_a_thread(void *argument)
{
	leak_timerfd(0);
	return argument;
}

LEAK leak_threads(int n)
{
	pthread_t thread;

	pthread_create(&thread, NULL, in_a_thread, NULL);
	return n + pthread_join(thread, NULL);
}

static __attribute__((noinline)) int recursive(int depth, int n)
{
	volatile char large[4096];

	large[0] = depth;
	if (!depth)
		return leak_eventfd(n);
	return recursive(depth - 1, n) + large[0];
}

LEAK leak_deep_stack(int n)
{
	return recursive(8, n) + 1;
}

/* These do not leak. */

LEAK fine_thousands(int n)
{
	for (int i = 0; i < 50; i++)
		close(open("/etc/passwd", O_RDONLY));
	return n;
}

LEAK fine_pool(int n)
{
	static int pool[POOL], at;

	if (!at)
		at = listener();
	if (n < POOL)
		pool[n] = connected();
	return at;
}

LEAK fine_rotation(int n)
{
	static int log = -1;

	if (n % 10 == 0) {
		if (log >= 0)
			close(log);
		log = open("/tmp", O_TMPFILE | O_RDWR, 0600);
		if (log < 0)
			log = open("/dev/null", O_WRONLY);
	}
	return write(log, "x", 1);
}

/* Each is held for a while: always as many, never the same. */
LEAK fine_window(int n)
{
	static int held[200];
	int *place = &held[n % 200];

	if (*place)
		close(*place);
	*place = open("/etc/passwd", O_RDONLY);
	return *place;
}

LEAK fine_burst(int n)
{
	static int held[100], count;

	if (n > 5 && n <= 25)
		held[count++] = eventfd(0, 0);
	return n;
}

/* More and more, and all of them in use. */
LEAK fine_in_use(int n)
{
	static int held[100000], count;
	unsigned long one = 1;

	if (n % 5 == 0)
		held[count++] = eventfd(0, EFD_NONBLOCK);
	for (int i = 0; i < count; i++)
		if (write(held[i], &one, sizeof(one)) < 0)
			return -1;
	return n;
}

static const struct {
	const char *name;
	int (*work)(int n);
} works[] = {
	{"error_path", leak_error_path},	  {"close_wait", leak_close_wait},
	{"dead_children", leak_dead_children},	  {"inotify", leak_inotify},
	{"epoll", leak_epoll},			  {"timerfd", leak_timerfd},
	{"eventfd", leak_eventfd},		  {"memfd", leak_memfd},
	{"dup", leak_dup},			  {"opendir", leak_opendir},
	{"socketpair", leak_socketpair},	  {"threads", leak_threads},
	{"deep_stack", leak_deep_stack},	  {"fine_thousands", fine_thousands},
	{"fine_pool", fine_pool},		  {"fine_rotation", fine_rotation},
	{"fine_window", fine_window},		  {"fine_burst", fine_burst},
	{"fine_in_use", fine_in_use},
};

int main(int argc, char **argv)
{
	unsigned int which;

	for (which = 0; which < sizeof(works) / sizeof(*works); which++)
		if (argc > 1 && !strcmp(argv[1], works[which].name))
			break;
	if (which == sizeof(works) / sizeof(*works)) {
		fprintf(stderr, "usage: leaks NAME\n");
		return 2;
	}
	for (int n = 0;; n++) {
		result += works[which].work(n);
		usleep(PAUSE_MICROSECONDS);
	}
}
