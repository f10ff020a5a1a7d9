# SPDX-License-Identifier: GPL-2.0-only
"""Messages for what the operating system refuses, and what to do about it."""

import errno
import os
import platform
import re
import resource
import subprocess

OPEN_FILES = 512
"""Descriptors that the probes of any mode and the clients of a scrape get by with."""
_OPEN_FILES_WANTED = 1024
_ADVICE = {
    errno.EAGAIN: "too many processes or threads: see `ulimit -u`, pids.max of its cgroup, and"
    " TasksMax= of its unit",
    errno.EMFILE: "see `ulimit -n`, and LimitNOFILE= of its unit",
    errno.ENFILE: "the whole host has too many open files: see /proc/sys/fs/file-nr",
    errno.ENOMEM: "see `free`, `ulimit -v`, memory.max of its cgroup, and MemoryMax= of its unit",
    errno.EPERM: "a seccomp filter or a security module refuses it: see SystemCallFilter= of its"
    " unit, or the container's profile",
    errno.EACCES: "a security module or the rights of a file refuse it",
}


def is_at_least(major: int, minor: int, release: str | None = None) -> bool:
    """True if the kernel has this version of Linux or a later one."""
    first, second = (release or platform.release()).split(".")[:2]
    found = int(first), int(re.match("[0-9]*", second)[0] or 0)  # type: ignore[index]
    return found >= (major, minor)


def allocates_in_programs(release: str | None = None) -> bool:
    """True if any program may allocate the memory of a BPF map's entry.

    Linux kernel commit 96da3f7d489d ("bpf: Remove tracing program restriction on map types") (in
    v6.1)
    """
    return is_at_least(6, 1, release)


def reason(error: OSError | MemoryError) -> str:
    """One line: what was refused, why, and what to check."""
    if isinstance(error, MemoryError):
        return f"out of memory ({_ADVICE[errno.ENOMEM]})"
    words = error.strerror or str(error) or type(error).__name__
    if error.filename is not None:
        words = f"{os.fsdecode(error.filename)}: {words}"
    # What the dynamic linker says where memory is short.
    short = "failed to map segment" in words or "cannot allocate memory" in words
    advice = _ADVICE.get(errno.ENOMEM if short else error.errno or 0)
    return f"{words} ({advice})" if advice else words


def refused(error: Exception) -> str:
    """The message for an exception that a refusal of the operating system raised; else empty."""
    if isinstance(error, OSError | MemoryError):
        return reason(error)
    if isinstance(error, ImportError):
        return f"{error} (`fdscope doctor` says what is missing)"
    if isinstance(error, subprocess.SubprocessError):
        return str(error)
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        return f"no new thread can be started ({_ADVICE[errno.EAGAIN]})"
    return ""


def allow_open_files() -> str:
    """Raise the soft limit to what is needed; why that cannot be done, empty if it was."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= _OPEN_FILES_WANTED:
        return ""
    unlimited = hard == resource.RLIM_INFINITY
    soft = _OPEN_FILES_WANTED if unlimited else min(_OPEN_FILES_WANTED, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft >= OPEN_FILES:
        return ""
    return (
        f"this process may have {soft} open files and needs {OPEN_FILES}: raise the limit"
        f" (ulimit -n {_OPEN_FILES_WANTED}; LimitNOFILE={_OPEN_FILES_WANTED} in its unit)"
    )
