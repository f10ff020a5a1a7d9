# SPDX-License-Identifier: GPL-2.0-only
"""The verifier accepts all programs, with room: of each attach mode, and with all that is optional.

Programs of kprobe mode load also where they cannot be attached: a kernel without kprobes.
"""

from dataclasses import replace

import pytest

from fdscope.probes.attach import chosen, source
from fdscope.probes.attach.compiler import compiled
from fdscope.probes.attach.programs import Programs
from fdscope.probes.attach.report import State
from fdscope.probes.attach.settings import Settings
from fdscope.probes.hooks.syscalls import WALKS
from fdscope.probes.hooks.table import Hook, Point
from fdscope.probes.kernel.btf import Btf
from fdscope.probes.kernel.libbpf import ProgramKind
from fdscope.probes.kernel.limits import is_at_least
from fdscope.probes.read.session import Session
from fdscope.probes.schema.taxonomy import Mode
from tests.kernel.conftest import ROOMY, attached_with

MOST_VERIFIED = 1_000_000
"""include/linux/bpf.h: BPF_COMPLEXITY_LIMIT_INSNS"""
ALL_OF_IT = replace(ROOMY, latency=True, stacks_every=1, journal=True, spotlight=True, origins=True)


def too_large(session: Session) -> dict[str, int]:
    """Programs for which the verifier processed more than half of what it may; by their name."""
    verified = session.statistics("verified_insns")
    # Linux kernel commit aba64c7da983 ("bpf: Add verified_insns to bpf_prog_info and fdinfo")
    # (in v5.16)
    assert not is_at_least(5, 16) or min(verified.values()) > 0
    return {name: count for name, count in verified.items() if count > MOST_VERIFIED / 2}


def test_half_of_the_verifiers_limit_is_left(session: Session) -> None:
    assert not too_large(session)


def failed(session: Session) -> list[str]:
    """Hooks and tail calls that the kernel refuses."""
    return [hook.function for hook in session.report.hooks if hook.state is State.FAILED]


def test_also_with_all_that_is_optional(session: Session) -> None:
    with attached_with(ALL_OF_IT) as with_all:
        assert not too_large(with_all)
        assert failed(with_all) == failed(session)


def programs(hook: Hook) -> list[str]:
    """Names of the programs of a hook."""
    entry, at_return = f"enter_{hook.program}", f"return_{hook.program}"
    return {
        Point.RAW_TRACEPOINT: [f"on_{hook.function}"],
        Point.ENTRY: [entry],
        Point.RESULT: [at_return],
    }.get(hook.point, [entry, at_return])


@pytest.mark.native  # where kprobe mode attaches, the tests above load them
@pytest.mark.parametrize(
    "settings",
    [
        Settings(),
        Settings(latency=True, stacks_every=1, journal=True),
        Settings(spotlight=True, origins=True),
    ],
)
def test_every_program_of_kprobe_mode(settings: Settings) -> None:
    btf = Btf.read()
    loaded = Programs(compiled(Mode.KPROBE, settings, btf, by_fprobe=False))
    for hook in chosen.hooks(Mode.KPROBE, btf, settings.avoid):
        if not chosen.has(hook, btf, settings.avoid):
            continue
        is_tracepoint = hook.point is Point.RAW_TRACEPOINT
        kind = ProgramKind.RAW_TRACEPOINT if is_tracepoint else ProgramKind.KPROBE
        for name in programs(hook):
            loaded.load(name, kind)
    if not source.loops(Mode.KPROBE, btf):
        for tail in WALKS:
            loaded.load(f"on_{tail.name.lower()}", ProgramKind.RAW_TRACEPOINT)
    for event in ("sched_process_fork", "sched_process_exit"):
        for name in source.further(event, Mode.KPROBE, btf):
            loaded.load(f"on_{name}", ProgramKind.RAW_TRACEPOINT)
    loaded.close()
