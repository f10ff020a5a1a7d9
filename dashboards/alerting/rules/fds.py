# SPDX-License-Identifier: GPL-2.0-only
"""Alerts on open fds: leaks, limits, and sockets as a shell's stdio."""

from fdscope.dashboards.alerting.model import HOST, UNUSUAL, Alert, Record
from fdscope.dashboards.alerting.settings import Settings
from fdscope.dashboards.promql.selectors import differs, earlier, keep, like, one_of, select
from fdscope.exporter.catalog import fds

_OWNER = ("process", "pid", "unit")
_NAME = "on (job, instance, process)"


def _open_fds(least: int = 0) -> str:
    inner = select(fds.OPEN_FDS, pid=differs(""))
    total = keep("sum", fds.OPEN_FDS, _OWNER, inner)
    return f"{total} >= {least}" if least else total


def rules(settings: Settings) -> tuple[Record | Alert, ...]:
    """The alerts on open fds, and the record that they need."""
    many = Record(
        "instance_process_pid_unit:fdscope_open_fds:sum",
        _open_fds(settings.fd_leak.min_open),
        _OWNER,
    )
    return many, _leak(settings, many), _near_limit(settings), _host(settings), _stdio(settings)


def _leak(settings: Settings, many: Record) -> Alert:
    leak = settings.fd_leak
    long, short = select(many, leak.window), select(many, leak.short_window)
    expression = f"""\
predict_linear({long}, {leak.horizon.seconds:.0f}) > {fds.MAX_FDS.name}
and deriv({long}) > 0
and deriv({short}) > 0
and {many.name} - {earlier(many.name, leak.window)} >= {leak.min_growth}"""
    return Alert(
        "FdscopeFdLeak",
        "warning",
        expression,
        "The open file descriptors of a process grow towards its limit.",
        "{{ $labels.process }} (pid {{ $labels.pid }}{{ with $labels.unit }}, {{ . }}{{ end }}) on"
        f" {{{{ $labels.instance }}}} has opened more than it closed for"
        f" {leak.window}; at this pace it would hold {{{{ $value | humanize }}}} in {leak.horizon},"
        " which is past its limit.",
        UNUSUAL,
        _OWNER,
        leak.hold,
    )


def _near_limit(settings: Settings) -> Alert:
    limit = settings.fd_limit
    # Open fds can exceed a limit only if it was lowered afterwards, as sandboxed programs do.
    expression = f"""\
({_open_fds()} / ({fds.MAX_FDS.name} >= {limit.min_limit}) > {limit.ratio} <= 1)
or {_NAME} (
  ({fds.FD_LIMIT_RATIO.name} > {limit.ratio} <= 1)
  unless {_NAME} ({fds.MAX_FDS.name} < {limit.min_limit})
)"""
    return Alert(
        "FdscopeFdLimitNear",
        "critical",
        expression,
        "A process is about to run out of file descriptors.",
        "{{ $labels.process }} {{ with $labels.pid }}(pid {{ . }}) {{ end }}on"
        " {{ $labels.instance }} has {{ $value | humanizePercentage }} of the file descriptors"
        " open that its limit allows (RLIMIT_NOFILE). At the limit, open, socket and accept fail.",
        HOST,
        _OWNER,
        limit.hold,
    )


def _host(settings: Settings) -> Alert:
    files = settings.host_files
    return Alert(
        "FdscopeHostFilesNearLimit",
        "critical",
        f"{fds.HOST_FILES.name} / {fds.HOST_MAX_FILES.name} > {files.ratio}",
        "The host is about to run out of open files.",
        "{{ $labels.instance }} has {{ $value | humanizePercentage }} of the open files that"
        " fs.file-max allows. At the limit, every process fails to open anything.",
        HOST,
        hold=files.hold,
    )


def _stdio(settings: Settings) -> Alert:
    kept = (*_OWNER, "fd_type")
    states = select(
        fds.STDIO_FDS,
        process=like(settings.stdio.processes),
        fd_type=one_of(settings.stdio.fd_types),
    )
    allowed = select(fds.STDIO_FDS, process=like(settings.allowed.stdio_processes))
    units = select(fds.STDIO_FDS, unit=like(settings.allowed.stdio_units))
    unless = f"{states} == 1 unless {allowed} unless {units}"
    return Alert(
        "FdscopeShellStdioIsSocket",
        "critical",
        keep("max", fds.STDIO_FDS, kept, unless),
        "A shell or interpreter has a network socket as standard input or output.",
        "{{ $labels.process }} (pid {{ $labels.pid }}{{ with $labels.unit }}, {{ . }}{{ end }}) on"
        " {{ $labels.instance }} has a {{ $labels.fd_type }} socket on fd 0, 1 or 2: what a"
        " reverse shell looks like. Somebody on the network may be typing its commands.",
        UNUSUAL,
        kept,
    )
