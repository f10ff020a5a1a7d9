/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads and writes regular files by every call that takes an offset: files KIND BYTES PATH
 */
#include "tally.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>

#define CHUNK 4096
#define ALIGNED 4096

static const char *fd_type = "regular", *path;
static long bytes;
static char *data;

static struct iovec *halves(size_t size)
{
	static struct iovec vector[2];

	vector[0] = (struct iovec){data, size / 2};
	vector[1] = (struct iovec){data + size / 2, size - size / 2};
	return vector;
}

static void plain(int flags)
{
	int fd = (int)CHECK(open(path, O_RDWR | O_CREAT | O_TRUNC | flags, 0600));
	off_t at;

	for (at = 0; at < bytes; at += CHUNK)
		WRITTEN(fd_type, "read_write", write(fd, data, CHUNK));
	lseek(fd, 0, SEEK_SET);
	while (READ(fd_type, "read_write", read(fd, data, CHUNK)))
		;
	unlink(path);
}

/* The calls that take an offset, and the vectored ones. */
static void positioned(void)
{
	int fd = (int)CHECK(open(path, O_RDWR | O_CREAT | O_TRUNC, 0600));
	off_t at;

	for (at = 0; at < bytes; at += CHUNK) {
		WRITTEN(fd_type, "read_write", pwrite(fd, data, CHUNK, at));
		READ(fd_type, "read_write", pread(fd, data, CHUNK, at));
		WRITTEN(fd_type, "vectored", pwritev(fd, halves(1001), 2, at));
		READ(fd_type, "vectored", preadv(fd, halves(1001), 2, at));
		WRITTEN(fd_type, "vectored", pwritev2(fd, halves(777), 2, at, RWF_DSYNC));
		READ(fd_type, "vectored", preadv2(fd, halves(777), 2, at, 0));
		lseek(fd, at, SEEK_SET);
		WRITTEN(fd_type, "vectored", writev(fd, halves(333), 2));
		lseek(fd, at, SEEK_SET);
		READ(fd_type, "vectored", readv(fd, halves(333), 2));
	}
	unlink(path);
}

static void direct(void)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_DIRECT, 0600);
	off_t at;

	if (fd < 0)
		not_possible("open with O_DIRECT");
	for (at = 0; at < bytes; at += CHUNK)
		WRITTEN(fd_type, "read_write", pwrite(fd, data, CHUNK, at));
	for (at = 0; at < bytes; at += CHUNK)
		READ(fd_type, "read_write", pread(fd, data, CHUNK, at));
	unlink(path);
}

static int of_size(const char *suffix, long size)
{
	char name[256];
	int fd;

	snprintf(name, sizeof(name), "%s%s", path, suffix);
	fd = (int)CHECK(open(name, O_RDWR | O_CREAT | O_TRUNC, 0600));
	CHECK(ftruncate(fd, size));
	unlink(name);
	return fd;
}

static void copy_range(void)
{
	int in = of_size("-in", bytes), out = of_size("-out", 0);
	long done = 0;

	while (done < bytes) {
		ssize_t more = copy_file_range(in, NULL, out, NULL, CHUNK * 5, 0);

		if (more < 0 && !done && (errno == ENOSYS || errno == EXDEV || errno == EOPNOTSUPP))
			not_possible("copy_file_range");
		if (CHECK(more) == 0)
			fail("copy_file_range came to an end");
		tally("read", fd_type, "copy_file_range", 1, (uint64_t)more);
		tally("written", fd_type, "copy_file_range", 1, (uint64_t)more);
		done += more;
	}
}

/* A file of the lower layer is copied up at its first write: the kernel's own I/O. */
static void copy_up(void)
{
	int fd = (int)CHECK(open(path, O_RDWR));
	long done;

	WRITTEN(fd_type, "read_write", write(fd, data, 10));
	lseek(fd, 0, SEEK_SET);
	for (done = 0; done < bytes; done += CHUNK)
		READ(fd_type, "read_write", read(fd, data, CHUNK));
}

/* Files whose content the kernel generates at each read. */
static void proc(void)
{
	long i;

	for (i = 0; i < bytes; i++) {
		int status = (int)CHECK(open("/proc/self/status", O_RDONLY));
		int adjust = (int)CHECK(open("/proc/self/oom_score_adj", O_RDWR));

		while (READ(fd_type, "read_write", read(status, data, 500)))
			;
		WRITTEN(fd_type, "read_write", write(adjust, "17", 2));
		READ(fd_type, "read_write", pread(adjust, data, 100, 0));
		close(status);
		close(adjust);
	}
}

static void device(const char *type, int flags)
{
	int fd = (int)CHECK(open(path, O_RDWR | flags));
	off_t at;

	fd_type = type;
	for (at = 0; at < bytes; at += CHUNK) {
		WRITTEN(fd_type, "read_write", pwrite(fd, data, CHUNK, at));
		READ(fd_type, "read_write", pread(fd, data, CHUNK, at));
	}
}

/* Loads and stores through a mapping are no operations: only write() counts. */
static void mapped(void)
{
	int fd = of_size("", bytes);
	char *memory = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (memory == MAP_FAILED)
		fail("mmap");
	WRITTEN(fd_type, "read_write", write(fd, data, 100));
	memset(memory, 1, (size_t)bytes);
	CHECK(msync(memory, (size_t)bytes, MS_SYNC));
}

int main(int argc, char **argv)
{
	const char *kind = argv[1];

	if (argc < 4)
		return 2;
	bytes = atol(argv[2]);
	path = argv[3];
	data = aligned_alloc(ALIGNED, CHUNK);
	memset(data, 0, CHUNK);
	name_process("sc-files");
	if (!strcmp(kind, "plain"))
		plain(0);
	else if (!strcmp(kind, "append"))
		plain(O_APPEND);
	else if (!strcmp(kind, "positioned"))
		positioned();
	else if (!strcmp(kind, "direct"))
		direct();
	else if (!strcmp(kind, "copy-range"))
		copy_range();
	else if (!strcmp(kind, "copy-up"))
		copy_up();
	else if (!strcmp(kind, "proc"))
		proc();
	else if (!strcmp(kind, "block"))
		device("block", 0);
	else if (!strcmp(kind, "block-direct"))
		device("block", O_DIRECT);
	else if (!strcmp(kind, "character"))
		device("character", 0);
	else if (!strcmp(kind, "mapped"))
		mapped();
	else
		return 2;
	tally_report();
	return 0;
}
