# SPDX-License-Identifier: GPL-2.0-only
"""Instructions of an operation, in a guest whose clock counts them: see ``make vm-bench``.

Run with nothing attached, with the least that a program on the same hooks costs, and with fdscope.
"""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from fdscope.probes.attach.compiler import import_bcc
from fdscope.probes.attach.settings import Settings
from fdscope.probes.attach.source import STUB_DIR
from fdscope.probes.read.session import attach
from fdscope.probes.schema.taxonomy import Mode
from tests.scorecard.programs import BUILT
from tests.scorecard.served import forget_ended

_EMPTY = """
static int hit(void)
{
	return 0;
}
"""
_HASH = """
BPF_PERCPU_HASH(cells, u64, u64, 10240);
static int hit(void)
{
	u64 key = bpf_get_current_pid_tgid(), one = 1, *cell = cells.lookup(&key);

	if (cell)
		*cell += 1;
	else
		cells.update(&key, &one);
	return 0;
}
"""
_FUNCTIONS = ("vfs_read", "vfs_write", "vfs_writev", "__sys_sendto", "__sys_recvfrom")
_SOCKET_TRACEPOINTS = ("sock_send_length", "sock_recv_length")
_KFUNC = "KRETFUNC_PROBE({0}) {{ return hit(); }}\n"
_KPROBE = (
    "int kprobe__{0}(void *ctx) {{ return hit(); }}\n"
    "int kretprobe__{0}(void *ctx) {{ return hit(); }}\n"
)
_TRACEPOINT = "int on_{0}(struct bpf_raw_tracepoint_args *ctx) {{ return hit(); }}\n"


Tidy = Callable[[], None]
"""What runs between two measurements."""


def _not_needed() -> None:
    """Programs that keep nothing of processes."""


@contextmanager
def _nothing(mode: Mode) -> Iterator[Tidy]:  # noqa: ARG001 # same form as the others
    yield _not_needed


@contextmanager
def _floor(body: str, mode: Mode) -> Iterator[Tidy]:
    """The program ``body`` on the hooks that fdscope uses for the operations, by BCC."""
    os.environ["BCC_KERNEL_SOURCE"] = str(STUB_DIR)
    tracepoints = [*_SOCKET_TRACEPOINTS]
    text = "#include <uapi/linux/ptrace.h>\n" + body
    if mode is Mode.TRACEPOINT:
        tracepoints += ["sys_enter", "sys_exit"]
    else:
        form = _KFUNC if mode is Mode.FENTRY else _KPROBE
        text += "".join(map(form.format, _FUNCTIONS))
    text += "".join(map(_TRACEPOINT.format, tracepoints))
    bpf = import_bcc().BPF(text=text.encode())
    for name in tracepoints:
        bpf.attach_raw_tracepoint(tp=name.encode(), fn_name=f"on_{name}".encode())
    try:
        yield _not_needed
    finally:
        bpf.cleanup()


@contextmanager
def _fdscope(settings: Settings, mode: Mode) -> Iterator[Tidy]:
    session = attach([mode], settings)
    try:
        yield partial(forget_ended, session)  # else those that were forked hold all cells
    finally:
        session.close()


_STATES: dict[str, Callable[[Mode], AbstractContextManager[Tidy]]] = {
    "nothing": _nothing,
    "empty": partial(_floor, _EMPTY),
    "hash": partial(_floor, _HASH),
    "fdscope": partial(_fdscope, Settings()),
    "latency": partial(_fdscope, Settings(latency=True)),
}


def _measured(tidy: Tidy) -> dict[str, float]:
    """Instructions by operation; those with a second thread end in `` +t``."""
    found = {}
    for arguments, suffix in (([], ""), (["threads"], " +t")):
        command = [str(BUILT / "operations"), *arguments]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        tidy()
        for line in output.splitlines():
            name, ticks = line.split()
            found[name + suffix] = float(ticks)
    return found


def main() -> None:
    """Measure the states that FDSCOPE_BENCH_STATES names, all by default, and write a report."""
    mode = Mode(os.environ["FDSCOPE_ATTACH_MODE"])
    wanted = os.environ.get("FDSCOPE_BENCH_STATES", ",".join(_STATES)).split(",")
    found = {}
    for name in wanted:
        with _STATES[name](mode) as tidy:
            found[name] = _measured(tidy)
    report = Path(os.environ["FDSCOPE_REPORTS"]) / "instructions.json"
    report.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
