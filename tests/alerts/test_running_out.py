# SPDX-License-Identifier: GPL-2.0-only
"""Processes that run out of fds at every pace, and those that only look so, as Prometheus sees it.

Scrapes come every 15 s; each shows the last census, and a census comes every 5.3 s. The rules are
the delivered ones, evaluated as often as delivered.
"""

import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, product
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.paths import DEPLOY

STEP, SCRAPE, CENSUS = 5, 15, 5.3
DAY, HOUR, MINUTE = 86_400, 3_600, 60
START_FDS = 20
AHEAD = ("FdscopeFdLeak", "FdscopeFdLimitSoon", "FdscopeFdLimitNear")
PHASES = ((0, 0.0), (5, 7.3), (10, 12.9))
"""Seconds of the first scrape, and of the start of the process."""

Fds = Callable[[float], float]
"""Open fds of a process at a time."""


@dataclass(frozen=True, slots=True)
class Host:
    """A host with one process, or several of a name one after the other."""

    about: str
    limit: int
    lives: tuple[tuple[float, float, Fds], ...]
    """When each begins and ends, and its open fds, by the time since its begin."""
    end: int
    phase: int = 0
    refused: tuple[float, ...] = ()
    """When a call was refused."""

    def series(self, name: str) -> list[dict[str, str]]:
        labels = f'job="fdscope",instance="{name}"'
        made = [(f"up{{{labels}}}", self._sampled(lambda _: 1.0))]
        for pid, (begin, end, open_fds) in enumerate(self.lives, 1):
            own = f'{labels},process="webd",unit="web.service",pid="{pid}"'

            def found(
                scrape: float, begin: float = begin, end: float = end, fds: Fds = open_fds
            ) -> float | None:
                census = scrape // CENSUS * CENSUS
                lives = begin <= census < end
                return min(float(self.limit), int(fds(census - begin))) if lives else None

            def limit(
                scrape: float, found: Callable[[float], float | None] = found
            ) -> float | None:
                return None if found(scrape) is None else float(self.limit)

            made.append((f'fdscope_open_fds{{{own},fd_type="tcp"}}', self._sampled(found)))
            made.append((f"fdscope_max_fds{{{own}}}", self._sampled(limit)))
        if self.refused:
            ended = f'{labels},process="webd",unit="web.service",pid="",birth="open"'
            count = self._sampled(
                lambda scrape: float(sum(t <= scrape for t in self.refused)) or None
            )
            made.append((f'fdscope_fd_refusals_total{{{ended},errno="EMFILE"}}', count))
        return [{"series": series, "values": " ".join(values)} for series, values in made]

    def _sampled(self, value: Callable[[float], float | None]) -> list[str]:
        """Samples in promtool's notation: a gap between scrapes, stale after the last."""
        samples, there = [], False
        for at in range(0, self.end + STEP, STEP):
            found = value(at) if at % SCRAPE == self.phase else None
            if at % SCRAPE != self.phase:
                samples.append("_")
            elif found is None:
                samples.append("stale" if there else "_")
                there = False
            else:
                samples.append(f"{found:g}" if found < 1e5 else f"{found:.0f}")
                there = True
        return samples


Question = tuple[int, str, bool]
"""A time, an expression about the host, and whether it has a result then."""


def firing(*alerts: str) -> str:
    return f'alertname=~"{"|".join(alerts)}", alertstate="firing"'


def answers(questions: Sequence[Question], name: str) -> list[dict[str, Any]]:
    return [
        {
            "expr": expression.replace("HOST", name),
            "eval_time": f"{at}s",
            "exp_samples": [{"labels": "{}", "value": 1}] if found else [],
        }
        for at, expression, found in questions
    ]


def at(seconds: float, alerts: Sequence[str], found: bool) -> Question:
    """Whether one of the alerts fires at this time."""
    when = int(seconds) // STEP * STEP
    return when, f'group(ALERTS{{{firing(*alerts)}, instance="HOST"}})', found


def ever(host: Host, alerts: Sequence[str] = ("Fdscope.*",), found: bool = False) -> Question:
    """Whether one of the alerts has fired at any time."""
    fired = f'ALERTS{{{firing(*alerts)}, instance="HOST"}}[{host.end}s]'
    return host.end, f"group(count_over_time({fired}))", found


def play(cases: Sequence[tuple[Host, Sequence[Question]]], interval: int, folder: Path) -> None:
    rules = yaml.safe_load((DEPLOY / "rules/fdscope.yml").read_text())
    groups = [g for g in rules["groups"] if g["name"] in ("fdscope-fd-limits", "fdscope-fds")]
    if interval == 5:
        assert groups[0]["interval"] == "5s"
    groups += [
        {**g, "rules": [r for r in g["rules"] if "fd_refusals" in r["expr"] or "low" in str(r)]}
        for g in rules["groups"]
        if g["name"] == "fdscope-history"
    ]
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": groups}, sort_keys=False))
    named = {f"host{number}": case for number, case in enumerate(cases)}
    tests = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": f"{interval}s",
        "tests": [
            {
                "interval": f"{STEP}s",
                "input_series": [s for name, (host, _) in named.items() for s in host.series(name)],
                "promql_expr_test": [
                    answer
                    for name, (_, questions) in named.items()
                    for answer in answers(questions, name)
                ],
            }
        ],
    }
    file = folder / "tests.yml"
    file.write_text(json.dumps(tests))
    run = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True)
    hosts = "\n".join(f"{name}: {host.about}" for name, (host, _) in named.items())
    assert run.returncode == 0, f"{run.stdout}{run.stderr}{hosts}"


RATES, LIMITS = (0.01, 0.1, 1, 10, 100), (256, 1024, 65_536, 1_048_576)
SCRAPES_TO_SEE = 4
LIVES = {(r, n): n / r for r, n in product(RATES, LIMITS) if n / r <= DAY}
"""Seconds to the limit of each leak that reaches it within a day, by its pace and the limit."""
TOO_FAST = {pair for pair, life in LIVES.items() if life < SCRAPES_TO_SEE * SCRAPE}


def leaks(rate: float, limit: int, last: float = DAY) -> list[tuple[Host, list[Question]]]:
    """The leak from the start of the process, and after minutes without; in every phase.

    Of a long life only the last seconds: as by a Prometheus that has just started.
    """
    cases = []
    for (phase, start), quiet in product(PHASES, (0, 6 * MINUTE)):
        seconds = (limit - START_FDS) / rate
        gone = max(0.0, seconds - last)
        hit = start + quiet + seconds - gone

        def open_fds(t: float, quiet: float = quiet, gone: float = gone) -> float:
            return START_FDS + rate * (max(0.0, t - quiet) + gone)

        lead = min(2 * MINUTE, seconds / 5)
        end = int(hit) + SCRAPE
        about = f"{rate} a second against {limit}, {quiet} s quiet, phase {phase}"
        host = Host(about, limit, ((start, end + DAY, open_fds),), end, phase)
        cases.append((host, [at(hit - lead, AHEAD, True)]))
    return cases


def test_the_grid_is_the_promised_one() -> None:
    assert sorted(TOO_FAST) == [(10, 256), (100, 256), (100, 1024)]
    assert len(LIVES) == 13


@pytest.mark.parametrize("slow", [False, True])
def test_a_leak_is_told_before_its_end(slow: bool, tmp_path: Path) -> None:
    """Two minutes before the limit, or a fifth of the life of the process if that is less."""
    chosen = [pair for pair, life in LIVES.items() if (life > HOUR) == slow]
    cases = [case for pair in chosen if pair not in TOO_FAST for case in leaks(*pair, HOUR)]
    play(cases, 30 if slow else 5, tmp_path)


def test_a_slow_leak_is_told_hours_before_its_end(tmp_path: Path) -> None:
    """The delivered interval of this group is 30 s. Noise hides the growth of single minutes."""

    def noisy(t: float) -> float:
        return 40 + 0.02 * t + 30 * (t // 60 % 7 in (2, 5))

    def quick(t: float) -> float:
        return 40 + 0.1 * t

    cases = [
        (host, [at(when, ["FdscopeFdLeak"], True), at(too_early, ["FdscopeFdLeak"], False)])
        for host, when, too_early in (
            (Host("0.02 a second, and bursts", 512, ((0, DAY, noisy),), 5 * HOUR), 16_000, 9_000),
            (Host("0.1 a second", 1024, ((0, DAY, quick),), 2 * HOUR), 4_000, 2_600),
        )
    ]
    play(cases, 30, tmp_path)


@pytest.mark.parametrize(("rate", "limit"), sorted(TOO_FAST))
def test_a_leak_that_is_over_between_two_scrapes_is_told_by_refused_calls(
    rate: float, limit: int, tmp_path: Path
) -> None:
    """The scrape interval is the bound: the first scrape after the first refused call tells."""
    start = 6 * MINUTE + 1.0
    hit = start + (limit - START_FDS) / rate
    host = Host(
        "over in seconds", limit, ((start, hit + 1, lambda t: START_FDS + rate * t),),
        int(hit) + HOUR, refused=(hit, hit + 0.1),
    )  # fmt: skip
    told = ["FdscopeFdRefused"]
    questions = [at(hit + SCRAPE + STEP, told, True), at(hit - STEP, told, False)]
    play([(host, questions)], 5, tmp_path)


def test_a_leak_that_each_restart_hides(tmp_path: Path) -> None:
    """One fd a second against 1,024: over after 17 minutes, and again, and again."""
    life = (1024 - START_FDS) / 1.0 + 10
    lives = tuple((n * life, (n + 1) * life, lambda t: START_FDS + t) for n in range(4))
    deaths = tuple((n + 1) * life - 5 for n in range(4))
    host = Host("restarts", 1024, lives, int(3.5 * life), refused=deaths)
    healthy = Host(
        "jobs that end with many fds open, and are refused none", 1024,
        tuple((n * 600, n * 600 + 300, lambda t: 20 + 2.2 * t) for n in range(6)), HOUR,
    )  # fmt: skip
    told = ["FdscopeFdLeakRestarts"]
    questions = [at(1.5 * life, told, False), at(2.5 * life, told, True)]
    each = [at((n + 1) * life - 2 * MINUTE, ["FdscopeFdLimitSoon"], True) for n in range(3)]
    play([(host, [*questions, *each]), (healthy, [ever(healthy, told)])], 30, tmp_path)


def pool(size: float, seconds: float, start: float = START_FDS) -> Fds:
    """A pool that fills to a size in some time, and stays."""
    return lambda t: start + (size - start) * min(1.0, t / seconds)


def bursts(low: float, high: float, seconds: float, every: float) -> Fds:
    """Bursts that rise for some time, and then end."""
    return lambda t: low + (high - low) * (t % every / seconds if t % every < seconds else 0)


def wave(low: float, high: float, period: float) -> Fds:
    """A load that goes up and down."""
    half = period / 2
    return lambda t: low + (high - low) * (1 - abs(t % period / half - 1))


HEALTHY: dict[str, Fds] = {
    "a pool of 900 is full at once": pool(900, 10),
    "a pool of 600 fills within 30 s": pool(600, 30),
    "a pool of 500 fills within two minutes": pool(500, 120),
    "a pool of 700 fills within ten minutes": pool(700, 600),
    "a pool of 800 fills within half an hour": pool(800, 1_800),
    "a pool of 400 fills within half an hour": pool(400, 1_800),
    "a log rotation every minute: the old file and the new one": lambda t: 100 + (t % 60 < 20),
    "log rotations of all files, one after the other": lambda t: 600 + t // 60 % 2 * 50,
    "bursts of half a minute to nine tenths": bursts(50, 920, 30, 600),
    "bursts of two minutes": bursts(50, 550, 120, 600),
    "bursts of ten minutes": bursts(50, 700, 600, 1_200),
    "more load and less, in 20 minutes": wave(200, 700, 1_200),
    "more load and less, in an hour": wave(100, 800, HOUR),
    "a daemon that opens nothing": lambda _: 35,
    "a full table that stays as it is": lambda _: 880,
    "a saturating cache": lambda t: 900 - 850 / (1 + t / 300),
}


def test_what_fills_and_stays_or_comes_and_goes_fires_nothing(tmp_path: Path) -> None:
    hosts = [
        Host(about, 1024, ((start, DAY, fds),), 100 * MINUTE, phase)
        for (about, fds), (phase, start) in zip(HEALTHY.items(), cycle(PHASES), strict=False)
    ]
    play([(host, [ever(host)]) for host in hosts], 15, tmp_path)
