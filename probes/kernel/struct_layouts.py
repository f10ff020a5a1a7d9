# SPDX-License-Identifier: GPL-2.0-only
"""The kernel structs that the C programs read, declared from the running kernel's BTF.

Each struct has only the fields below, each at the offset that this kernel gives it.
"""

from fdscope.probes.kernel.btf import Btf

# Order matters where a struct holds another by value.
FIELDS: dict[str, dict[str, str]] = {
    "in6_addr": {"in6_u": "u8[16]"},
    "qstr": {"name": "const unsigned char *"},
    "kernfs_node": {
        "id": "u64",
        "name": "const char *",
        "parent": "struct kernfs_node *",
        "__parent": "struct kernfs_node *",
    },
    "cgroup": {"kn": "struct kernfs_node *"},
    "css_set": {"dom_cset": "struct css_set *", "dfl_cgrp": "struct cgroup *"},
    "file_system_type": {"name": "const char *"},
    "super_block": {
        "s_magic": "unsigned long",
        "s_flags": "unsigned long",
        "s_type": "struct file_system_type *",
        "s_dev": "u32",
    },
    "hlist_bl_node": {"pprev": "void *"},
    "dentry": {
        "d_name": "struct qstr",
        "d_parent": "struct dentry *",
        "d_hash": "struct hlist_bl_node",
    },
    "vfsmount": {"mnt_root": "struct dentry *"},
    "mount": {
        "mnt_parent": "struct mount *",
        "mnt_mountpoint": "struct dentry *",
        "mnt": "struct vfsmount",
    },
    "path": {"dentry": "struct dentry *", "mnt": "struct vfsmount *"},
    "inode": {
        "i_ino": "u64",
        "i_mode": "u16",
        "i_rdev": "u32",
        "i_nlink": "u32",
        "i_blocks": "u64",
        "i_sb": "struct super_block *",
        "i_private": "void *",
    },
    "file_operations": {"write": "const void *", "write_iter": "const void *"},
    "file": {
        "f_op": "const struct file_operations *",
        "f_inode": "struct inode *",
        "f_mode": "u32",
        "f_path": "struct path",
        "f_flags": "u32",
        "f_pos": "u64",
        "private_data": "void *",
    },
    "fdtable": {
        "max_fds": "u32",
        "fd": "struct file **",
        "close_on_exec": "u64 *",
        "open_fds": "u64 *",
    },
    "files_struct": {"count": "struct { int counter; }", "fdt": "struct fdtable *"},
    "list_head": {"next": "struct list_head *"},
    "signal_struct": {
        "thread_head": "struct list_head",
        "live": "struct { int counter; }",
        "nr_threads": "int",
        "sum_sched_runtime": "u64",
        "tty": "struct tty_struct *",
        "rlim": "struct { u64 rlim_cur; u64 rlim_max; }[16]",
    },
    "thread_info": {"status": "u32"},
    "cred": {"uid": "u32"},
    "mm_struct": {
        "arg_start": "unsigned long",
        "arg_end": "unsigned long",
        "exe_file": "struct file *",
    },
    "tty_struct": {"name": "char[64]"},
    "task_struct": {
        "thread_info": "struct thread_info",
        "flags": "u32",
        "stack": "char *",
        "pid": "int",
        "tgid": "int",
        "start_boottime": "u64",
        "comm": "char[16]",
        "group_leader": "struct task_struct *",
        "files": "struct files_struct *",
        "signal": "struct signal_struct *",
        "cgroups": "struct css_set *",
        "mm": "struct mm_struct *",
        "real_cred": "const struct cred *",
        "real_parent": "struct task_struct *",
        "ptraced": "struct list_head",
    },
    "pid": {"tasks": "const char *[4]"},
    "fsnotify_group": {"priority": "u32"},
    "scm_fp_list": {"count": "s16", "fp": "struct file *[253]"},
    "scm_cookie": {"fp": "struct scm_fp_list *"},
    "net_device": {"flags": "u32", "ifindex": "u32"},
    "dst_entry": {"dev": "struct net_device *"},
    "proto": {"sendmsg": "const void *"},
    "proto_ops": {"sendmsg": "const void *"},
    "sock_common": {
        "skc_prot": "struct proto *",
        "skc_daddr": "u32",
        "skc_rcv_saddr": "u32",
        "skc_dport": "u16",
        "skc_num": "u16",
        "skc_family": "u16",
        "skc_state": "u8",
        "skc_bound_dev_if": "u32",
        "skc_v6_daddr": "struct in6_addr",
        "skc_v6_rcv_saddr": "struct in6_addr",
    },
    "sock": {
        "__sk_common": "struct sock_common",
        "sk_type": "u16",
        "sk_protocol": "u16",
        "sk_dst_cache": "struct dst_entry *",
        "sk_socket": "struct socket *",
        "sk_ack_backlog": "u32",
        "sk_max_ack_backlog": "u32",
        "sk_drops": "struct { int counter; }",
        "sk_backlog": "struct { struct { int counter; } rmem_alloc; }",
        "sk_wmem_alloc": "struct { struct { int counter; } refs; }",
        "sk_peer_pid": "struct pid *",
    },
    "request_sock_queue": {"qlen": "struct { int counter; }"},
    "inet_connection_sock": {"icsk_accept_queue": "struct request_sock_queue"},
    "tcp_sock": {"rcv_nxt": "u32", "copied_seq": "u32", "write_seq": "u32", "snd_una": "u32"},
    "pipe_inode_info": {"head": "u32", "tail": "u32"},
    "unix_address": {"len": "u32", "name": "char[1]"},
    "unix_sock": {"addr": "struct unix_address *", "peer": "struct sock *"},
    "mptcp_sock": {"first": "const struct sock *"},
    "socket": {
        "sk": "struct sock *",
        "file": "struct file *",
        "ops": "const struct proto_ops *",
    },
    "kiocb": {"ki_filp": "struct file *"},
    "io_uring_cqe": {"res": "s32"},
    "io_uring_task": {"task": "const struct task_struct *"},
    "io_kiocb": {
        "file": "struct file *",
        "opcode": "u8",
        "task": "const struct task_struct *",
        "tctx": "struct io_uring_task *",
        "result": "s32",
    },
    "io_sr_msg": {"msg_flags": "u32"},
    "io_submit_state": {"compl_reqs": "struct io_kiocb *[32]", "compl_nr": "u32"},
    "io_ring_ctx": {"submit_state": "struct io_submit_state"},
}

# Fields that some kernels lack; the C text can ask with #ifdef HAVE_<struct>_<field>.
OPTIONAL = {
    # Linux kernel commit 633488947ef6 ("kernfs: Use RCU to access kernfs_node::parent.") (in v6.15)
    ("kernfs_node", "parent"),
    ("kernfs_node", "__parent"),
    ("thread_info", "status"),
    ("io_kiocb", "task"),
    ("io_kiocb", "tctx"),
    ("io_sr_msg", "msg_flags"),
    ("mptcp_sock", "first"),
    ("tcp_sock", "rcv_nxt"),
    ("tcp_sock", "copied_seq"),
    ("tcp_sock", "write_seq"),
    ("tcp_sock", "snd_una"),
    ("unix_sock", "addr"),
    ("unix_sock", "peer"),
    ("unix_address", "len"),
    ("unix_address", "name"),
}

# Members of one bit: BIT_<struct>_<field> is the offset in bits.
BITS = (("sock", "sk_kern_sock"),)

# What only some kernels have, or have with these fields: where they do not, nothing reads them.
OPTIONAL_STRUCTS = {
    "fsnotify_group",
    "scm_fp_list",
    "scm_cookie",
    "kiocb",
    "io_uring_cqe",
    "io_uring_task",
    "io_kiocb",
    "io_submit_state",
    "io_ring_ctx",
    "request_sock_queue",
    "inet_connection_sock",
    "pipe_inode_info",
}


# Where structs hold others, to get from one to the other: OFFSET_<struct>_<field>, in bytes.
OFFSETS = (
    ("proc_inode", "pid"),
    ("proc_inode", "vfs_inode"),
    ("mount", "mnt"),
    ("task_struct", "pid_links"),
    ("task_struct", "thread_node"),
    ("task_struct", "ptrace_entry"),
)


class LayoutError(Exception):
    """The kernel lacks a field that the programs cannot do without."""


def _declare(field: str, c_type: str) -> str:
    base, _, length = c_type.rstrip("]").partition("[")
    return f"{base} {field}[{length}]" if length else f"{base} {field}"


def _struct(btf: Btf, name: str, fields: dict[str, str]) -> str:
    lines = []
    for field, c_type in fields.items():
        offset = btf.offset(name, field)
        if offset is not None:
            pad = f"char before_{field}[{offset}]; " if offset else ""
            lines.append(f"\t\tstruct {{ {pad}{_declare(field, c_type)}; }};")
        elif name in OPTIONAL_STRUCTS and (name, field) not in OPTIONAL:
            lines.append(f"\t\t{_declare(field, c_type)};")
        elif (name, field) not in OPTIONAL:
            raise LayoutError(f"struct {name} of this kernel has no field {field}")
    have = "".join(
        f"#define HAVE_{name}_{field} 1\n"
        for optional, field in sorted(OPTIONAL)
        if optional == name and btf.offset(name, field) is not None
    )
    return f"{have}struct {name} {{\n\tunion {{\n" + "\n".join(lines) + "\n\t};\n};\n"


def header(btf: Btf) -> str:
    """C declarations of all structs; LayoutError if one lacks a field that is needed."""
    structs = "".join(_struct(btf, name, fields) for name, fields in FIELDS.items())
    offsets = ((f"OFFSET_{name}_{field}", btf.offset(name, field)) for name, field in OFFSETS)
    bits = ((f"{name}_{field}", btf.bit_offset(name, field)) for name, field in BITS)
    numbers = (*((f"BIT_{name}", bit) for name, bit in bits), *offsets)
    return structs + "".join(f"#define {name} {n}\n" for name, n in numbers if n is not None)
