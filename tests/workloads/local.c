/* SPDX-License-Identifier: GPL-2.0-only */
/* Pipes, terminals and local sockets between two processes: local KIND BYTES [PATH] */
#include "tally.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <termios.h>

#define CHUNK 4096

static const char *fd_type;
static long bytes;
static const char *path;
static int ends[2];

static size_t part(long done)
{
	return bytes - done < CHUNK ? (size_t)(bytes - done) : CHUNK;
}

static void write_all(int fd)
{
	char data[CHUNK] = {};
	long done = 0;

	while (done < bytes)
		done += WRITTEN(fd_type, "read_write", write(fd, data, part(done)));
}

static void read_all(int fd)
{
	char data[CHUNK];
	long done = 0;

	while (done < bytes)
		done += READ(fd_type, "read_write", read(fd, data, part(done)));
}

static void writer_of_ends(void *unused)
{
	(void)unused;
	close(ends[0]);
	write_all(ends[1]);
}

/* A pipe between two processes; the last read returns 0 bytes, and is an operation. */
static void use_pipe(void)
{
	char data[CHUNK];

	fd_type = "fifo";
	CHECK(pipe(ends));
	start("sc-writer", writer_of_ends, NULL);
	close(ends[1]);
	while (READ(fd_type, "read_write", read(ends[0], data, sizeof(data))))
		;
}

static void writer_of_fifo(void *unused)
{
	(void)unused;
	write_all((int)CHECK(open(path, O_WRONLY)));
}

static void use_fifo(void)
{
	fd_type = "fifo";
	CHECK(mkfifo(path, 0600));
	start("sc-writer", writer_of_fifo, NULL);
	read_all((int)CHECK(open(path, O_RDONLY)));
	unlink(path);
}

/* A pseudo terminal without line discipline; both of its ends are terminals. */
static void use_tty(void)
{
	struct termios raw;
	int main_fd = (int)CHECK(open("/dev/ptmx", O_RDWR | O_NOCTTY));
	char other[64];

	fd_type = "tty";
	CHECK(grantpt(main_fd));
	CHECK(unlockpt(main_fd));
	CHECK(ptsname_r(main_fd, other, sizeof(other)));
	ends[0] = main_fd;
	ends[1] = (int)CHECK(open(other, O_RDWR | O_NOCTTY));
	CHECK(tcgetattr(ends[1], &raw));
	cfmakeraw(&raw);
	CHECK(tcsetattr(ends[1], TCSANOW, &raw));
	start("sc-writer", writer_of_ends, NULL);
	read_all(main_fd);
}

/* Lines typed at a terminal with echo: the kernel writes the echo, no process does. */
static void use_tty_with_echo(void)
{
	static char line[] = "twelve bytes";
	char other[64], data[CHUNK];
	int main_fd = (int)CHECK(open("/dev/ptmx", O_RDWR | O_NOCTTY)), fd, i;

	fd_type = "tty";
	CHECK(grantpt(main_fd));
	CHECK(unlockpt(main_fd));
	CHECK(ptsname_r(main_fd, other, sizeof(other)));
	fd = (int)CHECK(open(other, O_RDWR | O_NOCTTY));
	line[11] = '\n';
	for (i = 0; i < bytes / 12; i++) {
		WRITTEN(fd_type, "read_write", write(main_fd, line, 12));
		READ(fd_type, "read_write", read(fd, data, sizeof(data)));
		READ(fd_type, "read_write", read(main_fd, data, sizeof(data)));
	}
}

static void pass(int through, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = {}, byte = 'x';
	struct iovec vector = {&byte, 1};
	struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control,
				 .msg_controllen = sizeof(control)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	*header = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
				   .cmsg_len = CMSG_LEN(sizeof(int))};
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	WRITTEN(fd_type, "socket_call", sendmsg(through, &message, 0));
}

static int passed(int through)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec vector = {&byte, 1};
	struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control,
				 .msg_controllen = sizeof(control)};
	int fd;

	READ(fd_type, "socket_call", recvmsg(through, &message, 0));
	if (!CMSG_FIRSTHDR(&message))
		fail("no descriptor was passed");
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

static void use_what_is_passed(void *unused)
{
	int fd;

	(void)unused;
	fd = passed(ends[1]);
	fd_type = "fifo";
	write_all(fd);
}

/* A process receives the write end of a pipe over a socket and writes to it. */
static void use_passing(int kind, const char *name)
{
	int pipe_ends[2];

	fd_type = name;
	CHECK(socketpair(AF_UNIX, kind, 0, ends));
	CHECK(pipe(pipe_ends));
	start("sc-writer", use_what_is_passed, NULL);
	pass(ends[0], pipe_ends[1]);
	fd_type = "fifo";
	read_all(pipe_ends[0]);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	bytes = atol(argv[2]);
	path = argc > 3 ? argv[3] : NULL;
	name_process("sc-reader");
	if (!strcmp(argv[1], "pipe"))
		use_pipe();
	else if (!strcmp(argv[1], "fifo"))
		use_fifo();
	else if (!strcmp(argv[1], "tty"))
		use_tty();
	else if (!strcmp(argv[1], "tty-echo"))
		use_tty_with_echo();
	else if (!strcmp(argv[1], "pass-stream"))
		use_passing(SOCK_STREAM, "unix_stream");
	else if (!strcmp(argv[1], "pass-dgram"))
		use_passing(SOCK_DGRAM, "unix_dgram");
	else if (!strcmp(argv[1], "pass-seqpacket"))
		use_passing(SOCK_SEQPACKET, "unix_seqpacket");
	else
		return 2;
	tally_report();
	wait_for_children();
	return 0;
}
