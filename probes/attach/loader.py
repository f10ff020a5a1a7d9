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

from fdscope.probes.attach import chosen, preflight
from fdscope.probes.attach.attacher import Attacher
from fdscope.probes.attach.compiler import LoadError
from fdscope.probes.attach.report import HookStatus, Refused, Report
from fdscope.probes.attach.settings import Settings
from fdscope.probes.hooks.table import Point
from fdscope.probes.kernel.btf import Btf, BtfError
from fdscope.probes.kernel.limits import reason
from fdscope.probes.schema.taxonomy import Mode


def attach(
    mode: Mode, settings: Settings, btf: Btf | None, no_btf: str
) -> tuple[Attacher, list[HookStatus]]:
    """Attach all hooks of a mode; LoadError if a required one is refused.

    ``no_btf`` says why there is no ``btf``.
    """
    if why := preflight.why_not(mode, btf, no_btf):
        raise LoadError(why)
    attacher = Attacher(mode, settings, btf)
    attacher.fill_syscalls()
    wanted = chosen.hooks(mode, btf, settings.avoid)
    # First those that can show that the mode does not work: the rest only takes time.
    decisive = [hook for hook in wanted if hook.required and hook.point is Point.RETURN]
    hooks = [attacher.attach(hook) for hook in decisive]
    hooks += attacher.load_tail_calls()
    hooks += attacher.load_on_demand()
    hooks += [attacher.attach(hook) for hook in wanted if hook not in decisive]
    return attacher, hooks


def load(modes: list[Mode], settings: Settings) -> tuple[Report, list[int]]:
    """Attach in the first mode that works; the report has ``error`` set if none does."""
    btf, layouts = None, "btf"
    try:
        btf = Btf.read()
    except BtfError as error:
        layouts = str(error)
    refused: list[Refused] = []
    for mode in modes:
        try:
            attacher, hooks = attach(mode, settings, btf, layouts)
        except LoadError as error:
            refused.append(Refused(mode.value, str(error)))
            continue
        programs, fds = attacher.open_files()
        report = Report(
            mode.value, attacher.compiler, layouts, hooks, refused, programs, len(fds),
            origin=attacher.origin, map_bytes=attacher.map_bytes(),
        )  # fmt: skip
        return report, fds
    why = "; ".join(f"{each.mode}: {each.why}" for each in refused)
    return Report(layouts=layouts, refused=refused, error=why), []


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
        payload = report.to_json()
        peer.sendall(len(payload).to_bytes(4, "little") + payload)
        for fd in fds:
            socket.send_fds(peer, [b"f"], [fd])
    # Not sys.exit(): bcc would detach at exit what now belongs to the receiver.
    sys.stderr.flush()
    os._exit(0)
