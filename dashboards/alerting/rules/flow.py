# SPDX-License-Identifier: GPL-2.0-only
"""Alerts on changes of I/O: spikes, collapses, errors."""

from fdscope.dashboards.alerting.duration import duration
from fdscope.dashboards.alerting.model import HOST, UNUSUAL, Alert, Record
from fdscope.dashboards.alerting.rules.events import PRESENT
from fdscope.dashboards.alerting.rules.rates import per_second
from fdscope.dashboards.alerting.settings import Settings
from fdscope.dashboards.promql.selectors import earlier, none_of, select, unlike
from fdscope.exporter.catalog import Metric, layers

_KEPT = ("process", "fd_type")
_FLOW = (*_KEPT, "direction")
_LEVEL = "instance_process_fd_type"


def _rate(name: str, metric: Metric, settings: Settings, direction: str) -> Record:
    rate = settings.evaluation.rate
    return Record(
        f"{_LEVEL}_direction:{name}:rate{rate}",
        per_second(metric, _KEPT, rate),
        _FLOW,
        {"direction": direction},
    )


def _bytes(settings: Settings) -> tuple[Record, ...]:
    return tuple(
        _rate("fdscope_file_bytes", metric, settings, direction)
        for metric, direction in (
            (layers.FILE_READ_BYTES, "read"),
            (layers.FILE_WRITTEN_BYTES, "written"),
        )
    )


def rules(settings: Settings) -> tuple[Record | Alert, ...]:
    """The frequent rules: rates and the alerts on them."""
    operations = tuple(
        _rate("fdscope_file_operations", metric, settings, direction)
        for metric, direction in ((layers.FILE_READS, "read"), (layers.FILE_WRITES, "written"))
    )
    errors = _errors(settings)
    return (
        *_bytes(settings), *operations, errors,
        _spike(settings), _collapse(settings), _failing(settings, errors, operations[0]),
    )  # fmt: skip


def history(settings: Settings) -> tuple[Record, Record]:
    """The rare records: rates to compare with on the days after."""
    flow = _bytes(settings)[0]
    hour = settings.io.hour
    past = select(flow, hour)
    return (
        Record(f"{flow.name}_max{hour}", f"max_over_time({past})", _FLOW),
        Record(f"{flow.name}_avg{hour}", f"avg_over_time({past})", _FLOW),
    )


def _last_hour(settings: Settings, function: str) -> str:
    """The hour before the time in which the alert is pending."""
    past = earlier(select(_bytes(settings)[0], settings.io.hour), settings.io.hold)
    return f"{function}{past})"


def _same_hour(settings: Settings, operator: str, record: Record) -> str:
    """The hour around this time of day, on every past day with a record."""
    io, found = settings.io, duration(2 * settings.evaluation.history_interval.seconds)
    past = select(record, found)
    days = (
        f'label_replace(last_over_time({earlier(past, ago)}), "days", "{day}", "", "")'
        for day in range(1, io.days + 1)
        for ago in [duration(day * io.day.seconds - io.hour.seconds / 2)]
    )
    return f"{operator} without (days) (\n  " + "\n  or ".join(days) + "\n)"


def _known_for_a_day(settings: Settings) -> str:
    past = earlier(select(PRESENT, settings.io.hour), settings.io.day)
    return f"on (job, instance) present_over_time({past})"


def _spike(settings: Settings) -> Alert:
    io = settings.io
    flow = select(_bytes(settings)[0], process=unlike(settings.allowed.io))
    old = duration(io.hour.seconds + io.hold.seconds)
    highest = _same_hour(settings, "max", history(settings)[0])
    return Alert(
        "FdscopeIoSpike",
        "info",
        f"""\
{flow} > {io.min_bytes}
and {flow} > {io.spike_factor} * {_last_hour(settings, "quantile_over_time(0.5, ")}
and {earlier(_bytes(settings)[0].name, old)}
and {_known_for_a_day(settings)}
unless {flow} <= {io.spike_factor} * {highest}""",
        "A program moves many times the bytes that it did before.",
        "{{ $labels.process }} on {{ $labels.instance }}: {{ $value | humanize1024 }}B/s"
        " ({{ $labels.fd_type }}, {{ $labels.direction }}), more than"
        f" {io.spike_factor:g} times its median of the last {io.hour}, and its highest rate around"
        f" this time of the past {io.days} days.",
        UNUSUAL,
        _FLOW,
        io.hold,
    )


def _collapse(settings: Settings) -> Alert:
    io = settings.io
    flow = select(_bytes(settings)[0], process=unlike(settings.allowed.io))
    usual = _same_hour(settings, "min", history(settings)[1])
    return Alert(
        "FdscopeIoCollapse",
        "info",
        f"""\
{flow} < {io.collapse_ratio} * ({_last_hour(settings, "avg_over_time(")} > {io.min_bytes})
and {flow} < {io.collapse_ratio} * ({usual} > {io.min_bytes})""",
        "A program that always moves many bytes at this time has nearly stopped.",
        "{{ $labels.process }} on {{ $labels.instance }}: {{ $value | humanize1024 }}B/s"
        " ({{ $labels.fd_type }}, {{ $labels.direction }}), less than"
        f" {io.collapse_ratio:g} of its mean of the last {io.hour}, and of the mean around this"
        f" time on each of the past {io.days} days.",
        UNUSUAL,
        _FLOW,
        io.hold,
    )


def _errors(settings: Settings) -> Record:
    rate, metric = settings.evaluation.rate, layers.FILE_ERRORS
    failed = per_second(metric, _KEPT, rate, errno=none_of(settings.errors.ignore))
    return Record(f"{_LEVEL}:{metric.family}:rate{rate}", failed, _KEPT)


def _failing(settings: Settings, errors: Record, operations: Record) -> Alert:
    limits = settings.errors
    failed = select(errors, process=unlike(settings.allowed.errors))
    done = f"sum without (direction) ({operations.name})"
    return Alert(
        "FdscopeErrorRatioHigh",
        "warning",
        f"""\
{failed} / ({failed} + ({done} or {failed} * 0)) > {limits.ratio}
and {failed} > {limits.min_rate}""",
        "Many of the reads and writes of a program fail.",
        "{{ $value | humanizePercentage }} of the operations of {{ $labels.process }} on"
        " {{ $labels.fd_type }} at {{ $labels.instance }} fail, with errors that healthy programs"
        " do not meet.",
        HOST,
        _KEPT,
        limits.hold,
    )
