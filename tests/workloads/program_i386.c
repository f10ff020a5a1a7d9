/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A 32-bit program without a C library: program_i386 KIND TIMES FOLDER.
 * System call numbers: arch/x86/entry/syscalls/syscall_32.tbl of the kernel.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

enum {
	EXIT = 1, FORK = 2, READ = 3, WRITE = 4, OPEN = 5, UNLINK = 10, LSEEK = 19, PIPE = 42,
	READLINK = 85, SOCKETCALL = 102, READV = 145, WRITEV = 146, PRCTL = 172, PREAD64 = 180,
	PWRITE64 = 181, MMAP2 = 192, SENDFILE64 = 239, SPLICE = 313, TEE = 315, SENDMMSG = 345,
	RECVMMSG = 337, SOCKETPAIR = 360, SENDTO = 369, SENDMSG = 370, RECVFROM = 371,
	RECVMSG = 372, PREADV = 333, PWRITEV = 334, COPY_FILE_RANGE = 377, FTRUNCATE = 93,
};

enum { CALL_SOCKETPAIR = 8, CALL_SEND = 9, CALL_RECV = 10, CALL_SENDMSG = 16, CALL_RECVMSG = 17 };

#define SIZE 1000
#define LINES 32

struct record {
	u64 operations, bytes;
	u32 pid;
	char name[16], account[12], fd_type[16], door[16];
};

struct vector {
	void *at;
	u32 length;
};

struct message {
	void *name;
	u32 name_length;
	struct vector *vectors;
	u32 count;
	void *control;
	u32 control_length, flags, length;
};

static struct record *records;
static struct record lines[LINES];
static u32 line_count, times;
static const char *folder;
static char data[SIZE * 2];

static int call6(int number, u32 a, u32 b, u32 c, u32 d, u32 e, u32 f)
{
	struct {
		u32 number, f;
	} both = {(u32)number, f};
	int result;

	__asm__ volatile("push %%ebp\n\tmov 4(%%eax), %%ebp\n\tmov (%%eax), %%eax\n\t"
			 "int $0x80\n\tpop %%ebp"
			 : "=a"(result)
			 : "a"(&both), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
			 : "memory");
	return result;
}

#define CALL(number, a, b, c) call6(number, (u32)(a), (u32)(b), (u32)(c), 0, 0, 0)

static void copy_text(char *to, const char *from)
{
	while ((*to++ = *from++))
		;
}

static int same(const char *one, const char *other)
{
	while (*one && *one == *other)
		one++, other++;
	return *one == *other;
}

static u32 number_of(const char *text)
{
	u32 number = 0;

	while (*text >= '0' && *text <= '9')
		number = number * 10 + (u32)(*text++ - '0');
	return number;
}

static void stop(int status)
{
	for (;;)
		CALL(EXIT, status, 0, 0);
}

static int must(int result)
{
	if (result < 0)
		stop(-result);
	return result;
}

static void tally(const char *account, const char *fd_type, const char *door, u32 operations, u32 bytes)
{
	struct record *line = lines;

	while (line < lines + line_count && !(same(line->account, account) &&
					      same(line->fd_type, fd_type) && same(line->door, door)))
		line++;
	if (line == lines + LINES)
		stop(3);
	if (line == lines + line_count) {
		line_count++;
		copy_text(line->account, account);
		copy_text(line->fd_type, fd_type);
		copy_text(line->door, door);
	}
	line->operations += operations;
	line->bytes += bytes;
}

static void report(void)
{
	char pid[16] = {}, name[16] = {};
	u32 i, j;

	must(CALL(READLINK, "/proc/self", pid, 15));
	CALL(PRCTL, 16, name, 0);
	for (i = 0; i < line_count; i++) {
		u32 at = __atomic_fetch_add((u32 *)&records[0].operations, 1, __ATOMIC_SEQ_CST) + 1;

		lines[i].pid = number_of(pid);
		copy_text(lines[i].name, name);
		for (j = 0; j < sizeof(lines[i]); j++)
			((volatile char *)&records[at])[j] = ((char *)&lines[i])[j];
	}
}

static void wrote(const char *fd_type, const char *door, int result)
{
	tally("written", fd_type, door, 1, (u32)must(result));
}

static void got(const char *fd_type, const char *door, int result)
{
	tally("read", fd_type, door, 1, (u32)must(result));
}

static int a_file(void)
{
	return must(CALL(OPEN, folder, 020200002 | 0200000, 0600)); /* O_TMPFILE | O_RDWR */
}

static struct vector vectors[2] = {{data, 300}, {data + 300, 700}};
static struct message message = {.vectors = vectors, .count = 2};

static void files(void)
{
	int file = a_file(), other = a_file(), ends[2];
	u32 i;

	must(CALL(PIPE, ends, 0, 0));
	for (i = 0; i < times; i++) {
		u64 at = 0;

		CALL(LSEEK, file, 0, 0);
		wrote("regular", "read_write", CALL(WRITE, file, data, SIZE));
		CALL(LSEEK, file, 0, 0);
		got("regular", "read_write", CALL(READ, file, data, SIZE));
		wrote("regular", "read_write", call6(PWRITE64, (u32)file, (u32)data, SIZE, 0, 0, 0));
		got("regular", "read_write", call6(PREAD64, (u32)file, (u32)data, SIZE, 0, 0, 0));
		CALL(LSEEK, file, 0, 0);
		wrote("regular", "vectored", CALL(WRITEV, file, vectors, 2));
		CALL(LSEEK, file, 0, 0);
		got("regular", "vectored", CALL(READV, file, vectors, 2));
		wrote("regular", "vectored", call6(PWRITEV, (u32)file, (u32)vectors, 2, 0, 0, 0));
		got("regular", "vectored", call6(PREADV, (u32)file, (u32)vectors, 2, 0, 0, 0));
		got("regular", "sendfile", call6(SENDFILE64, (u32)other, (u32)file, (u32)&at, SIZE, 0, 0));
		tally("written", "regular", "sendfile", 1, SIZE);
		CALL(LSEEK, file, 0, 0);
		got("regular", "splice", call6(SPLICE, (u32)file, 0, (u32)ends[1], 0, SIZE, 0));
		tally("written", "fifo", "splice", 1, SIZE);
		got("fifo", "read_write", CALL(READ, ends[0], data, SIZE));
		CALL(LSEEK, file, 0, 0);
		got("regular", "copy_file_range",
		    call6(COPY_FILE_RANGE, (u32)file, 0, (u32)other, 0, SIZE, 0));
		tally("written", "regular", "copy_file_range", 1, SIZE);
	}
}

static void many(int fd, int number, const char *account)
{
	struct {
		struct message message;
	} batch[3] = {{message}, {message}, {message}};
	int i, done = must(call6(number, (u32)fd, (u32)batch, 3, 0, 0, 0));
	u32 sum = 0;

	for (i = 0; i < done; i++)
		sum += batch[i].message.length;
	tally(account, "unix_dgram", "socket_call", (u32)done, sum);
}

static void sockets(void)
{
	int ends[2];
	u32 i;

	must(call6(SOCKETPAIR, 1, 2, 0, (u32)ends, 0, 0)); /* AF_UNIX, SOCK_DGRAM */
	for (i = 0; i < times; i++) {
		wrote("unix_dgram", "socket_call", call6(SENDTO, (u32)ends[0], (u32)data, SIZE, 0, 0, 0));
		got("unix_dgram", "socket_call", call6(RECVFROM, (u32)ends[1], (u32)data, SIZE, 0, 0, 0));
		wrote("unix_dgram", "socket_call", CALL(SENDMSG, ends[0], &message, 0));
		got("unix_dgram", "socket_call", CALL(RECVMSG, ends[1], &message, 0));
		many(ends[0], SENDMMSG, "written");
		many(ends[1], RECVMMSG, "read");
	}
}

/* socketcall(2): one system call for all socket calls, as old C libraries use it. */
static int socketcall(int number, u32 a, u32 b, u32 c, u32 d)
{
	u32 arguments[4] = {a, b, c, d};

	return CALL(SOCKETCALL, number, arguments, 0);
}

static void old_sockets(void)
{
	int ends[2];
	u32 i;

	must(socketcall(CALL_SOCKETPAIR, 1, 1, 0, (u32)ends));
	for (i = 0; i < times; i++) {
		wrote("unix_stream", "socket_call", socketcall(CALL_SEND, (u32)ends[0], (u32)data, SIZE, 0));
		got("unix_stream", "socket_call", socketcall(CALL_RECV, (u32)ends[1], (u32)data, SIZE, 0));
		wrote("unix_stream", "socket_call", socketcall(CALL_SENDMSG, (u32)ends[0], (u32)&message, 0, 0));
		got("unix_stream", "socket_call", socketcall(CALL_RECVMSG, (u32)ends[1], (u32)&message, 0, 0));
	}
}

__attribute__((used, noreturn)) void begin(u32 *stack)
{
	u32 count = stack[0];
	char **arguments = (char **)(stack + 1), **variable = arguments + count + 1;

	for (; *variable; variable++) {
		static const char name[] = "FDSCOPE_TALLY=";
		u32 i = 0;

		while (name[i] && (*variable)[i] == name[i])
			i++;
		if (!name[i])
			records = (struct record *)call6(MMAP2, 0, 65537 * sizeof(struct record), 3, 1,
							 number_of(*variable + i), 0);
	}
	if (count < 4 || !records)
		stop(2);
	times = number_of(arguments[2]);
	folder = arguments[3];
	CALL(PRCTL, 15, "sc-32-bit", 0);
	if (same(arguments[1], "files"))
		files();
	else if (same(arguments[1], "sockets"))
		sockets();
	else
		old_sockets();
	report();
	stop(0);
	__builtin_unreachable();
}

__asm__(".globl _start\n_start:\n\tmov %esp, %eax\n\tand $-16, %esp\n\tsub $12, %esp\n\tpush %eax\n\tcall begin\n");
