/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sends messages from one process to another, until the receiver has all of them.
 * datagram FD_TYPE ADDRESS COUNT SIZE [-u use] [-N network namespace of the receiver]
 * [-b bytes of the receiver's buffer, asking for the true size with MSG_TRUNC]
 */
#include "address.h"
#include "transfer.h"
#include <poll.h>

#define QUIET_MS 150
#define WINDOW 64

struct shared {
	volatile int port, done;
	volatile long sent, received;
};

static const char *fd_type, *at, *netns;
static long count;
static size_t size, small_buffer;
static struct shared *shared;

static int kind(void)
{
	return strcmp(fd_type, "unix_seqpacket") ? SOCK_DGRAM : SOCK_SEQPACKET;
}

/* No more in flight than a queue holds: a dropped message would still count as sent. */
static void wait_for_room(void)
{
	int patience = 200;

	while (shared->sent - shared->received >= WINDOW && patience--)
		usleep(1000);
}

static void sender(void *unused)
{
	struct address address;
	char *data = calloc(1, size);
	int fd;

	(void)unused;
	wait_until_set(&shared->port);
	address = address_of(at, shared->port);
	fd = socket_or_not_possible(address.family, kind(), 0);
	if (connect(fd, &address.any, address.length))
		not_possible("connect");
	while (shared->sent < count) {
		wait_for_room();
		put(fd_type, fd, data, size);
		shared->sent += strcmp(use, "sendmmsg") ? 1 : BATCH;
	}
	shared->done = 1;
	free(data);
}

/* With MSG_TRUNC the kernel returns the message's length, not what it copied: counted apart. */
static ssize_t receive_truncated(int fd, char *data)
{
	ssize_t length = CHECK(recv(fd, data, small_buffer, MSG_TRUNC));

	tally("truncated", fd_type, "socket_call", 1, (uint64_t)length);
	return length;
}

static void receive_all(int fd)
{
	char *data = calloc(1, size);
	struct pollfd ready = {.fd = fd, .events = POLLIN};

	for (;;) {
		int was_done = shared->done, found = poll(&ready, 1, QUIET_MS);
		ssize_t more;

		if (found < 0 && errno != EINTR)
			fail("poll");
		if (found == 0 && was_done)
			break;
		if (found <= 0)
			continue;
		more = small_buffer ? receive_truncated(fd, data) : get(fd_type, fd, data, size);
		if (!more)
			break;
		shared->received += more / (long)size;
	}
	free(data);
}

static void receiver(void)
{
	struct address address = address_of(at, 0);
	int fd;

	enter_netns(netns);
	fd = socket_or_not_possible(address.family, kind(), 0);
	if (address.family == AF_UNIX)
		unlink(at);
	CHECK(bind(fd, &address.any, address.length));
	if (kind() == SOCK_SEQPACKET)
		CHECK(listen(fd, 1));
	shared->port = port_of(fd);
	if (kind() == SOCK_SEQPACKET)
		fd = (int)CHECK(accept(fd, NULL, NULL));
	receive_all(fd);
}

int main(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "u:N:b:")) != -1) {
		switch (option) {
		case 'u': use = optarg; break;
		case 'N': netns = optarg; break;
		case 'b': small_buffer = strtoul(optarg, NULL, 10); break;
		default: return 2;
		}
	}
	if (argc - optind < 4)
		return 2;
	fd_type = argv[optind];
	at = argv[optind + 1];
	count = atol(argv[optind + 2]);
	size = strtoul(argv[optind + 3], NULL, 10);
	name_process("sc-receiver");
	shared = shared_memory(sizeof(*shared));
	start("sc-sender", sender, NULL);
	receiver();
	tally_report();
	wait_for_children();
	return 0;
}
