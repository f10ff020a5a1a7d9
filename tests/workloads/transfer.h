/* SPDX-License-Identifier: GPL-2.0-only */
/* One send or receive on a socket through the door that the command line names. */
#ifndef TRANSFER_H
#define TRANSFER_H

#include "tally.h"
#include <sys/socket.h>
#include <sys/uio.h>

#define BATCH 8

/* write, writev, send, sendmsg or sendmmsg, and what receives in the same way. */
static const char *use = "send";

static inline struct msghdr message_of(struct iovec *vector, char *data, size_t size)
{
	vector[0] = (struct iovec){data, size / 2};
	vector[1] = (struct iovec){data + size / 2, size - size / 2};
	return (struct msghdr){.msg_iov = vector, .msg_iovlen = 2};
}

static inline ssize_t tally_messages(const char *account, const char *fd_type,
				     struct mmsghdr *messages, int count, const char *what)
{
	ssize_t total = 0;
	int i;

	for (i = 0; i < check(count, what); i++)
		total += messages[i].msg_len;
	tally(account, fd_type, "socket_call", (uint64_t)count, (uint64_t)total);
	return total;
}

static inline void batch_of(struct mmsghdr *messages, struct iovec (*vectors)[2], char *data,
			    size_t size)
{
	int i;

	for (i = 0; i < BATCH; i++)
		messages[i] = (struct mmsghdr){.msg_hdr = message_of(vectors[i], data, size)};
}

static inline ssize_t put(const char *fd_type, int fd, char *data, size_t size)
{
	struct mmsghdr messages[BATCH];
	struct iovec vectors[BATCH][2];
	struct msghdr message = message_of(vectors[0], data, size);

	if (!strcmp(use, "write"))
		return WRITTEN(fd_type, "read_write", write(fd, data, size));
	if (!strcmp(use, "writev"))
		return WRITTEN(fd_type, "vectored", writev(fd, vectors[0], 2));
	if (!strcmp(use, "sendmsg"))
		return WRITTEN(fd_type, "socket_call", sendmsg(fd, &message, 0));
	if (!strcmp(use, "sendmmsg")) {
		batch_of(messages, vectors, data, size);
		return tally_messages("written", fd_type, messages,
				      sendmmsg(fd, messages, BATCH, 0), "sendmmsg");
	}
	return WRITTEN(fd_type, "socket_call", send(fd, data, size, 0));
}

static inline ssize_t get(const char *fd_type, int fd, char *data, size_t size)
{
	struct mmsghdr messages[BATCH];
	struct iovec vectors[BATCH][2];
	struct msghdr message = message_of(vectors[0], data, size);

	if (!strcmp(use, "write"))
		return READ(fd_type, "read_write", read(fd, data, size));
	if (!strcmp(use, "writev"))
		return READ(fd_type, "vectored", readv(fd, vectors[0], 2));
	if (!strcmp(use, "sendmsg"))
		return READ(fd_type, "socket_call", recvmsg(fd, &message, 0));
	if (!strcmp(use, "sendmmsg")) {
		batch_of(messages, vectors, data, size);
		return tally_messages("read", fd_type, messages,
				      recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL),
				      "recvmmsg");
	}
	return READ(fd_type, "socket_call", recv(fd, data, size, 0));
}

#endif
