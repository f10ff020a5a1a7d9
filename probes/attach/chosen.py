# SPDX-License-Identifier: GPL-2.0-only
"""The hooks of a mode that this kernel has: these are compiled, and attached."""

from functools import cache
from pathlib import Path

from fdscope.probes.attach import kprobe_multi
from fdscope.probes.hooks import table
from fdscope.probes.hooks.table import WITHOUT_FUNCTION, Hook, Point
from fdscope.probes.kernel.btf import Btf
from fdscope.probes.schema.taxonomy import Mode

_KALLSYMS = Path("/proc/kallsyms")


@cache
def _symbols() -> frozenset[str]:
    with _KALLSYMS.open() as lines:
        return frozenset(line.split()[2] for line in lines)


def has(hook: Hook, btf: Btf | None, avoid: tuple[str, ...]) -> bool:
    """True if this kernel has the function or tracepoint, and it is not to be avoided."""
    if hook.function in avoid:
        return False
    if hook.point is Point.RAW_TRACEPOINT:
        if btf is None:
            return f"__traceiter_{hook.function}" in _symbols()
        arity = btf.tracepoint_arity(hook.function)
        return arity is not None and (not hook.arities or arity in hook.arities)
    if btf is None:
        return hook.function in _symbols()
    return btf.has_function(hook.function)


def hooks(mode: Mode, btf: Btf | None, avoid: tuple[str, ...]) -> list[Hook]:
    """Those to attach, also what the kernel lacks and has no alternative to."""
    return table.chosen(mode, lambda hook: has(hook, btf, avoid))


def is_function(hook: Hook, btf: Btf | None) -> bool:
    """True for a tracepoint that ``kprobe_multi`` hooks by its function."""
    if btf is None or hook.point is not Point.RAW_TRACEPOINT or hook.function in WITHOUT_FUNCTION:
        return False
    arity = btf.tracepoint_arity(hook.function) or 0
    return arity <= kprobe_multi.MOST_TRACEPOINT_ARGUMENTS
