# SPDX-License-Identifier: GPL-2.0-only
"""Alerts on fdscope itself: whether it runs, counts, and counts right."""

from collections.abc import Iterable

from fdscope.dashboards.alerting.model import ITSELF, Alert
from fdscope.dashboards.alerting.settings import Settings
from fdscope.dashboards.promql.prometheus import UP
from fdscope.dashboards.promql.selectors import keep, none_of, select
from fdscope.exporter.catalog import fds, health, layers


def alerts(settings: Settings) -> Iterable[Alert]:
    """The alerts on fdscope itself."""
    yield from _alive(settings)
    yield from _counting(settings)
    yield from _losing(settings)
    yield from _probing(settings)


def _alive(settings: Settings) -> Iterable[Alert]:
    exporter, job = settings.exporter, {"job": settings.job}
    yield Alert(
        "FdscopeExporterDown",
        "critical",
        f"{select(UP, **job)} == 0 or absent({select(UP, **job)})",
        "The exporter cannot be scraped.",
        "Prometheus has got no answer from fdscope {{ with $labels.instance }}on {{ . }} {{ end }}"
        f"for {exporter.down}: nothing is known of file descriptors there, and no other alert of"
        " fdscope can fire.",
        ITSELF,
        hold=exporter.down,
    )
    window = exporter.window
    counted = " or ".join(
        f"{keep('sum', metric, (), f'rate({select(metric, window)})')} > 0"
        for metric in (layers.FILE_READS, layers.FILE_WRITES)
    )
    yield Alert(
        "FdscopeExporterSilent",
        "critical",
        f"{select(UP, **job)} == 1 unless on (job, instance) ({counted})",
        "The exporter answers but counts nothing.",
        f"No read or write has been counted on {{{{ $labels.instance }}}} for {window} or more: no"
        " host is that quiet, so the probes do not fire or their maps cannot be read.",
        ITSELF,
        hold=exporter.silent,
    )
    yield Alert(
        "FdscopeScrapeErrors",
        "warning",
        f"increase({select(health.SCRAPE_ERRORS, window)}) > 0",
        "A part of the exporter's scrapes fails.",
        "On {{ $labels.instance }} the part {{ $labels.part }} of scrapes failed"
        f" {{{{ $value | humanize }}}} times in the last {window}: its metrics are missing, or old"
        " if it is the census.",
        ITSELF,
        health.SCRAPE_ERRORS.label_names,
    )


def _counting(settings: Settings) -> Iterable[Alert]:
    ledger, window = settings.ledger, settings.exporter.window
    residual = f"increase({select(layers.LEDGER_RESIDUAL_BYTES, window)})"
    counted = f"increase({select(layers.LEDGER_SOCKET_BYTES, window)})"
    yield Alert(
        "FdscopeLedgerResidual",
        "warning",
        f"""\
{residual} > {ledger.residual_bytes}
and {residual} > {ledger.residual_ratio} * {counted}""",
        "The socket layer and the file layer disagree.",
        "{{ $value | humanize1024 }}B {{ $labels.direction }} on {{ $labels.fd_type }} sockets of"
        f" {{{{ $labels.instance }}}} in the last {window} were seen by only one of the two"
        " layers.",
        ITSELF,
        layers.LEDGER_RESIDUAL_BYTES.label_names,
        settings.exporter.hold,
    )
    yield Alert(
        "FdscopeSelftestMismatch",
        "warning",
        f"{health.SELFTEST_OBSERVED_BYTES.name} != {health.SELFTEST_EXPECTED_BYTES.name}",
        "The exporter did not count the known bytes of its self-test.",
        "At its start fdscope on {{ $labels.instance }} counted {{ $value }} bytes {{"
        " $labels.direction }} through the door {{ $labels.door }} on {{ $labels.fd_type }} at the"
        " {{ $labels.layer }} layer, but had moved another number. Figures of that door are wrong.",
        ITSELF,
        health.SELFTEST_OBSERVED_BYTES.label_names,
    )


def _losing(settings: Settings) -> Iterable[Alert]:
    probes, window = settings.probes, settings.exporter.window
    yield Alert(
        "FdscopeLostUpdates",
        "warning",
        f"increase({select(health.LOST_UPDATES, window)}) > {probes.lost_updates}",
        "Updates of counters were lost.",
        "{{ $value | humanize }} updates were lost on {{ $labels.instance }} in the last"
        f" {window} ({{{{ $labels.reason }}}}).",
        ITSELF,
        health.LOST_UPDATES.label_names,
    )
    yield Alert(
        "FdscopeMapNearlyFull",
        "warning",
        f"{health.MAP_ENTRIES.name} / {health.MAP_CAPACITY.name} > {probes.map_ratio}",
        "A BPF map of the exporter is nearly full.",
        "The map {{ $labels.map }} on {{ $labels.instance }} is {{ $value | humanizePercentage }}"
        " full. When it is full, updates are lost.",
        ITSELF,
        health.MAP_ENTRIES.label_names,
        settings.exporter.hold,
    )
    missed, runs = health.PROBE_MISSED_RUNS, (layers.FILE_READS, layers.FILE_WRITES)
    done = " + ".join(keep("sum", m, (), f"rate({select(m, window)})") for m in runs)
    yield Alert(
        "FdscopeMissedRuns",
        "info",
        f"""\
{keep("sum", missed, (), f"rate({select(missed, window)})")}
/ ({done}) > {probes.missed_ratio}""",
        "The kernel skips runs of the probes.",
        "{{ $value | humanizePercentage }} as many runs of BPF programs were skipped as operations"
        f" were counted on {{{{ $labels.instance }}}} in the last {window}: what they would have"
        " counted is missing.",
        ITSELF,
        hold=settings.exporter.hold,
    )
    yield Alert(
        "FdscopeCensusStale",
        "warning",
        f"{fds.CENSUS_AGE_SECONDS.name} > {settings.census.max_age.seconds:g}",
        "The census of open file descriptors is old.",
        "The last census of the fds on {{ $labels.instance }} ended"
        " {{ $value | humanizeDuration }} ago: open fds, limits and stdio are of that time.",
        ITSELF,
        hold=settings.exporter.hold,
    )


def _probing(settings: Settings) -> Iterable[Alert]:
    length = settings.history.settle
    mode, rank, hook = health.ATTACH_MODE, health.ATTACH_MODE_RANK, health.PROBE_ATTACHED
    # The ranks are those of the running kernel, also for modes that an earlier kernel used.
    ranks = f"{rank.name} and max_over_time({select(mode, length)}) == 1"
    unwanted = select(mode, mode=none_of(settings.probes.modes))
    yield Alert(
        "FdscopeProbesFellBack",
        "warning",
        f"""\
{unwanted} == 1
or (
  ({rank.name} and {mode.name} == 1)
  > ignoring (mode) group_left () {keep("min", rank, (), ranks)}
)
or ({hook.name} == 0 and max_over_time({select(hook, length)}) == 1)""",
        "The probes are attached in a worse mode than before.",
        "fdscope on {{ $labels.instance }} {{ with $labels.function }}could not attach {{ . }}"
        " {{ end }}(mode {{ $labels.mode }}). It still counts, but has more blind spots.",
        ITSELF,
        hook.label_names,
    )
