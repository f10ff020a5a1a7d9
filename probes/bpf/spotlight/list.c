/* SPDX-License-Identifier: GPL-2.0-only */
/* Lists the open descriptors of one process with what they refer to, on demand. */
#include "core/account.c"
#include "fds/census.c"
#include "spotlight/names.c"

#ifdef SPOTLIGHT

/* Like the census it has its own walk, and programs that are run and not attached. */

#ifdef OFFSET_proc_inode_pid

/* A thread that has the table of the process; NULL if all of them have ended. */
static __always_inline const struct task_struct *task_of_directory(u32 fd)
{
	const struct task_struct *leader = leader_of_directory(fd);

	return leader ? living_thread(leader) : NULL;
}

static __always_inline struct fd_walk *list_walk(void)
{
	u32 zero = 0;

	return list_walks.lookup(&zero);
}

static __always_inline struct file_list *file_list(void)
{
	u32 zero = 0;

	return file_lists.lookup(&zero);
}

/* True if the name was removed, or the file never had one and its filesystem has names. */
static __always_inline bool is_deleted(const struct dentry *dentry)
{
	const struct dentry *parent = NULL;
	const void *hashed = NULL;

	PROBE_READ(parent, &dentry->d_parent);
	PROBE_READ(hashed, &dentry->d_hash.pprev);
	return !hashed && parent != dentry;
}

static __always_inline void read_queues(struct open_file *to, const struct sock *sk)
{
#ifdef HAVE_tcp_sock_copied_seq
	const struct tcp_sock *tcp = (const struct tcp_sock *)sk;
	u32 next = 0, copied = 0, written = 0, acknowledged = 0;

	if (to->fd_type != FD_TYPE_TCP || to->addresses.protocol != IPPROTO_TCP ||
	    to->addresses.state == TCP_LISTEN)
		return;
	PROBE_READ(next, &tcp->rcv_nxt);
	PROBE_READ(copied, &tcp->copied_seq);
	PROBE_READ(written, &tcp->write_seq);
	PROBE_READ(acknowledged, &tcp->snd_una);
	to->receive_queue = next - copied;
	to->send_queue = written - acknowledged;
	to->queues_known = 1;
#endif
}

static __always_inline void describe_open(struct open_file *to, struct file *file)
{
	const struct dentry *dentry = NULL;
	const struct inode *inode = NULL;
	const struct sock *sk;

	to->file = (u64)file;
	to->fd_type = file_fd_type(file);
	PROBE_READ(inode, &file->f_inode);
	PROBE_READ(dentry, &file->f_path.dentry);
	read_place(&to->place, inode);
	PROBE_READ(to->position, &file->f_pos);
	PROBE_READ(to->flags, &file->f_flags);
	to->deleted = is_deleted(dentry);
	to->queues_known = 0;
	__builtin_memset(&to->addresses, 0, sizeof(to->addresses));
	if (!is_socket(to->fd_type))
		return;
	sk = sock_of(socket_of(file));
	if (!sk)
		return;
	read_addresses(&to->addresses, sk);
	read_queues(to, sk);
}

/* One descriptor, or the rest of a word of the bitmap if none is open there. */
static __always_inline void list_step(struct fd_walk *walk, struct file_list *list)
{
	u32 fd = walk->position, at = list->count;
	struct file *file = NULL;
	struct open_file *entry;
	u64 word = 0;

	if (at >= LIST_ENTRIES || fd >= walk->end)
		return;
	PROBE_READ(word, walk->open_fds + fd / 64 * sizeof(word));
	word >>= fd % 64;
	walk->position = word ? fd + 1 : (fd | 63) + 1;
	if (!(word & 1))
		return;
	PROBE_READ(file, walk->fds + fd * sizeof(file));
	if (!file)
		return;
	entry = &list->entry[at];
	entry->fd = fd;
	describe_open(entry, file);
	list->count = at + 1;
}

/*
 * Not attached: fdscope.probes.read.files runs it with a descriptor of /proc/PID and the number of
 * the first descriptor to look at.
 */
int on_files(struct bpf_raw_tracepoint_args *ctx)
{
	const struct task_struct *task = task_of_directory(ctx->args[0]);
	struct files_struct *files = NULL;
	struct fd_walk *walk = list_walk();
	struct file_list *list = file_list();

	if (!task || !walk || !list)
		return 0;
	PROBE_READ(files, &task->files);
	prepare_walk(walk, task, files, ctx->args[1], NO_FD);
	describe(&list->process, task);
	list->owner = walk->owner;
	list->count = 0;
	list->position = walk->position;
	list->end = walk->end;
	census_calls.call(ctx, CENSUS_CALL_LIST);
	return 0;
}

/* Tail call: goes on with the list. */
int on_census_list(struct bpf_raw_tracepoint_args *ctx)
{
	struct fd_walk *walk = list_walk();
	struct file_list *list = file_list();
	u32 i;

	if (!walk || !list)
		return 0;
	for (i = 0; i < LIST_STEPS; i++)
		list_step(walk, list);
	list->position = walk->position;
	if (walk->position < walk->end && list->count < LIST_ENTRIES &&
	    ++walk->calls < FD_WALK_CALLS)
		census_calls.call(ctx, CENSUS_CALL_LIST);
	return 1;
}

#ifdef OFFSET_mount_mnt

/* Like file_in(), of another process. */
static __always_inline struct file *file_in_table(const struct files_struct *files, u32 fd)
{
	struct fdtable *table = NULL;
	struct file **fds = NULL, *file = NULL;
	u32 max_fds = 0;

	PROBE_READ(table, &files->fdt);
	PROBE_READ(max_fds, &table->max_fds);
	PROBE_READ(fds, &table->fd);
	if (fd < max_fds)
		PROBE_READ(file, &fds[fd]);
	return file;
}

/*
 * Not attached: run with a descriptor of /proc/PID, the number of a descriptor, and the address that
 * its file had in the list. For what the last run has not read yet: the dentry and the mount at
 * which that ended.
 */
int on_path(struct bpf_raw_tracepoint_args *ctx)
{
	const struct task_struct *task = task_of_directory(ctx->args[0]);
	struct files_struct *files = NULL;
	struct path_text *text;
	struct path_walk *walk;
	struct file *file;
	u32 zero = 0, i;

	text = path_texts.lookup(&zero);
	if (!task || !text)
		return 0;
	walk = &text->walk;
	PROBE_READ(files, &task->files);
	if (!files)
		return 0;
	file = file_in_table(files, ctx->args[1]);
	if (!file || (u64)file != ctx->args[2])
		return 0;
	text->length = 0;
	walk->state = NAME_CUT;
	if (ctx->args[3]) {
		walk->dentry = ctx->args[3];
		walk->mount = ctx->args[4];
	} else {
		begin_path(walk, file);
	}
	for (i = 0; i < PATH_STEPS; i++)
		if (!path_step(walk, text))
			break;
	return 1;
}
#endif
#endif

#endif
