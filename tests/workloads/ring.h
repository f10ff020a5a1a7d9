/* SPDX-License-Identifier: GPL-2.0-only */
/* An io_uring, by its system calls alone. */
#ifndef RING_H
#define RING_H

#include "tally.h"
#include <linux/io_uring.h>
#include <sys/syscall.h>

#define ENTRIES 8
/* Newer than the installed headers. */
#define OPCODE_READ_MULTISHOT 49

struct ring {
	int fd;
	struct io_uring_params params;
	char *rings;
	struct io_uring_sqe *entries;
};

static inline unsigned *word(struct ring *ring, unsigned offset)
{
	return (unsigned *)(ring->rings + offset);
}

static inline struct ring ring_of(unsigned flags)
{
	struct ring ring = {.params = {.flags = flags, .sq_thread_idle = 100}};
	size_t size;

	ring.fd = (int)syscall(SYS_io_uring_setup, ENTRIES, &ring.params);
	if (ring.fd < 0)
		not_possible("io_uring_setup");
	size = ring.params.cq_off.cqes + ring.params.cq_entries * sizeof(struct io_uring_cqe);
	if (size < ring.params.sq_off.array + ENTRIES * sizeof(unsigned))
		size = ring.params.sq_off.array + ENTRIES * sizeof(unsigned);
	ring.rings = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd,
			  IORING_OFF_SQ_RING);
	ring.entries = mmap(NULL, ENTRIES * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE,
			    MAP_SHARED, ring.fd, IORING_OFF_SQES);
	if (ring.rings == MAP_FAILED || ring.entries == MAP_FAILED)
		fail("mapping the ring");
	return ring;
}

static inline void enter(struct ring *ring, unsigned submit, unsigned wait)
{
	unsigned flags = wait ? IORING_ENTER_GETEVENTS : 0;

	if (ring->params.flags & IORING_SETUP_SQPOLL)
		flags |= IORING_ENTER_SQ_WAKEUP;
	CHECK(syscall(SYS_io_uring_enter, ring->fd, submit, wait, flags, NULL, 0));
}

static inline void submit(struct ring *ring, struct io_uring_sqe entry)
{
	unsigned *tail = word(ring, ring->params.sq_off.tail);
	unsigned index = *tail & *word(ring, ring->params.sq_off.ring_mask);

	ring->entries[index] = entry;
	word(ring, ring->params.sq_off.array)[index] = index;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	enter(ring, 1, 0);
}

struct done {
	int res;
	unsigned flags;
};

static inline struct done completion(struct ring *ring)
{
	unsigned *head = word(ring, ring->params.cq_off.head);
	struct io_uring_cqe *entries = (void *)(ring->rings + ring->params.cq_off.cqes), *entry;
	struct done done;

	while (*head == __atomic_load_n(word(ring, ring->params.cq_off.tail), __ATOMIC_ACQUIRE))
		enter(ring, 0, 1);
	entry = &entries[*head & *word(ring, ring->params.cq_off.ring_mask)];
	done = (struct done){entry->res, entry->flags};
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return done;
}

static inline int perform(struct ring *ring, struct io_uring_sqe entry)
{
	int result;

	submit(ring, entry);
	result = completion(ring).res;
	if (result < 0) {
		errno = -result;
		if (errno == EINVAL || errno == EOPNOTSUPP)
			not_possible("the kernel's io_uring has no such operation");
		fail("io_uring");
	}
	return result;
}

static inline struct io_uring_sqe operation(unsigned opcode, int fd, const void *at,
					    unsigned length, unsigned long offset)
{
	return (struct io_uring_sqe){.opcode = (uint8_t)opcode, .fd = fd, .addr = (uintptr_t)at,
				     .len = length, .off = offset};
}

static inline int registered(struct ring *ring, unsigned opcode, const void *what, unsigned count)
{
	return (int)CHECK(syscall(SYS_io_uring_register, ring->fd, opcode, what, count));
}

#endif
