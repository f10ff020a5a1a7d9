# SPDX-License-Identifier: GPL-2.0-only
"""Programs of kprobe mode load also where they cannot be attached: a kernel without kprobes."""

import pytest

from fdscope.probes.attach import chosen
from fdscope.probes.attach.compiler import compiled
from fdscope.probes.attach.programs import Programs
from fdscope.probes.attach.settings import Settings
from fdscope.probes.attach.source import FURTHER_WALKS
from fdscope.probes.hooks.syscalls import IN_ALL_MODES
from fdscope.probes.hooks.table import Hook, Point
from fdscope.probes.kernel.btf import Btf
from fdscope.probes.kernel.libbpf import ProgramKind
from fdscope.probes.schema.taxonomy import Mode

# Where kprobe mode attaches, other tests load them.
pytestmark = pytest.mark.native


def programs(hook: Hook) -> list[str]:
    """Names of the programs of a hook."""
    entry, at_return = f"enter_{hook.program}", f"return_{hook.program}"
    return {
        Point.RAW_TRACEPOINT: [f"on_{hook.function}"],
        Point.ENTRY: [entry],
        Point.RESULT: [at_return],
    }.get(hook.point, [entry, at_return])


@pytest.mark.parametrize(
    "settings", [Settings(), Settings(latency=True, stacks_every=1, journal=True)]
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
    for tail in IN_ALL_MODES:
        loaded.load(f"on_{tail.name.lower()}", ProgramKind.RAW_TRACEPOINT)
    for event in ("sched_process_fork", "sched_process_exit"):
        for part in (0, FURTHER_WALKS - 1, "end"):
            loaded.load(f"on_{event}_{part}", ProgramKind.RAW_TRACEPOINT)
    loaded.close()
