/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Makes system calls fail with any errno, by a seccomp filter: errnos PROCESSES PAUSE_MILLISECONDS
 * The filter (no privilege is needed) fails calls whose sixth argument is MAGIC with the errno in
 * the fifth. Each of PROCESSES processes of different names makes every call of the
 * table on every fd with each errno from 1 to 511.
 */
#include "pair.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

#define MAGIC 0x0badcafeu
#define LAST_ERRNO 511
#define MOST_FDS 32

#define LOAD(argument) \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[argument]))

static int fds[MOST_FDS], fd_count;

static void keep(long fd)
{
	if (fd >= 0 && fd_count < MOST_FDS)
		fds[fd_count++] = (int)fd;
}

static void open_all(void)
{
	struct pair pipe = pipe_pair(), stream = unix_pair(SOCK_STREAM), dgram = unix_pair(SOCK_DGRAM);
	struct pair packet = unix_pair(SOCK_SEQPACKET);
	sigset_t none;

	sigemptyset(&none);
	keep(timerfd_create(CLOCK_MONOTONIC, 0)); /* the first: the tests know how many errors it gets */
	keep(open("/dev/zero", O_RDWR));
	keep(open("/dev/ptmx", O_RDWR | O_NOCTTY));
	keep(open("/proc/self/status", O_RDONLY));
	keep(open("/", O_RDONLY | O_DIRECTORY));
	keep(pipe.in);
	keep(stream.in);
	keep(dgram.in);
	keep(packet.in);
	keep(socket(AF_INET, SOCK_STREAM, 0));
	keep(socket(AF_INET, SOCK_DGRAM, 0));
	keep(socket(AF_INET6, SOCK_STREAM, 0));
	keep(socket(AF_NETLINK, SOCK_RAW, 0));
	keep(eventfd(0, 0));
	keep(epoll_create1(0));
	keep(signalfd(-1, &none, 0));
	keep(inotify_init());
	keep(syscall(SYS_memfd_create, "m", 0));
	keep(syscall(SYS_pidfd_open, getpid(), 0));
}

static void install_filter(void)
{
	struct sock_filter filter[] = {
		LOAD(5),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MAGIC, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		LOAD(4),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xfff),
		BPF_STMT(BPF_ALU | BPF_OR | BPF_K, SECCOMP_RET_ERRNO),
		BPF_STMT(BPF_RET | BPF_A, 0),
	};
	struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		not_possible("seccomp");
}

static void fail_in_every_way(void)
{
	static const long calls[] = {
		SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_pread64, SYS_pwrite64,
		SYS_recvmsg, SYS_sendmsg, SYS_getdents64,
	};
	size_t call;
	int fd, number;

	for (fd = 0; fd < fd_count; fd++)
		for (call = 0; call < sizeof(calls) / sizeof(calls[0]); call++)
			for (number = 1; number <= LAST_ERRNO; number++)
				syscall(calls[call], fds[fd], 0, 0, 0, number, MAGIC);
}

int main(int argc, char **argv)
{
	int number, status;

	if (argc < 3)
		return 2;
	for (number = 0; number < atoi(argv[1]); number++) {
		pid_t pid = (pid_t)CHECK(fork());

		if (!pid) {
			char name[16];

			snprintf(name, sizeof(name), "en%x-%x", number & 0xfff, getppid());
			name_process(name);
			open_all();
			install_filter();
			fail_in_every_way();
			/* Not _exit(): the sixth argument of the last call may still be in its register. */
			syscall(SYS_exit_group, 0, 0, 0, 0, 0, 0);
		}
		CHECK(waitpid(pid, &status, 0));
		if (status)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
		usleep((useconds_t)atoi(argv[2]) * 1000);
	}
	return 0;
}
