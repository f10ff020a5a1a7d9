/* SPDX-License-Identifier: GPL-2.0-only */
/* The census: counts the open descriptors of one process, on demand. */
#include "core/account.c"
#include "fds/walk.c"

/*
 * The census has its own walk and its own array of programs. Its walk: a task that takes the CPU
 * from it may fork or exit. Its programs: those of an array are of one type, and these are run,
 * not attached.
 */

#ifdef OFFSET_proc_inode_pid

static __always_inline struct fd_walk *census_walk(void)
{
	u32 zero = 0;

	return census_walks.lookup(&zero);
}

static __always_inline u32 fd_type_in(const struct fd_walk *walk, u32 fd)
{
	struct file *file = NULL;
	u64 open = 0;

	PROBE_READ(open, walk->open_fds);
	if (open >> fd & 1)
		PROBE_READ(file, walk->fds + fd * sizeof(file));
	return file ? file_fd_type(file) : NO_FD_TYPE;
}

#define TCP_LISTEN 10

/*
 * Connections that wait for accept(), handshakes that are not done, and what a listening socket has
 * dropped. Of an MPTCP socket, these are those of its first subflow.
 */
static __always_inline void look_at_listener(struct census *found, const struct sock *sk)
{
	const struct inet_connection_sock *listener;
	u32 waiting = 0, most = 0, handshakes = 0, drops = 0;

	sk = first_subflow(sk) ?: sk;
	listener = (const struct inet_connection_sock *)sk;
	PROBE_READ(waiting, &sk->sk_ack_backlog);
	PROBE_READ(most, &sk->sk_max_ack_backlog);
	PROBE_READ(handshakes, &listener->icsk_accept_queue.qlen);
	PROBE_READ(drops, &sk->sk_drops);
	found->waiting += waiting;
	found->handshakes += handshakes;
	found->drops += drops;
	if ((u64)waiting * found->fullest_most >= (u64)found->fullest_waiting * most) {
		found->fullest_waiting = waiting;
		found->fullest_most = most;
	}
}

static __always_inline void look_at_tcp(struct census *found, const struct file *file)
{
	const struct sock *sk = sock_of(socket_of(file));
	u8 state = 0;

	if (!sk)
		return;
	PROBE_READ(state, &sk->__sk_common.skc_state);
	state &= TCP_STATE_MASK;
	found->tcp[state]++;
	if (state == TCP_LISTEN)
		look_at_listener(found, sk);
}

/* Bytes that TCP has for the program, and that it still has to send; memory of other sockets. */
static __always_inline void read_socket_queues(const struct file *file, u32 fd_type, u32 *received,
					       u32 *sent)
{
	const struct sock *sk = sock_of(socket_of(file));
	u32 next = 0, copied = 0, written = 0, acknowledged = 0;
	u8 state = 0;

	if (!sk)
		return;
#ifdef HAVE_tcp_sock_copied_seq
	if (fd_type == FD_TYPE_TCP) {
		const struct tcp_sock *tcp = (const struct tcp_sock *)(first_subflow(sk) ?: sk);

		PROBE_READ(state, &sk->__sk_common.skc_state);
		if (state == TCP_LISTEN)
			return;
		PROBE_READ(next, &tcp->rcv_nxt);
		PROBE_READ(copied, &tcp->copied_seq);
		PROBE_READ(written, &tcp->write_seq);
		PROBE_READ(acknowledged, &tcp->snd_una);
		*received = next - copied;
		*sent = written - acknowledged;
		return;
	}
#endif
	PROBE_READ(*received, &sk->sk_backlog.rmem_alloc.counter);
	PROBE_READ(*sent, &sk->sk_wmem_alloc.refs.counter);
	if (*sent)
		(*sent)--; /* the socket's own reference */
}

/* Pages of a pipe that hold what was not read: for the reading end, or the writing one. */
static __always_inline void read_pipe_queue(const struct file *file, u32 *received, u32 *sent)
{
	const struct pipe_inode_info *pipe = NULL;
	u32 head = 0, tail = 0, mode;

	PROBE_READ(pipe, &file->private_data);
	if (!pipe)
		return;
	PROBE_READ(head, &pipe->head);
	PROBE_READ(tail, &pipe->tail);
	if (head == tail)
		return;
	mode = file_mode(file);
	if (mode & FMODE_READ)
		*received = (head - tail) * PAGE_BYTES;
	if (mode & FMODE_WRITE)
		*sent = (head - tail) * PAGE_BYTES;
}

static __always_inline void look_at_queues(struct census *found, const struct file *file,
					   u32 fd_type)
{
	struct queue *queue = &found->queue[(fd_type - FD_TYPE_FIFO) & QUEUE_MASK];
	u32 received = 0, sent = 0;

	if (fd_type == FD_TYPE_FIFO)
		read_pipe_queue(file, &received, &sent);
	else
		read_socket_queues(file, fd_type, &received, &sent);
	if (!received && !sent)
		return;
	found->holds = 1;
	queue->received += received;
	queue->sent += sent;
	if (received > queue->most_received)
		queue->most_received = received;
	if (sent > queue->most_sent)
		queue->most_sent = sent;
}

/* A file of which no name is left holds its blocks as long as it is open. */
static __always_inline void look_at_blocks(struct census *found, const struct file *file,
					   u32 fd_type)
{
	const struct super_block *sb = NULL;
	const struct inode *inode = NULL;
	u32 names = 1, device = 0, i;
	u64 blocks = 0;

	PROBE_READ(inode, &file->f_inode);
	PROBE_READ(names, &inode->i_nlink);
	if (names)
		return;
	found->holds = 1;
	PROBE_READ(blocks, &inode->i_blocks);
	if (fd_type == FD_TYPE_MEMFD) {
		found->memfd_blocks += blocks;
		return;
	}
	PROBE_READ(sb, &inode->i_sb);
	PROBE_READ(device, &sb->s_dev);
#pragma unroll
	for (i = 0; i < UNNAMED_FILESYSTEMS; i++) {
		struct unnamed *place = &found->unnamed[i];

		if (place->files && place->device != device && i < UNNAMED_FILESYSTEMS - 1)
			continue;
		place->device = i < UNNAMED_FILESYSTEMS - 1 ? device : 0;
		place->files++;
		place->blocks += blocks;
		return;
	}
}

/* One descriptor, or the rest of a word of the bitmap, which is read once. */
static __always_inline void census_step(struct fd_walk *walk)
{
	u32 fd = walk->position, zero = 0;
	const struct file *file;
	struct census *found;
	u64 word;

	if (walk->word_of != fd / 64 + 1) {
		PROBE_READ(walk->word, walk->open_fds + fd / 64 * sizeof(walk->word));
		walk->word_of = fd / 64 + 1;
	}
	word = walk->word >> fd % 64;
	if (!(word & 1)) {
		walk->position = word ? fd + 1 : (fd | 63) + 1;
		return;
	}
	walk->position = fd + 1;
	file = walk_fd(walk, fd);
	if (!file)
		return;
	if (walk->fd_type == FD_TYPE_FANOTIFY && is_permission_group(file))
		walk->permission_groups++;
	found = census.lookup(&zero);
	if (!found)
		return;
	if (walk->fd_type == FD_TYPE_REGULAR || walk->fd_type == FD_TYPE_MEMFD) {
		look_at_blocks(found, file, walk->fd_type);
	} else if (walk->fd_type >= FD_TYPE_FIFO && walk->fd_type <= FD_TYPE_SOCKET_OTHER) {
		look_at_queues(found, file, walk->fd_type);
		if (walk->fd_type == FD_TYPE_TCP)
			look_at_tcp(found, file);
	}
}

/* Writes the answer for fdscope.probes.read.census. */
static __always_inline void write_census(const struct fd_walk *walk)
{
	const struct task_struct *task = (const struct task_struct *)walk->task;
	struct signal_struct *signal = NULL;
	u32 zero = 0, fd;
	struct census *found = census.lookup(&zero);

	if (!found)
		return;
	found->owner = walk->owner;
	describe(&found->process, task);
	PROBE_READ(signal, &task->signal);
	PROBE_READ(found->limit, &signal->rlim[RLIMIT_NOFILE].rlim_cur);
	found->position = walk->position;
	found->end = walk->end;
	found->permission_groups = walk->permission_groups;
	for (fd = 0; fd <= STDIO_ERROR; fd++)
		found->stdio[fd] = fd_type_in(walk, fd);
	__builtin_memcpy(found->count, walk->count, sizeof(found->count));
}

/* The leader of the process whose /proc/PID is behind this descriptor; NULL if it has ended. */
static __always_inline const struct task_struct *leader_of_directory(u32 fd)
{
	const struct file *directory = file_of(fd);
	const struct pid *pid = NULL;
	const char *inode = NULL;

	if (!directory)
		return NULL;
	PROBE_READ(inode, &directory->f_inode);
	PROBE_READ(pid, inode - OFFSET_proc_inode_vfs_inode + OFFSET_proc_inode_pid);
	return leader_of(pid);
}

/*
 * Not attached: fdscope.probes.read.census runs it with a descriptor of /proc/PID and the number of
 * the first descriptor to look at.
 */
int on_census(struct bpf_raw_tracepoint_args *ctx)
{
	const struct task_struct *leader = leader_of_directory(ctx->args[0]), *task;
	struct files_struct *files = NULL;
	struct fd_walk *walk = census_walk();
	struct census *found;
	u32 zero = 0;

	found = census.lookup(&zero);
	if (!leader || !walk || !found)
		return 0;
	task = living_thread(leader);
	if (task)
		PROBE_READ(files, &task->files);
	/*
	 * If all threads are exiting there is no table: its descriptors were counted as closed. A
	 * task that exits while its table is read, which no lock prevents, gives a wrong count
	 * of a process that is gone at the next one.
	 */
	prepare_walk(walk, task ?: leader, files, ctx->args[1], NO_FD);
	__builtin_memset(found, 0, sizeof(*found));
	census_calls.call(ctx, CENSUS_CALL_WALK);
	return 0;
}

/* Tail call: walks the descriptors. */
int on_census_walk(struct bpf_raw_tracepoint_args *ctx)
{
	struct fd_walk *walk = census_walk();

	if (!walk)
		return 0;
	if (walk_on(walk, CENSUS_FDS_A_CALL, census_step))
		census_calls.call(ctx, CENSUS_CALL_WALK);
	else
		census_calls.call(ctx, CENSUS_CALL_WRITE);
	return 0;
}

/* Tail call: writes what was found. */
int on_census_write(struct bpf_raw_tracepoint_args *ctx)
{
	struct fd_walk *walk = census_walk();

	if (!walk)
		return 0;
	write_census(walk);
	return 1;
}
#endif
