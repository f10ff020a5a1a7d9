# SPDX-License-Identifier: GPL-2.0-only
"""Attaches the programs in the first mode that works, in a process of its own.

It is a child process of ``probes.attach.launch``, hands the open maps and links over to it through
a socket and ends: the compiler's memory ends with it, and what is attached ends with the process
that holds the links.
"""

import json
import os
import socket
import sys
from dataclasses import asdict, dataclass, field

from fdscope.probes.attach import preflight
from fdscope.probes.attach.attacher import Attacher
from fdscope.probes.attach.compiler import LoadError, import_bcc
from fdscope.probes.attach.settings import Settings
from fdscope.probes.hooks import table
from fdscope.probes.hooks.table import Point
from fdscope.probes.kernel.btf import Btf, BtfError
from fdscope.probes.kernel.limits import reason
from fdscope.probes.schema.taxonomy import Mode


@dataclass
class Report:
    """What came of the attach: plain values that go through JSON."""

    mode: str = ""
    bcc: str = ""
    """Version of the compiler."""
    layouts: str = "btf"
    """``btf``, or why there is none: the kernel's installed headers are taken then."""
    hooks: list[dict[str, str]] = field(default_factory=list)
    refused: list[dict[str, str]] = field(default_factory=list)
    """The modes that were tried before, each with the reason."""
    programs: list[str] = field(default_factory=list)
    open_files: int = 0
    """Number of descriptors that follow: of the maps, the programs, then the links."""
    error: str = ""


def attach(
    mode: Mode, settings: Settings, btf: Btf | None, no_btf: str
) -> tuple[Attacher, list[dict[str, str]]]:
    """Attach all hooks of a mode; LoadError if a required one is refused.

    ``no_btf`` says why there is no ``btf``.
    """
    if why := preflight.why_not(mode, btf, no_btf):
        raise LoadError(why)
    attacher = Attacher(mode, settings, btf)
    attacher.fill_syscalls()
    chosen = table.chosen(mode, attacher.has)
    # What tells that the mode cannot be used comes before what only takes time.
    decisive = [hook for hook in chosen if hook.required and hook.point is Point.RETURN]
    hooks = [attacher.attach(hook) for hook in decisive]
    hooks += attacher.load_tail_calls()
    hooks += attacher.load_on_demand()
    hooks += [attacher.attach(hook) for hook in chosen if hook not in decisive]
    return attacher, hooks


def load(modes: list[Mode], settings: Settings) -> tuple[Report, list[int]]:
    """Attach in the first mode that works; the report has ``error`` set if none does."""
    report = Report()
    btf = None
    try:
        btf = Btf.read()
    except BtfError as error:
        report.layouts = str(error)
    for mode in modes:
        try:
            attacher, report.hooks = attach(mode, settings, btf, report.layouts)
        except LoadError as error:
            report.refused.append({"mode": mode.value, "why": str(error)})
            continue
        report.mode = mode.value
        report.bcc = import_bcc().__version__
        report.programs, fds = attacher.open_files()
        report.open_files = len(fds)
        return report, fds
    report.error = "; ".join(f"{entry['mode']}: {entry['why']}" for entry in report.refused)
    return report, []


def main(request: str, channel: str) -> None:
    """Answer one request of ``probes.attach.launch``, through the socket with this descriptor."""
    wanted = json.loads(request)
    modes = [Mode(mode) for mode in wanted["modes"]]
    fds: list[int] = []
    try:
        report, fds = load(modes, Settings(**wanted["settings"]))
    except (OSError, MemoryError) as error:
        report = Report(error=reason(error))
    with socket.socket(fileno=int(channel)) as peer:
        payload = json.dumps(asdict(report)).encode()
        peer.sendall(len(payload).to_bytes(4, "little") + payload)
        for fd in fds:
            socket.send_fds(peer, [b"f"], [fd])
    # Not sys.exit(): bcc would detach at exit what now belongs to the receiver.
    sys.stderr.flush()
    os._exit(0)
