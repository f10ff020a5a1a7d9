# SPDX-License-Identifier: GPL-2.0-only
"""Alerts on open fds: the files of the host, and sockets as a shell's stdio."""

from fdscope.dashboards.alerting.model import HOST, UNUSUAL, Alert
from fdscope.dashboards.alerting.settings import Settings
from fdscope.dashboards.promql.selectors import keep, like, one_of, select
from fdscope.exporter.catalog import fds

_OWNER = ("process", "pid", "unit")


def alerts(settings: Settings) -> tuple[Alert, Alert]:
    """The alert on the files of the host, and that on stdio."""
    return _host(settings), _stdio(settings)


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
