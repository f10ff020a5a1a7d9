# SPDX-License-Identifier: GPL-2.0-only
"""The activity of a host as series of the exporter, and the alerts that must fire."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fdscope.exporter.catalog import Metric, health, layers

MINUTES_OF_A_DAY = 1440

Labels = dict[str, str]
Series = tuple[str, Labels, str]
"""Name, labels besides those of the target, and values in promtool's notation, one a minute."""


def series(metric: Metric, values: str, **labels: str) -> Series:
    """A series of the catalog; other labels are empty."""
    unknown = set(labels) - {*metric.label_names, "ended"}
    assert not unknown, f"{metric.name} has no {unknown}"
    return metric.name, labels, values


def up(values: str) -> Series:
    return "up", {}, values


@dataclass(frozen=True, slots=True)
class Alarm:
    """A firing alert."""

    name: str
    severity: str
    labels: Labels


@dataclass(frozen=True, slots=True)
class Scenario:
    """At the minute ``at``, exactly these alerts fire."""

    about: str
    alert: str
    """The alert under test, whether it fires or not."""
    at: int
    series: tuple[Series, ...]
    fires: tuple[Alarm, ...] = ()
    healthy: bool = True
    """Add the series of a healthy exporter."""

    def told(self) -> tuple[Series, ...]:
        """All series of the host."""
        return (*self.series, *(_healthy(self.at) if self.healthy else ()))


def promtool(scenarios: Sequence[Scenario]) -> dict[str, Any]:
    """One of promtool's tests: each scenario runs on a separate host, at the same time."""
    hosts = {f"host{number}": scenario for number, scenario in enumerate(scenarios)}
    return {
        "interval": "1m",
        "input_series": [
            {"series": _selector(name, host, labels), "values": values}
            for host, scenario in hosts.items()
            for name, labels, values in scenario.told()
        ],
        "promql_expr_test": [
            {
                "expr": f'ALERTS{{alertstate="firing", instance="{host}"}}',
                "eval_time": f"{scenario.at}m",
                "exp_samples": [
                    {"labels": _firing(alarm, host), "value": 1} for alarm in scenario.fires
                ],
            }
            for host, scenario in hosts.items()
        ],
    }


def _healthy(minutes: int) -> Iterable[Series]:
    yield up(f"1x{minutes}")
    yield series(health.LOST_UPDATES, f"0x{minutes}", reason="counters_full")
    for metric in (layers.FILE_READS, layers.FILE_WRITES):
        yield series(metric, f"0+60x{minutes}", process="init", pid="1", fd_type="regular")
    for rank, mode in enumerate(("fentry", "kprobe", "tracepoint"), start=1):
        yield series(health.ATTACH_MODE, f"{int(rank == 1)}x{minutes}", mode=mode)
        yield series(health.ATTACH_MODE_RANK, f"{rank}x{minutes}", mode=mode)


def _selector(name: str, host: str, labels: Labels) -> str:
    everything = {"job": "fdscope", "instance": host, **labels}
    inner = ",".join(f'{label}="{value}"' for label, value in everything.items())
    return f"{name}{{{inner}}}"


def _firing(alarm: Alarm, host: str) -> str:
    labels = {"alertname": alarm.name, "alertstate": "firing", "severity": alarm.severity}
    return _selector("ALERTS", host, {**alarm.labels, **labels})
