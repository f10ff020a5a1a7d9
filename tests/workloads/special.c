/* SPDX-License-Identifier: GPL-2.0-only */
/* Anonymous inodes, netlink, message queues and directories: special KIND TIMES [PATH] */
#include "tally.h"
#include <fcntl.h>
#include <linux/if_alg.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <mqueue.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

static int times;
static const char *path;
static char data[65536];

static void eventfds(void)
{
	int fd = (int)CHECK(eventfd(0, 0)), i;
	uint64_t one = 1;

	for (i = 0; i < times; i++) {
		WRITTEN("eventfd", "read_write", write(fd, &one, sizeof(one)));
		READ("eventfd", "read_write", read(fd, &one, sizeof(one)));
	}
}

static void timerfds(void)
{
	struct itimerspec often = {{0, 100000}, {0, 100000}};
	int fd = (int)CHECK(timerfd_create(CLOCK_MONOTONIC, 0)), i;

	CHECK(timerfd_settime(fd, 0, &often, NULL));
	for (i = 0; i < times; i++)
		READ("timerfd", "read_write", read(fd, data, 8));
}

static void signalfds(void)
{
	sigset_t mask;
	int fd, i;

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	CHECK(sigprocmask(SIG_BLOCK, &mask, NULL));
	fd = (int)CHECK(signalfd(-1, &mask, 0));
	for (i = 0; i < times; i++) {
		CHECK(kill(getpid(), SIGUSR1));
		READ("signalfd", "read_write", read(fd, data, sizeof(data)));
	}
}

static void inotifies(void)
{
	int fd = (int)CHECK(inotify_init()), i;

	CHECK(mkdir(path, 0700));
	CHECK(inotify_add_watch(fd, path, IN_ATTRIB));
	for (i = 0; i < times; i++) {
		CHECK(chmod(path, i % 2 ? 0700 : 0750));
		READ("inotify", "read_write", read(fd, data, sizeof(data)));
	}
	rmdir(path);
}

static void fanotifies(void)
{
	int fd = fanotify_init(FAN_CLASS_NOTIF, O_RDONLY), file, i;

	if (fd < 0)
		not_possible("fanotify_init");
	file = (int)CHECK(open(path, O_RDWR | O_CREAT, 0600));
	CHECK(fanotify_mark(fd, FAN_MARK_ADD, FAN_MODIFY, AT_FDCWD, path));
	for (i = 0; i < times; i++) {
		struct fanotify_event_metadata *event = (void *)data;

		WRITTEN("regular", "read_write", write(file, "abc", 3));
		READ("fanotify", "read_write", read(fd, data, sizeof(data)));
		close(event->fd);
	}
	unlink(path);
}

/* A list of the network interfaces; its length is what recv() returned. */
static void netlinks(void)
{
	struct {
		struct nlmsghdr header;
		struct rtgenmsg message;
	} request = {{sizeof(request), RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1, 0}, {AF_UNSPEC}};
	int fd = (int)CHECK(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)), i;

	for (i = 0; i < times; i++) {
		struct nlmsghdr *header = (void *)data;

		WRITTEN("netlink", "socket_call", send(fd, &request, sizeof(request), 0));
		do {
			READ("netlink", "socket_call", recv(fd, data, sizeof(data), 0));
		} while (header->nlmsg_type != NLMSG_DONE);
	}
}

/* AF_ALG: the kernel's ciphers behind a socket. */
static void algorithms(void)
{
	struct sockaddr_alg hash = {AF_ALG, "hash", 0, 0, "sha256"};
	int fd = socket(AF_ALG, SOCK_SEQPACKET, 0), i;

	if (fd < 0 || bind(fd, (struct sockaddr *)&hash, sizeof(hash)))
		not_possible("AF_ALG");
	fd = (int)CHECK(accept(fd, NULL, NULL));
	for (i = 0; i < times; i++) {
		WRITTEN("socket_other", "socket_call", send(fd, data, 999, 0));
		READ("socket_other", "read_write", read(fd, data, 32));
	}
}

static void memfds(void)
{
	int fd = (int)CHECK(memfd_create("sc", 0)), i;

	for (i = 0; i < times; i++) {
		WRITTEN("memfd", "read_write", pwrite(fd, data, 1000, 0));
		READ("memfd", "read_write", pread(fd, data, 1000, 0));
	}
}

/* Directories and message queues have their own system calls. */
static void directories(void)
{
	int i;

	for (i = 0; i < times; i++) {
		int fd = (int)CHECK(open("/proc/self", O_RDONLY | O_DIRECTORY));

		while (READ("directory", "directory_call", syscall(SYS_getdents64, fd, data, 4096)))
			;
		close(fd);
	}
}

static void queues(void)
{
	struct mq_attr attributes = {.mq_maxmsg = 4, .mq_msgsize = 500};
	mqd_t queue = mq_open("/fdscope-score", O_RDWR | O_CREAT, 0600, &attributes);
	int i;

	if (queue < 0)
		not_possible("mq_open");
	mq_unlink("/fdscope-score");
	for (i = 0; i < times; i++) {
		CHECK(mq_send(queue, data, 321, 0));
		tally("written", "mqueue", "mqueue_call", 1, 321);
		READ("mqueue", "mqueue_call", mq_receive(queue, data, 500, NULL));
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*work)(void);
	} kinds[] = {
		{"eventfd", eventfds}, {"timerfd", timerfds}, {"signalfd", signalfds},
		{"inotify", inotifies}, {"fanotify", fanotifies}, {"netlink", netlinks},
		{"alg", algorithms}, {"memfd", memfds}, {"directory", directories},
		{"queue", queues},
	};
	size_t i;

	if (argc < 3)
		return 2;
	times = atoi(argv[2]);
	path = argc > 3 ? argv[3] : NULL;
	name_process("sc-special");
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(argv[1], kinds[i].name)) {
			kinds[i].work();
			tally_report();
			return 0;
		}
	return 2;
}
