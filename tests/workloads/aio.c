/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * io_submit(), and the ways to collect completions: aio KIND TIMES FOLDER. The kernel reads a
 * control block at submission; the kind "forget" overwrites the block right afterwards.
 */
#include "pair.h"
#include <linux/aio_abi.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define SIZE 4096
#define BATCH 4

/* Before the results: fs/aio.c of the kernel, which libaio reads as well. */
struct results {
	unsigned id, count, head, tail, magic, compatible, incompatible, header_length;
	struct io_event events[];
};

static int times;
static aio_context_t context;
static char *data;
static int forgets;

static void submit_batch(int fd, int opcode)
{
	static struct iovec vectors[BATCH];
	static struct iocb blocks[BATCH];
	struct iocb *list[BATCH];
	int i;

	for (i = 0; i < BATCH; i++) {
		int vectored = opcode == IOCB_CMD_PREADV || opcode == IOCB_CMD_PWRITEV;

		vectors[i] = (struct iovec){data, SIZE};
		blocks[i] = (struct iocb){
			.aio_lio_opcode = (uint16_t)opcode, .aio_fildes = (uint32_t)fd,
			.aio_buf = vectored ? (uintptr_t)&vectors[i] : (uintptr_t)data,
			.aio_nbytes = vectored ? 1 : SIZE, .aio_offset = i * SIZE};
		list[i] = &blocks[i];
	}
	if (CHECK(syscall(SYS_io_submit, context, BATCH, list)) != BATCH)
		fail("io_submit");
	if (forgets)
		memset(blocks, 0xff, sizeof(blocks));
}

static void by_call(void)
{
	struct io_event events[BATCH];

	if (CHECK(syscall(SYS_io_getevents, context, BATCH, BATCH, events, NULL)) != BATCH)
		fail("io_getevents");
}

static void by_memory(void)
{
	struct results *results = (void *)(uintptr_t)context;
	int left = BATCH;

	while (left) {
		if (results->head == __atomic_load_n(&results->tail, __ATOMIC_ACQUIRE)) {
			usleep(100);
			continue;
		}
		__atomic_store_n(&results->head, (results->head + 1) % results->count,
				 __ATOMIC_RELEASE);
		left--;
	}
}

static void run(int fd, void (*fetch)(void))
{
	static const int opcodes[] = {IOCB_CMD_PWRITE, IOCB_CMD_PREAD, IOCB_CMD_PWRITEV,
				      IOCB_CMD_PREADV};
	int i;

	CHECK(syscall(SYS_io_setup, 64, &context));
	for (i = 0; i < times; i++) {
		submit_batch(fd, opcodes[i % 4]);
		fetch();
		tally(i % 2 ? "read" : "written", "regular", "aio", BATCH, BATCH * SIZE);
	}
}

int main(int argc, char **argv)
{
	int fd;

	if (argc < 4)
		return 2;
	times = atoi(argv[2]) + 3;
	data = aligned_alloc(SIZE, SIZE);
	memset(data, 0, SIZE);
	forgets = !strcmp(argv[1], "forget");
	name_process("sc-aio");
	fd = file_of(argv[3], BATCH * SIZE);
	if (strstr(argv[1], "direct"))
		CHECK(fcntl(fd, F_SETFL, O_DIRECT));
	run(fd, strstr(argv[1], "memory") ? by_memory : by_call);
	tally_report();
	return 0;
}
