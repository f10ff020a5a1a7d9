# SPDX-License-Identifier: GPL-2.0-only
"""The text that BCC compiles: generated declarations, then the C files of the attach mode."""

import errno
import re
import resource
from collections.abc import Iterable, Iterator
from pathlib import Path

from fdscope.probes.attach import chosen, instructions, maps
from fdscope.probes.attach.settings import Settings
from fdscope.probes.hooks import syscalls, table
from fdscope.probes.hooks.table import Point
from fdscope.probes.kernel import struct_layouts
from fdscope.probes.kernel.btf import Btf
from fdscope.probes.kernel.limits import is_at_least
from fdscope.probes.kernel.preemption import preempts
from fdscope.probes.schema import records
from fdscope.probes.schema.slots import KERNEL_SOCKET, OVERFLOW_SHAPE, UNKNOWN_ERRNO
from fdscope.probes.schema.snapshot import LATENCY_LAST_BUCKET, LATENCY_SLOTS, LATENCY_STRIDE
from fdscope.probes.schema.taxonomy import (
    Account,
    Birth,
    Cause,
    Connection,
    DebugMethod,
    Door,
    EventCount,
    EventKind,
    FdType,
    Loss,
    Mode,
    NameState,
    Passing,
    Scope,
    Stdio,
)

BPF_DIR = Path(__file__).parents[1] / "bpf"
PROGRAMS = {
    Mode.FENTRY: "functions.c",
    Mode.KPROBE: "functions.c",
    Mode.TRACEPOINT: "tracepoints.c",
}
"""The C file of each mode, which includes all that it needs."""
_INCLUDE = re.compile(r'(?<=\n)#include "([a-z_/]+\.c)"(?=\n)')
STUB_DIR = BPF_DIR / "stub"
"""A header tree used in place of the kernel's: see ``BCC_KERNEL_SOURCE`` of BCC."""

NO_FD_TYPE = 0xFF
MESSAGES_A_CALL = 32
"""Messages of sendmmsg and recvmmsg that one tail call handles, of up to 1024 (UIO_MAXIOV)."""
PASSED_FDS_A_CALL = 32
"""Descriptors of one message that are counted; the verifier follows each step of the loop."""
AIO_EVENTS_A_CALL = 8
"""Results of io_getevents that one tail call handles; the kernel allows 33 tail calls."""
FDS_A_CALL = 704
"""Descriptors, or words of their bitmap, that one tail call of a walk checks."""
CENSUS_FDS_A_CALL = 64
"""Likewise for the census, which user space runs again until it is complete."""
FD_WALK_CALLS = 30
"""Tail calls of a walk: two more are made around it."""
FURTHER_WALKS = 10
"""Programs at fork and exit that continue the walk of the one before."""
_WALKED_AT = ("sched_process_fork", "sched_process_exit")
"""Tracepoints whose programs go through whole tables of descriptors."""
_LOADS_IN_LARGE_PROGRAMS = (6, 18)
"""The first version of Linux."""
EVENTS_OF_PROCESS = 20
EVENTS_OF_CGROUP = 200
"""Events of a kind that are told in a second, of one process and of all in its cgroup."""
CONTROL_STEPS_A_CALL = 32
"""Control messages, and descriptors in them, that one tail call reads."""

LIST_STEPS = 32
"""Descriptors, or words of their bitmap, that one tail call of a list describes."""
TCP_LISTEN = 10
"""include/net/tcp_states.h"""
PATH_STEPS = 64
"""Components and mount points of a path that are read when a file is opened."""

# include/uapi/linux/io_uring.h: READV, READ_FIXED, RECVMSG, READ, RECV, READ_MULTISHOT, RECV_ZC,
# READV_FIXED; WRITEV, WRITE_FIXED, SENDMSG, WRITE, SEND, SEND_ZC, SENDMSG_ZC, WRITEV_FIXED.
# SPLICE and TEE are counted in do_splice and do_tee, which they call.
IORING_READ_OPCODES = (1, 4, 10, 22, 27, 49, 58, 60)
IORING_RECEIVES = {"RECVMSG": 10, "RECV": 27}
IORING_WRITE_OPCODES = (2, 5, 9, 23, 26, 47, 48, 61)
# ACCEPT, OPENAT, OPENAT2, SOCKET, FIXED_FD_INSTALL, PIPE.
IORING_OPENING_OPCODES = (13, 18, 28, 45, 54, 62)
# include/uapi/linux/aio_abi.h
IOCB_COMMANDS = {"PREAD": 0, "PWRITE": 1, "PREADV": 7, "PWRITEV": 8}

# Documentation/admin-guide/devices.txt: virtual consoles, /dev/tty and ptmx, ptys
_TTY_MAJORS = {4, 5, *range(128, 144)}
_TTY_DRIVERS = Path("/proc/tty/drivers")


def tty_majors(drivers: Path = _TTY_DRIVERS) -> set[int]:
    """Major numbers of the terminal drivers of this kernel, and the fixed ones."""
    try:
        lines = drivers.read_text().splitlines()
    except OSError:
        return set(_TTY_MAJORS)
    return _TTY_MAJORS | {int(line.split()[-3]) for line in lines if len(line.split()) >= 4}


def _cases(numbers: Iterable[int]) -> str:
    """The labels of one branch of a C switch, without the first ``case``."""
    return ": case ".join(str(number) for number in sorted(numbers))


def further(tracepoint: str, mode: Mode, btf: Btf | None) -> list[str]:
    """Programs that run after that of the tracepoint, in order: they continue its walk."""
    if tracepoint not in _WALKED_AT or loops(mode, btf):
        return []
    return [f"{tracepoint}_{part}" for part in (*range(FURTHER_WALKS), "end")]


def _programs(
    mode: Mode, settings: Settings, btf: Btf | None, by_fprobe: bool
) -> Iterator[tuple[str, int]]:
    """Which programs are compiled: each takes the compiler's time."""
    attached = {
        hook.program
        for hook in chosen.hooks(mode, btf, settings.avoid)
        if chosen.has(hook, btf, settings.avoid)
    }
    for function in table.programs(mode):
        yield f"ATTACHED_{function}", int(function in attached)
    for hook in table.of_mode(mode):
        if hook.point is Point.RAW_TRACEPOINT:
            is_raw = not (by_fprobe and chosen.is_function(hook, btf))
            for name in (hook.function, *further(hook.function, mode, btf)):
                yield f"RAW_{name}", int(is_raw)


def _constants(mode: Mode, settings: Settings) -> Iterator[tuple[str, int | str]]:
    for taxonomy, prefix in (
        (FdType, "FD_TYPE"),
        (Door, "DOOR"),
        (Scope, "SCOPE"),
        (Account, "ACCOUNT"),
        (Loss, "LOSS"),
        (Birth, "BIRTH"),
        (Cause, "CAUSE"),
        (Passing, "PASSING"),
        (Stdio, "STDIO"),
        (Connection, "CONNECTION"),
        (DebugMethod, "DEBUG_METHOD"),
        (EventKind, "EVENT"),
        (EventCount, "EVENTS"),
    ):
        yield from taxonomy.constants(prefix)
    yield "KERNEL_SOCKET", KERNEL_SOCKET
    yield "NO_FD_TYPE", NO_FD_TYPE
    yield from ((f"{name.upper()}_ADDRESS", f"{n:#x}ULL") for name, n in maps.ADDRESSES.items())
    yield "NAME_PART_BYTES", records.NAME_PART_BYTES
    yield "NAME_PARTS", records.NAME_PARTS
    yield "PATH_STEPS", PATH_STEPS
    yield "PATH_TEXT_BYTES", records.PATH_TEXT_BYTES
    yield "LIST_ENTRIES", records.LIST_ENTRIES
    yield "LIST_STEPS", LIST_STEPS
    yield "TCP_LISTEN", TCP_LISTEN
    yield from ((f"NAME_{each.name}", each.value) for each in NameState)
    yield "NO_ARGUMENT", syscalls.NO_ARGUMENT
    yield "COMPAT_SLOTS", syscalls.COMPAT_SLOTS
    yield "SOCKETCALL_SLOTS", syscalls.SOCKETCALL_SLOTS
    yield "SOCKETCALL_NUMBER", syscalls.SOCKETCALL_NUMBER
    yield "MESSAGES_A_CALL", MESSAGES_A_CALL
    yield "AIO_EVENTS_A_CALL", AIO_EVENTS_A_CALL
    yield "FDS_A_CALL", FDS_A_CALL
    yield "CENSUS_FDS_A_CALL", CENSUS_FDS_A_CALL
    yield "FD_WALK_CALLS", FD_WALK_CALLS
    yield "FURTHER_WALKS", " ".join(f"ON_FURTHER({n})" for n in range(FURTHER_WALKS))
    yield "CONTROL_STEPS_A_CALL", CONTROL_STEPS_A_CALL
    for number, purpose in enumerate(("ACCOUNT", "FORK", "EXIT", "EXEC")):
        yield f"PURPOSE_{purpose}", number
    yield from ((f"WHEN_{when.name}", when.value) for when in syscalls.When)
    yield "FROM_ENTRY", syscalls.Followed.FROM_ENTRY.value
    yield "BPF_COMMANDS_OF_FDS", _cases(syscalls.BPF_COMMANDS)
    yield "IOCTLS_OF_FDS", _cases(syscalls.IOCTLS)
    yield "RLIMIT_NOFILE", resource.RLIMIT_NOFILE
    yield "PASSED_FDS_A_CALL", PASSED_FDS_A_CALL
    yield from ((f"TAIL_CALL_{tail.name}", tail.value) for tail in syscalls.TailCall)
    yield from ((f"CENSUS_CALL_{name}", n) for n, name in enumerate(maps.CENSUS_CALLS))
    yield "ACCOUNT_NONE", 0xFF
    yield from ((f"OPCODE_{name}", number) for name, number in IORING_RECEIVES.items())
    yield "IORING_READ_OPCODES", _cases(IORING_READ_OPCODES)
    yield "IORING_WRITE_OPCODES", _cases(IORING_WRITE_OPCODES)
    yield "IORING_OPENING_OPCODES", _cases(IORING_OPENING_OPCODES)
    for name, number in IOCB_COMMANDS.items():
        yield f"IOCB_CMD_{name}", number
    _, vias, fd_types, accounts = OVERFLOW_SHAPE
    yield "ACCOUNT_COUNT", accounts
    yield "FD_TYPE_COUNT", fd_types
    yield "VIA_COUNT", vias
    yield "COMM_BYTES", records.COMM_BYTES
    yield "CGROUPS_A_CALL", records.CGROUPS_A_CALL
    yield "TCP_STATE_MASK", records.TCP_STATES - 1
    yield "QUEUE_MASK", records.QUEUES - 1
    yield "UNNAMED_FILESYSTEMS", records.UNNAMED_FILESYSTEMS
    yield "PAGE_BYTES", resource.getpagesize()
    names = "EBADF EFAULT ENFILE EMFILE ENOSYS ENOTSOCK EALREADY EINPROGRESS"
    for name in names.split():
        yield name, getattr(errno, name)
    yield "UNKNOWN_ERRNO", UNKNOWN_ERRNO
    yield "TTY_MAJORS", _cases(tty_majors())
    yield f"MODE_{mode.name}", 1
    if bits := maps.cell_bits(settings):
        yield "CELL_BITS", bits
        yield "CELL_STRIPES", maps.cell_stripes()
        yield "COMPARE_AND_SWAP", instructions.COMPARE_AND_SWAP
    yield "LATENCY_STRIDE", LATENCY_STRIDE
    yield "LATENCY_LAST_BUCKET", LATENCY_LAST_BUCKET
    if settings.latency:
        yield "LATENCY", 1
        yield "LATENCY_SLOTS", LATENCY_SLOTS
    if settings.spotlight:
        yield "SPOTLIGHT", 1
    if settings.spotlight and settings.origins:
        yield "ORIGINS", 1
        yield "SAMPLE_PARTS", records.SAMPLE_PARTS
        yield "SAMPLE_PART_BYTES", records.SAMPLE_PART_BYTES
        yield "PYTHON_FRAMES", records.PYTHON_FRAMES
        yield "PYTHON_THREADS", records.PYTHON_THREADS
        yield "NO_FIELD", records.NO_FIELD
    if settings.journal:
        yield "JOURNAL", 1
        yield "EVENT_NONE", 0xFF
        yield "EVENT_PARENTS", records.EVENT_PARENTS
        yield "PATH_NAMES", records.PATH_NAMES
        yield "PATH_NAME_BYTES", records.PATH_NAME_BYTES
        yield "RECEIVED_FDS", records.RECEIVED_FDS
        yield "COMMAND_BYTES", records.COMMAND_BYTES
        yield "EVENTS_OF_PROCESS", EVENTS_OF_PROCESS
        yield "EVENTS_OF_CGROUP", EVENTS_OF_CGROUP
    if settings.stacks_every or settings.origins:
        yield "NO_STACK", records.NO_STACK
    if settings.stacks_every:
        yield "STACKS_EVERY", settings.stacks_every
        if settings.stacks_socket:
            yield "STACKS_SOCKET", settings.stacks_socket
    if settings.exclude_tgid is not None:
        yield "EXCLUDED_TGID", settings.exclude_tgid
    functions = table.programs(mode)
    yield "CALL_COUNT", len(functions)
    for number, function in enumerate(functions):
        yield f"CALL_{function}", number


def _casts(mode: Mode, btf: Btf | None) -> Iterator[tuple[str, int]]:
    """Of kernels where any address can be read by a load.

    Linux kernel commit a35b9af4ec2c ("bpf: Add a kfunc for generic type cast") (in v6.2)
    The large programs of tracepoint mode were verified with loads on Linux 6.18 only.
    """
    if btf is None or (mode is Mode.TRACEPOINT and not is_at_least(*_LOADS_IN_LARGE_PROGRAMS)):
        return
    cast, any_numbers = btf.function_id("bpf_rdonly_cast"), btf.struct_id("cpumask")
    if cast is not None and any_numbers is not None:
        yield "RDONLY_CAST", instructions.KERNEL_FUNCTION + cast
        yield "TYPE_cpumask", any_numbers


def loops(mode: Mode, btf: Btf | None) -> dict[str, int]:
    """What C needs for loops of any length; empty where they are not used.

    The programs read the memory of the kernel by loads in them.

    Linux kernel commit 6018e1f407cc ("bpf: implement numbers iterator") (in v6.4)
    """
    found: dict[str, int] = {}
    if not any(_casts(mode, btf)):
        return found
    for part in ("new", "next", "destroy"):
        number = btf.function_id(f"bpf_iter_num_{part}") if btf else None
        if number is None:
            return {}
        found[f"ITER_NUM_{part.upper()}"] = instructions.KERNEL_FUNCTION + number
    return found


def _session(btf: Btf) -> Iterator[tuple[str, int]]:
    """Of kernels with Linux kernel commit 535a3692ba72.

    ("bpf: Add support for kprobe session attach") (in v6.10).
    """
    cookie = btf.function_id("bpf_session_cookie")
    is_return = btf.function_id("bpf_session_is_return")
    if cookie is not None and is_return is not None:
        yield "SESSION_COOKIE", instructions.KERNEL_FUNCTION + cookie
        yield "SESSION_IS_RETURN", instructions.KERNEL_FUNCTION + is_return


def _kernel_constants(mode: Mode, btf: Btf) -> Iterator[tuple[str, int]]:
    if btf.has_function("bpf_get_current_task_btf"):
        yield "HAVE_TASK_BTF", 1
        if btf.has_function("bpf_task_pt_regs"):
            yield "HAVE_TASK_PT_REGS", 1
    yield from _casts(mode, btf)
    yield from loops(mode, btf).items()
    for function in table.programs(mode):
        yield f"ARITY_{function}", btf.arity(function) or 0
    yield "IO_URING_COMPLETE_ARITY", btf.tracepoint_arity("io_uring_complete") or 0


def _defines(constants: Iterator[tuple[str, int | str]] | Iterator[tuple[str, int]]) -> str:
    return "".join(f"#define {name} {value}\n" for name, value in constants)


def defines(mode: Mode, settings: Settings) -> str:
    """The constants that the C files of the mode share with Python, as ``#define`` lines."""
    return _defines(_constants(mode, settings))


def joined(name: str, done: set[str] | None = None) -> str:
    """The text of a C file of ``probes/bpf``, behind that of the C files it includes, each once.

    Not left to the compiler: BCC rewrites accesses to maps in the main text only.
    """
    done = set() if done is None else done
    if name in done:
        return ""
    done.add(name)
    text = (BPF_DIR / name).read_text()
    before = "".join(joined(included, done) for included in _INCLUDE.findall(text))
    return f'{before}#line 1 "{name}"\n{_INCLUDE.sub("", text)}'


def text(mode: Mode, settings: Settings, btf: Btf | None, by_fprobe: bool) -> str:
    """The whole C text.

    Without BTF the kernel's installed headers give the layouts; LayoutError if this kernel
    lacks a field that is needed.
    """
    if btf is None:
        kernel = '#include "core/kernel_headers.h"\n'
    else:
        kernel = _defines(_kernel_constants(mode, btf)) + struct_layouts.header(btf)
    preempted = preempts() and not by_fprobe
    return "\n".join(
        (
            "#include <uapi/linux/ptrace.h>",
            defines(mode, settings),
            _defines(_programs(mode, settings, btf, by_fprobe)),
            "#define BY_FPROBE 1\n" * by_fprobe,
            _defines(_session(btf)) if by_fprobe and btf else "",
            "#define PREEMPTED 1\n" * preempted,
            records.c_structs(),
            kernel,
            '#include "core/kernel.h"',
            '#include "core/fd_type.h"',
            '#include "core/loops.h"',
            '#include "core/walk_type.h"',
            '#include "spotlight/calls.h"',
            '#include "spotlight/describe.h"',
            maps.declarations(mode, settings, preempted, has_cells=any(_casts(mode, btf))),
            joined(PROGRAMS[mode]),
        )
    )
