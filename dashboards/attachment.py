# SPDX-License-Identifier: GPL-2.0-only
"""How fdscope hangs on the kernel, and what the kernel did not let it see."""

from dashboards import style
from dashboards.panels import Stat
from dashboards.promql import select, total
from dashboards.queries import instant
from exporter.catalog import itself as catalog


def attach_mode(width: int, rows: int) -> Stat:
    """The mode of each instance."""
    return Stat(
        title="Attach mode",
        description="How fdscope hangs on the kernel: programs on its functions (fentry or kprobe),"
        " or, where neither works, on the tracepoints of all system calls. It takes the best that"
        " works: first fentry, but first kprobe where tasks preempt the kernel (preempt=full or"
        " lazy, and always since Linux 7.0), for there the kernel skips runs of the others.",
        targets=[instant(f"{total(catalog.ATTACH_MODE, by=('mode',))} > 0", "{{mode}}")],
        options={"textMode": "value_and_name", "text": style.SMALL},
        unit="suffix: instance(s)",
        thresholds=style.thresholds((style.BLUE, None)),
        empty="no exporter answers",
        width=width,
        rows=rows,
    )


def missed_runs(width: int, rows: int) -> Stat:
    """Runs that the kernel skipped, since the start."""
    return Stat(
        title="Missed runs",
        description="Runs of BPF programs that the kernel skipped since the exporter started,"
        " because the program ran already on that CPU (in kprobe mode: because another did, or a"
        " task was in the middle of reading or writing a BPF map). What they would have counted is"
        " missing. A few are chance; many come where tasks preempt the kernel, unless in kprobe"
        " mode, or with other tracers. The panel below names the programs. Before Linux 6.7 the"
        " kernel does not count what it skips in kprobe mode: there 0 means nothing.",
        targets=[instant(f"sum({select(catalog.PROBE_MISSED_RUNS)})")],
        thresholds=style.thresholds((style.GOOD, None), (style.WATCH, 1)),
        empty="no exporter answers",
        width=width,
        rows=rows,
    )
