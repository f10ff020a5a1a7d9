/* SPDX-License-Identifier: GPL-2.0-only */
/* Socket addresses from command line arguments. */
#ifndef ADDRESS_H
#define ADDRESS_H

#include "tally.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <sched.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

struct address {
	int family;
	socklen_t length;
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
		struct sockaddr_vm vm;
	};
};

/* "::1", "127.0.0.1", "vsock", or a path; port 0 lets the kernel choose. */
static inline struct address address_of(const char *text, int port)
{
	struct address a = {.family = AF_UNIX, .length = sizeof(a.un)};

	if (inet_pton(AF_INET, text, &a.in.sin_addr) == 1) {
		a.family = AF_INET;
		a.length = sizeof(a.in);
		a.in.sin_port = htons((uint16_t)port);
	} else if (inet_pton(AF_INET6, text, &a.in6.sin6_addr) == 1) {
		a.family = AF_INET6;
		a.length = sizeof(a.in6);
		a.in6.sin6_port = htons((uint16_t)port);
	} else if (!strcmp(text, "vsock")) {
		a.family = AF_VSOCK;
		a.length = sizeof(a.vm);
		a.vm.svm_cid = VMADDR_CID_LOCAL;
		a.vm.svm_port = port ? (unsigned)port : VMADDR_PORT_ANY;
	} else {
		strncpy(a.un.sun_path, text, sizeof(a.un.sun_path) - 1);
	}
	a.any.sa_family = (sa_family_t)a.family;
	return a;
}

static inline int port_of(int fd)
{
	struct address a = {.length = sizeof(a) - offsetof(struct address, any)};

	CHECK(getsockname(fd, &a.any, &a.length));
	switch (a.any.sa_family) {
	case AF_INET:
		return ntohs(a.in.sin_port);
	case AF_INET6:
		return ntohs(a.in6.sin6_port);
	case AF_VSOCK:
		return (int)a.vm.svm_port;
	}
	return 1;
}

static inline int socket_or_not_possible(int family, int type, int protocol)
{
	int fd = socket(family, type, protocol);

	if (fd < 0)
		not_possible("socket");
	return fd;
}

/* Moves this process into the network namespace of that name, if one is given. */
static inline void enter_netns(const char *name)
{
	char path[128];
	int fd;

	if (!name)
		return;
	snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = (int)CHECK(open(path, O_RDONLY | O_CLOEXEC));
	CHECK(setns(fd, CLONE_NEWNET));
	close(fd);
}

static inline void wait_until_set(volatile int *flag)
{
	while (!*flag)
		usleep(1000);
}

#endif
