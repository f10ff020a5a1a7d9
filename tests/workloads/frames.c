/* SPDX-License-Identifier: GPL-2.0-only */
/* Packet and raw sockets: frames KIND TIMES SIZE [INTERFACE] */
#include "tally.h"
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sys/socket.h>

#define ETHERTYPE 0x88b5
#define FREE_PROTOCOL 253

static long times;
static size_t size;
static char data[65536];
static struct sockaddr_in local = {.sin_family = AF_INET};
static struct sockaddr_in6 local6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};

static int made(int family, int type, int protocol)
{
	int fd = socket(family, type, protocol);

	if (fd < 0)
		not_possible("socket");
	return fd;
}

/* Receives what arrives within a short time. */
static void receive(const char *fd_type, int fd)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};

	while (poll(&ready, 1, 0) > 0)
		READ(fd_type, "socket_call", recv(fd, data, sizeof(data), 0));
}

static void ping(const char *fd_type, int type)
{
	int fd = made(AF_INET, type, IPPROTO_ICMP);
	struct icmphdr header = {.type = ICMP_ECHO};
	long i;

	for (i = 0; i < times; i++) {
		memset(data, 0, size);
		header.checksum = (uint16_t)~ICMP_ECHO; /* of an echo request whose other bytes are zero */
		memcpy(data, &header, sizeof(header));
		WRITTEN(fd_type, "socket_call",
			sendto(fd, data, size, 0, (void *)&local, sizeof(local)));
		READ(fd_type, "socket_call", recv(fd, data, sizeof(data), 0));
		receive(fd_type, fd);
	}
}

static void ping6(const char *fd_type, int type)
{
	int fd = made(AF_INET6, type, IPPROTO_ICMPV6);
	struct icmp6_hdr header = {.icmp6_type = ICMP6_ECHO_REQUEST};
	long i;

	for (i = 0; i < times; i++) {
		memset(data, 0, size);
		memcpy(data, &header, sizeof(header));
		WRITTEN(fd_type, "socket_call",
			sendto(fd, data, size, 0, (void *)&local6, sizeof(local6)));
		READ(fd_type, "socket_call", recv(fd, data, sizeof(data), 0));
		receive(fd_type, fd);
	}
}

static void raw(void)
{
	int fd = made(AF_INET, SOCK_RAW, FREE_PROTOCOL);
	long i;

	for (i = 0; i < times; i++) {
		WRITTEN("raw", "socket_call",
			sendto(fd, data, size, 0, (void *)&local, sizeof(local)));
		READ("raw", "socket_call", recv(fd, data, sizeof(data), 0));
	}
}

/* Sends frames through one socket and receives them from another. */
static void packet(const char *interface, int type)
{
	int index = (int)if_nametoindex(interface), in, out;
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETHERTYPE),
				 .sll_ifindex = index, .sll_halen = 6};
	long i;

	in = made(AF_PACKET, type, htons(ETHERTYPE));
	out = made(AF_PACKET, type, 0);
	CHECK(bind(in, (void *)&at, sizeof(at)));
	for (i = 0; i < times; i++) {
		memset(data, 0, size);
		data[12] = (char)(ETHERTYPE >> 8);
		data[13] = (char)(ETHERTYPE & 0xff);
		WRITTEN("packet", "socket_call",
			sendto(out, data, size, 0, (void *)&at, sizeof(at)));
		if (!strcmp(interface, "lo"))
			READ("packet", "socket_call", recv(in, data, sizeof(data), 0));
	}
}

int main(int argc, char **argv)
{
	const char *kind = argv[1], *interface = argc > 4 ? argv[4] : "lo";

	if (argc < 4)
		return 2;
	times = atol(argv[2]);
	size = strtoul(argv[3], NULL, 10);
	local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	name_process("sc-frames");
	if (!strcmp(kind, "icmp"))
		ping("icmp", SOCK_DGRAM);
	else if (!strcmp(kind, "icmp6"))
		ping6("icmp", SOCK_DGRAM);
	else if (!strcmp(kind, "raw-icmp"))
		ping("raw", SOCK_RAW);
	else if (!strcmp(kind, "raw-icmp6"))
		ping6("raw", SOCK_RAW);
	else if (!strcmp(kind, "raw"))
		raw();
	else if (!strcmp(kind, "packet"))
		packet(interface, SOCK_RAW);
	else if (!strcmp(kind, "packet-dgram"))
		packet(interface, SOCK_DGRAM);
	else
		return 2;
	tally_report();
	return 0;
}
