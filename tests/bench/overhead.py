# SPDX-License-Identifier: GPL-2.0-only
"""Nanoseconds that fdscope adds to a one-byte read and write.

Three states alternate: nothing attached, fdscope, and a program that increments one cell of a
per-CPU array on each hook that fdscope uses for these calls. Each figure is the median over the
rounds; the ratio of the times that the latter two add is what counts.
"""

import os
import statistics
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fdscope.probes.attach.compiler import import_bcc
from fdscope.probes.attach.settings import Settings
from fdscope.probes.attach.source import STUB_DIR
from fdscope.probes.read.session import attach
from fdscope.probes.schema.taxonomy import Mode

_INCREMENT = """
BPF_PERCPU_ARRAY(cells, u64, 1);
static int increment(void)
{
	u32 zero = 0;
	u64 *cell = cells.lookup(&zero);

	if (cell)
		__sync_fetch_and_add(cell, 1);
	return 0;
}
"""

_HOOKS = {
    Mode.TRACEPOINT: """
int on_sys_enter(struct bpf_raw_tracepoint_args *ctx) { return increment(); }
int on_sys_exit(struct bpf_raw_tracepoint_args *ctx) { return increment(); }
""",
    Mode.FENTRY: """
KRETFUNC_PROBE(vfs_read) { return increment(); }
KRETFUNC_PROBE(vfs_write) { return increment(); }
""",
    Mode.KPROBE: """
int kprobe__vfs_read(void *ctx) { return increment(); }
int kretprobe__vfs_read(void *ctx) { return increment(); }
int kprobe__vfs_write(void *ctx) { return increment(); }
int kretprobe__vfs_write(void *ctx) { return increment(); }
""",
}

Times = tuple[float, float]
"""Nanoseconds of a read and of a write."""


def compiled(directory: Path) -> Path:
    """The workload program, built into the directory."""
    program = directory / "one_byte"
    source = Path(__file__).with_name("one_byte.c")
    subprocess.run(["gcc", "-O2", "-pthread", "-o", program, source], check=True)
    return program


def measure(program: Path, threads: bool) -> Times:
    """One run of the workload."""
    command = [str(program), *(["threads"] if threads else [])]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    read, write = map(float, output.split())
    return read, write


@contextmanager
def nothing(mode: Mode) -> Iterator[None]:  # noqa: ARG001 # same form as the others
    """No probes."""
    yield


@contextmanager
def fdscope(mode: Mode) -> Iterator[None]:
    """All of fdscope's probes."""
    session = attach([mode], Settings())
    try:
        yield
    finally:
        session.close()


@contextmanager
def increment(mode: Mode) -> Iterator[None]:
    """One map increment on each of the hooks."""
    os.environ["BCC_KERNEL_SOURCE"] = str(STUB_DIR)
    text = "#include <uapi/linux/ptrace.h>\n" + _INCREMENT + _HOOKS[mode]
    bpf = import_bcc().BPF(text=text.encode())
    if mode is Mode.TRACEPOINT:
        for name in (b"sys_enter", b"sys_exit"):
            bpf.attach_raw_tracepoint(tp=name, fn_name=b"on_" + name)
    try:
        yield
    finally:
        bpf.cleanup()


STATES = {"nothing": nothing, "increment": increment, "fdscope": fdscope}


def overhead(mode: Mode, directory: Path, rounds: int) -> list[str]:
    """Markdown rows: workload, ns without, ns added by each, ratio."""
    program = compiled(directory)
    found: dict[tuple[str, bool], list[Times]] = {}
    for _ in range(rounds):
        for name, state in STATES.items():
            with state(mode):
                for threads in (False, True):
                    found.setdefault((name, threads), []).append(measure(program, threads))
    rows = []
    for threads in (False, True):
        for column, operation in enumerate(("read", "write")):
            plain, one, ours = (
                statistics.median(times[column] for times in found[name, threads])
                for name in STATES
            )
            ratio = (ours - plain) / (one - plain)
            rows.append(
                f"| {operation}, {'two threads' if threads else 'one thread'} | {plain:.0f} |"
                f" {one - plain:.0f} | {ours - plain:.0f} | {ratio:.2f} |"
            )
    return rows
