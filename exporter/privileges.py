# SPDX-License-Identifier: GPL-2.0-only
"""Privileges: attaching needs some, serving few; the rest is dropped for good."""

import ctypes
import os
import pwd
import re
from collections.abc import Collection
from pathlib import Path

from fdscope.probes.text import printable

# include/uapi/linux/capability.h
CAPABILITIES = {"CAP_DAC_READ_SEARCH": 2, "CAP_SETPCAP": 8, "CAP_BPF": 39}

_READABLE_MAPS = (5, 19)
"""Linux commit c8644cd0efe7: from here on what is open can be used without CAP_BPF."""
_CAPABILITY_VERSION = 0x20080522
_PR_SET_DUMPABLE, _PR_SET_KEEPCAPS, _PR_CAPBSET_DROP = 4, 8, 24
_PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 38, 47, 4
_LAST_CAPABILITY = Path("/proc/sys/kernel/cap_last_cap")
_TASKS = Path("/proc/self/task")


class PrivilegeError(Exception):
    """Privileges cannot be dropped; the text says why and what to do."""


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def needed(release: str) -> list[str]:
    """Capabilities that serving needs on a kernel of this release (``uname -r``).

    Maps are read and the census program is run through descriptors that are open already.
    """
    numbers = re.match(r"(\d+)\.(\d+)", release)
    old = not numbers or (int(numbers[1]), int(numbers[2])) < _READABLE_MAPS
    return ["CAP_BPF"] if old else []


def check(user: str) -> None:
    """PrivilegeError if this process cannot become ``user``; a child process tries it.

    Call it while the process has one thread.
    """
    if not user:
        return
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _become(user, ctypes.CDLL(None, use_errno=True))
        except Exception as error:  # the parent reports it
            os.write(theirs, str(error).encode(errors="backslashreplace"))
        finally:
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as answer:
        why = answer.read().decode()
    os.waitpid(child, 0)
    if why:
        raise PrivilegeError(why)


def drop(user: str, keep: Collection[str]) -> None:
    """Become ``user`` (empty: keep the user) and keep these capabilities at most.

    PrivilegeError if that fails; call it while the process has one thread, because each thread
    has its own privileges.
    """
    kept = sum(1 << CAPABILITIES[name] for name in keep)
    libc = ctypes.CDLL(None, use_errno=True)
    if user:
        _become(user, libc)
    _drop_bounding_set(kept, libc)
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    _set_capabilities(kept & _held("CapPrm"), libc)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    for task in _TASKS.iterdir():
        if _held("CapPrm", task) & ~kept:
            raise PrivilegeError(
                f"thread {task.name} of the exporter keeps privileges: this is a bug in fdscope,"
                " please report it"
            )


def _become(user: str, libc: ctypes.CDLL) -> None:
    try:
        entry = pwd.getpwnam(user)
    except (KeyError, ValueError) as error:  # ValueError: a name with NUL
        raise PrivilegeError(
            f"--privileges.user: there is no user {printable(user)}: make one"
            " (useradd --system NAME) or name another"
        ) from error
    if os.getresuid() == (entry.pw_uid,) * 3:
        return
    try:
        libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
        os.initgroups(user, entry.pw_gid)
        os.setresgid(*(entry.pw_gid,) * 3)
        os.setresuid(*(entry.pw_uid,) * 3)
    except OSError as error:
        raise PrivilegeError(
            f"--privileges.user: only root can become {user} ({error}): start it as root, with"
            f" CAP_SETUID and CAP_SETGID, or as {user} itself"
        ) from error
    _set_capabilities(_held("CapPrm"), libc)
    # Else /proc/self, and what the kernel shows there about our maps, would belong to root.
    libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)


def _drop_bounding_set(kept: int, libc: ctypes.CDLL) -> None:
    """Limit what programs started later can get; without CAP_SETPCAP it is not needed."""
    if not _held("CapEff") >> CAPABILITIES["CAP_SETPCAP"] & 1:
        return
    for number in range(int(_LAST_CAPABILITY.read_text()) + 1):
        if not kept >> number & 1:
            libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)


def _set_capabilities(wanted: int, libc: ctypes.CDLL) -> None:
    """Make these effective and permitted, and none inheritable."""
    halves = [wanted & 0xFFFFFFFF, wanted >> 32]
    sets = (_Sets * 2)(*(_Sets(half, half, 0) for half in halves))
    if libc.capset(ctypes.byref(_Header(_CAPABILITY_VERSION, 0)), sets):
        number = ctypes.get_errno()
        raise PrivilegeError(f"capabilities cannot be dropped: {os.strerror(number)}")


def _held(which: str, task: Path = Path("/proc/thread-self")) -> int:
    """A set of capabilities of a thread, as a bit mask."""
    lines = (task / "status").read_text().splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith(f"{which}:"))
