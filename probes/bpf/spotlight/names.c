/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The names of files of watched processes, read when they are opened: a file can be closed before
 * anybody looks. A name is kept in parts, the innermost component first, each with a NUL behind it.
 */
#include "attach.c"
#include "core/account.c"
#include "spotlight/watched.c"

#ifdef SPOTLIGHT

/*
 * In a map, and not on the stack: there the verifier would follow every value of it. Each program
 * that walks makes its own where another task can take the CPU from it.
 */
static __always_inline struct path_walk *new_path_walk(void)
{
	u32 key = scratch_key();
#ifdef PREEMPTED
	struct path_walk empty = {};

	path_walks.update(&key, &empty);
#endif
	return path_walks.lookup(&key);
}

/* Adds a component to the text of a path that was asked for. */
static __always_inline bool add_to_text(struct path_text *text, const struct dentry *dentry)
{
	const unsigned char *name = NULL;
	u32 at = text->length;
	long length;

	if (at > PATH_TEXT_BYTES - NAME_PART_BYTES / 2)
		return false;
	PROBE_READ(name, &dentry->d_name.name);
	length = bpf_probe_read_kernel_str(text->text + at, NAME_PART_BYTES / 2, name);
	if (length > 0)
		text->length = at + length;
	return true;
}

/* Adds a component to the part that the walk is in; false if there is no more room. */
static __always_inline bool add_component(struct path_walk *walk, const struct dentry *dentry)
{
	const unsigned char *name = NULL;
	struct name_part *part, *empty;
	struct name_key key;
	u32 at, zero = 0;
	long length;

	if (walk->used > NAME_PART_BYTES / 2) {
		walk->key.part++;
		walk->used = 0;
	}
	if (walk->key.part >= NAME_PARTS)
		return false;
	key = walk->key;
	if (!walk->used) {
		empty = no_name.lookup(&zero);
		if (!empty || file_names.update(&key, empty)) {
			lose(LOSS_WATCHED_FULL);
			return false;
		}
	}
	part = file_names.lookup(&key);
	if (!part)
		return false;
	PROBE_READ(name, &dentry->d_name.name);
	at = walk->used & (NAME_PART_BYTES - 1);
	if (at > NAME_PART_BYTES / 2)
		return false;
	length = bpf_probe_read_kernel_str(part->text + at, NAME_PART_BYTES / 2, name);
	if (length > 0)
		walk->used += length;
	return true;
}

#ifdef OFFSET_mount_mnt

static __always_inline const struct mount *mount_of(const struct vfsmount *mnt)
{
	return (const struct mount *)((const char *)mnt - OFFSET_mount_mnt);
}

/* One step outward; false at the root of the mount tree. `text`: NULL to keep the name in parts. */
static __always_inline bool path_step(struct path_walk *walk, struct path_text *text)
{
	const struct dentry *dentry = (const struct dentry *)walk->dentry, *parent = NULL;
	const struct mount *mount = (const struct mount *)walk->mount, *outer = NULL;
	const struct dentry *root = NULL;

	PROBE_READ(root, &mount->mnt.mnt_root);
	if (dentry == root) {
		PROBE_READ(outer, &mount->mnt_parent);
		if (outer == mount) {
			walk->state = NAME_WHOLE;
			return false;
		}
		PROBE_READ(dentry, &mount->mnt_mountpoint);
		walk->dentry = (u64)dentry;
		walk->mount = (u64)outer;
		return true;
	}
	PROBE_READ(parent, &dentry->d_parent);
	if (text ? !add_to_text(text, dentry) : !add_component(walk, dentry))
		return false;
	if (parent == dentry) {
		walk->state = NAME_WHOLE;
		return false;
	}
	walk->dentry = (u64)parent;
	return true;
}

static __always_inline void begin_path(struct path_walk *walk, const struct file *file)
{
	const struct vfsmount *mnt = NULL;
	const struct dentry *dentry = NULL;

	PROBE_READ(dentry, &file->f_path.dentry);
	PROBE_READ(mnt, &file->f_path.mnt);
	walk->dentry = (u64)dentry;
	walk->mount = (u64)mount_of(mnt);
}

/* The file that the current process has just opened under this number. */
static __always_inline void watched_named(u32 fd, const struct file *file)
{
	struct process_key owner = current_process_key();
	struct file_id id = {.file = (u64)file, .owner = owner};
	struct watched_file *known;
	struct path_walk *walk;
	u32 i;

	if (!file || !is_watched(owner))
		return;
	known = held_file(&id, inode_of(file));
	if (!known || known->named)
		return;
	read_place(&known->place, (const struct inode *)inode_of(file));
	if (is_socket(known->fd_type))
		return;
	walk = new_path_walk();
	if (!walk) {
		lose(LOSS_SCRATCH);
		return;
	}
	walk->key.file = id.file;
	walk->key.born = id.born;
	walk->key.tgid = id.owner.tgid;
	walk->key.part = 0;
	walk->used = 0;
	walk->state = NAME_CUT;
	begin_path(walk, file);
	for (i = 0; i < PATH_STEPS; i++)
		if (!path_step(walk, NULL))
			break;
	known->named = walk->state;
}
#else
static __always_inline void watched_named(u32 fd, const struct file *file)
{
}
#endif

#endif
