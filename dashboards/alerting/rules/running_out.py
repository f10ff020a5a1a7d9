# SPDX-License-Identifier: GPL-2.0-only
"""Alerts on processes that run out of fds: before it, when calls are refused, and again and again.

The pace of a process is the least of its paces in the steps of a window. A pool that has filled, a
burst that is over and a log rotation have a step without growth, so they have no pace.
"""

from collections.abc import Iterable

from fdscope.dashboards.alerting.duration import Duration, duration
from fdscope.dashboards.alerting.model import HOST, UNUSUAL, Alert, Record
from fdscope.dashboards.alerting.rules.rates import increase
from fdscope.dashboards.alerting.settings import Pace, Settings
from fdscope.dashboards.promql.selectors import differs, earlier, keep, one_of, select, unlike
from fdscope.exporter.catalog import fds

_OWNER = ("process", "pid", "unit")
_NAME = "on (job, instance, process)"
_PROGRAM = "on (job, instance, process, unit)"
_LEVEL = "instance_process_pid_unit"
_WORTH_A_RECORD = 0.25
"""Share of its limit from which on the history of a process is kept."""
_GROWN = 0.1
"""Growth, as a share of the limit, of a process that has not been at its limit all the time."""
_STEADY = 2
"""Mean pace, in least paces, up to which growth is steady."""
_ONE = (
    "{{ $labels.process }} (pid {{ $labels.pid }}{{ with $labels.unit }}, {{ . }}{{ end }}) on"
    " {{ $labels.instance }}"
)

_FIND = " `sudo fdscope leaks {{ $labels.pid }}` shows the code that opens them."
# A process chooses its name: it must not become part of a command that somebody copies.
_FIND_BY_NAME = " `sudo fdscope leaks PID` shows the code that opens them."
_FIND_IF_PID = (
    " `sudo fdscope leaks {{ with $labels.pid }}{{ . }}{{ else }}PID{{ end }}` shows the code that"
    " opens them."
)


def _open_fds() -> str:
    return keep("sum", fds.OPEN_FDS, _OWNER, select(fds.OPEN_FDS, pid=differs("")))


def _many(settings: Settings) -> Record:
    least = settings.fd_leak.min_open
    return Record(f"{_LEVEL}:fdscope_open_fds:sum", f"{_open_fds()} >= {least}", _OWNER)


def _share(settings: Settings, many: Record) -> Record:
    share = f"{many.name} / ({fds.MAX_FDS.name} >= {settings.fd_limit.min_limit})"
    return Record(f"{_LEVEL}:fdscope_fd_limit_ratio:max", f"{share} > {_WORTH_A_RECORD}", _OWNER)


def _pace(many: Record, window: Duration, step: Duration, lowest: bool = False) -> Record:
    """Fds per second in the step that grew least.

    ``lowest``: compare the lowest numbers of the steps, not those at their ends.
    """
    seconds = step.seconds
    level = f"min_over_time({select(many, step)}" if lowest else many.name

    def at(back: float) -> str:
        then = earlier(level, duration(back)) if back else level
        return f"{then})" if lowest else then

    steps = [
        f'label_replace({at(n * seconds)} - {at((n + 1) * seconds)}, "step", "{n}", "", "")'
        for n in range(max(1, round(window.seconds / seconds)))
    ]
    growth = "min without (step) (\n  " + "\n  or ".join(steps) + "\n)"
    kind = "low" if lowest else "min"
    return Record(
        f"{_LEVEL}:fdscope_open_fds:rate{step}_{kind}{window}",
        f"{growth} / {seconds:g} > 0",
        _OWNER,
    )


def _left(many: Record, pace: str, window: Duration, most: float) -> str:
    """Seconds until the limit at this pace, if no more than ``most``.

    Nothing for growth that is not steady: the mean of the paces is far above the least.
    """
    free = f"({fds.MAX_FDS.name} - {many.name})"
    grown = f"{many.name} - {earlier(many.name, window)}"
    return f"""\
  {free} / {pace} >= 0 < {most:g}
  and {grown} <= {_STEADY * window.seconds:g} * {pace}"""


def _paces(settings: Settings, many: Record) -> tuple[Record, Record]:
    soon = settings.fd_limit_soon
    return (
        _pace(many, soon.fast.window, soon.fast.step),
        _pace(many, soon.steady.window, soon.steady.step),
    )


def _leak_pace(settings: Settings, many: Record) -> Record:
    return _pace(many, settings.fd_leak.window, settings.fd_leak.short_window)


def _slow_pace(settings: Settings, many: Record) -> Record:
    return _pace(many, settings.fd_leak.slow_window, settings.fd_leak.slow_step, lowest=True)


def fast(settings: Settings) -> Iterable[Record | Alert]:
    """What must come before a limit that is minutes away: it is evaluated most often."""
    many = _many(settings)
    paces = _paces(settings, many)
    return many, _share(settings, many), *paces, _soon(settings, many, paces), _refused(settings)


def rules(settings: Settings) -> Iterable[Record | Alert]:
    """What is hours away, and what is near for minutes."""
    many = _many(settings)
    return _leak_pace(settings, many), _leak(settings, many), _near_limit(settings)


def rarely(settings: Settings) -> Iterable[Record | Alert]:
    """What takes hours, or many lives of a process, to see."""
    return _slow_pace(settings, _many(settings)), _restarts(settings)


def _soon(settings: Settings, many: Record, paces: tuple[Record, Record]) -> Alert:
    soon, limit = settings.fd_limit_soon, fds.MAX_FDS.name

    def reached(pace: Pace, record: Record) -> str:
        ahead = f"{many.name} + {pace.ahead.seconds:g} * {record.name}"
        return f"""\
(
{_left(many, record.name, pace.window, pace.left.seconds)}
  and {ahead} > {soon.ratio:g} * ({limit} >= {settings.fd_limit.min_limit})
)"""

    expression = " or ".join(map(reached, (soon.fast, soon.steady), paces))
    return Alert(
        "FdscopeFdLimitSoon",
        "critical",
        expression,
        "A process runs out of file descriptors within minutes.",
        f"{_ONE} opens more than it closes without a pause. At this pace it reaches its limit"
        " (RLIMIT_NOFILE) in {{ $value | humanizeDuration }}; then open, socket and accept fail."
        + _FIND,
        UNUSUAL,
        _OWNER,
    )


def _refused(settings: Settings) -> Alert:
    labels, window = ("process", "unit", "errno"), settings.fd_refused.window
    full = {"errno": one_of(("EMFILE", "ENFILE"))}
    strangers = unlike(settings.allowed.fd_refused)
    refused = increase(fds.FD_REFUSALS, labels, window, process=strangers, **full)
    low = f"{fds.MAX_FDS.name} < {settings.fd_limit.min_limit}"
    return Alert(
        "FdscopeFdRefused",
        "critical",
        f"{refused} > 0\nunless {_NAME} ({low})",
        "Calls fail because no file descriptor is free.",
        "{{ $labels.process }}{{ with $labels.unit }} ({{ . }}){{ end }} on {{ $labels.instance }}:"
        f" {{{{ $value | humanize }}}} calls were refused in the last {window}"
        " ({{ $labels.errno }}). EMFILE is the limit of the process (RLIMIT_NOFILE), ENFILE that of"
        " the host (fs.file-max). The process may have ended since." + _FIND_BY_NAME,
        UNUSUAL,
        labels,
    )


def _restarts(settings: Settings) -> Alert:
    restarts = settings.fd_leak_restarts
    share = _share(settings, _many(settings))
    past = select(share, restarts.window)
    full = f"last_over_time({past})"
    refused = select(fds.FD_REFUSALS, errno="EMFILE", process=unlike(settings.allowed.fd_refused))
    ended = f"""\
count without (pid) (
  {full} > {restarts.ratio:g}
  and {full} - min_over_time({past}) > {_GROWN}
  unless {fds.MAX_FDS.name}
)"""
    return Alert(
        "FdscopeFdLeakRestarts",
        "warning",
        f"""\
{ended} >= {restarts.times}
and {_PROGRAM} {fds.MAX_FDS.name}
and {_PROGRAM} {refused} > 0""",
        "A program runs out of file descriptors, ends and starts again.",
        "{{ $value }} processes of {{ $labels.process }}{{ with $labels.unit }} ({{ . }}){{ end }}"
        f" on {{{{ $labels.instance }}}} ended in the last {restarts.window} with their file"
        " descriptors used up, and it runs again: a leak that each restart hides." + _FIND_BY_NAME,
        UNUSUAL,
        ("process", "unit"),
    )


def _leak(settings: Settings, many: Record) -> Alert:
    leak = settings.fd_leak
    horizon = leak.horizon.seconds
    found = duration(2 * settings.evaluation.history_interval.seconds)
    slow = f"last_over_time({select(_slow_pace(settings, many), found)})"

    def grown(window: Duration) -> str:
        return f"{many.name} - {earlier(many.name, window)} >= {leak.min_growth}"

    expression = f"""\
(
{_left(many, _leak_pace(settings, many).name, leak.window, horizon)}
  and {grown(leak.window)}
  and {many.name} > {earlier(many.name, leak.hold)}
) or (
{_left(many, slow, leak.slow_window, horizon)}
  and {grown(leak.slow_window)}
)"""
    return Alert(
        "FdscopeFdLeak",
        "warning",
        expression,
        "The open file descriptors of a process grow towards its limit.",
        f"{_ONE} has opened more than it closed for {leak.window} or longer; at this pace it"
        " reaches its limit (RLIMIT_NOFILE) in {{ $value | humanizeDuration }}." + _FIND,
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
        " open that its limit allows (RLIMIT_NOFILE). At the limit, open, socket and accept fail."
        + _FIND_IF_PID,
        HOST,
        _OWNER,
        limit.hold,
    )
