/* SPDX-License-Identifier: GPL-2.0-only */
/* Two connected descriptors within a process. */
#ifndef PAIR_H
#define PAIR_H

#include "address.h"
#include <fcntl.h>

struct pair {
	int out, in;
};

static inline struct pair tcp_pair(void)
{
	struct address address = address_of("127.0.0.1", 0);
	int server = (int)CHECK(socket(AF_INET, SOCK_STREAM, 0));
	struct pair pair;

	CHECK(bind(server, &address.any, address.length));
	CHECK(listen(server, 1));
	address = address_of("127.0.0.1", port_of(server));
	pair.out = (int)CHECK(socket(AF_INET, SOCK_STREAM, 0));
	CHECK(connect(pair.out, &address.any, address.length));
	pair.in = (int)CHECK(accept(server, NULL, NULL));
	close(server);
	return pair;
}

static inline struct pair unix_pair(int kind)
{
	int ends[2];

	CHECK(socketpair(AF_UNIX, kind, 0, ends));
	return (struct pair){ends[0], ends[1]};
}

static inline struct pair pipe_pair(void)
{
	int ends[2];

	CHECK(pipe(ends));
	return (struct pair){ends[1], ends[0]};
}

/* An unnamed regular file of so many bytes, made without a write. */
static inline int file_of(const char *folder, long size)
{
	int fd = open(folder, O_RDWR | O_TMPFILE, 0600);

	if (fd < 0)
		not_possible("open with O_TMPFILE");
	CHECK(ftruncate(fd, size));
	return fd;
}

#endif
