/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Connections between a server process and client processes, which move bytes up (to the server),
 * down, or both ways at once. stream FD_TYPE ADDRESS DIRECTION BYTES CHUNK [-u use] [-c clients]
 * [-n connections of each] [-d milliseconds between chunks] [-N network namespace of the server]
 */
#include "address.h"
#include "transfer.h"
#include <netinet/tcp.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static const char *fd_type, *at, *direction, *netns;
static size_t bytes, chunk;
static int clients = 1, connections = 1, delay_ms, protocol;
static volatile int *port;

static size_t part(size_t done)
{
	return bytes - done < chunk ? bytes - done : chunk;
}

static void *send_all(void *fd)
{
	char *data = calloc(1, chunk);
	size_t done = 0;

	while (done < bytes) {
		done += (size_t)put(fd_type, (int)(intptr_t)fd, data, part(done));
		if (delay_ms)
			usleep((useconds_t)delay_ms * 1000);
	}
	free(data);
	return NULL;
}

static void *receive_all(void *fd)
{
	char *data = calloc(1, chunk);
	size_t done = 0;

	while (done < bytes) {
		ssize_t more = get(fd_type, (int)(intptr_t)fd, data, part(done));

		if (!more)
			fail("the peer closed too early");
		done += (size_t)more;
	}
	free(data);
	return NULL;
}

/* `sends` and `receives`: from the point of view of this end. */
static void exchange(int fd, int sends, int receives)
{
	pthread_t sender;

	if (sends && receives)
		CHECK(-pthread_create(&sender, NULL, send_all, (void *)(intptr_t)fd));
	else if (sends)
		send_all((void *)(intptr_t)fd);
	if (receives)
		receive_all((void *)(intptr_t)fd);
	if (sends && receives)
		pthread_join(sender, NULL);
}

static int new_socket(struct address *address)
{
	int one = 1, fd = socket_or_not_possible(address->family, SOCK_STREAM, protocol);

	if (!strcmp(fd_type, "tcp"))
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static void client(void *unused)
{
	int i;

	(void)unused;
	wait_until_set(port);
	for (i = 0; i < connections; i++) {
		struct address address = address_of(at, *port);
		int fd = new_socket(&address);

		if (connect(fd, &address.any, address.length))
			not_possible("connect");
		exchange(fd, *direction != 'd', *direction != 'u');
		close(fd);
	}
}

static void *serve(void *fd)
{
	exchange((int)(intptr_t)fd, *direction != 'u', *direction != 'd');
	close((int)(intptr_t)fd);
	return NULL;
}

static void server(void)
{
	struct address address = address_of(at, 0);
	pthread_t *threads = calloc((size_t)(clients * connections), sizeof(*threads));
	int i, fd;

	enter_netns(netns);
	fd = new_socket(&address);
	if (address.family == AF_VSOCK)
		address.vm.svm_cid = VMADDR_CID_ANY;
	if (address.family == AF_UNIX)
		unlink(at);
	CHECK(bind(fd, &address.any, address.length));
	CHECK(listen(fd, 128));
	*port = port_of(fd);
	for (i = 0; i < clients * connections; i++) {
		long peer = CHECK(accept(fd, NULL, NULL));

		CHECK(-pthread_create(&threads[i], NULL, serve, (void *)peer));
		if (clients == 1)
			pthread_join(threads[i], NULL);
	}
	for (i = 0; clients > 1 && i < clients * connections; i++)
		pthread_join(threads[i], NULL);
}

int main(int argc, char **argv)
{
	int option, i;

	while ((option = getopt(argc, argv, "u:c:n:d:N:p:")) != -1) {
		switch (option) {
		case 'u': use = optarg; break;
		case 'c': clients = atoi(optarg); break;
		case 'n': connections = atoi(optarg); break;
		case 'd': delay_ms = atoi(optarg); break;
		case 'N': netns = optarg; break;
		case 'p': protocol = atoi(optarg); break;
		default: return 2;
		}
	}
	if (argc - optind < 5)
		return 2;
	fd_type = argv[optind];
	at = argv[optind + 1];
	direction = argv[optind + 2];
	bytes = strtoul(argv[optind + 3], NULL, 10);
	chunk = strtoul(argv[optind + 4], NULL, 10);
	name_process("sc-server");
	port = shared_memory(sizeof(*port));
	for (i = 0; i < clients; i++)
		start("sc-client", client, NULL);
	server();
	tally_report();
	wait_for_children();
	return 0;
}
