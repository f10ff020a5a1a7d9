# SPDX-License-Identifier: GPL-2.0-only
"""Everything at once that a user without any right can do: others are seen as if nothing were.

`make siege` does it for two minutes.
"""

import contextlib
import http.client
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from fdscope.probes.schema.taxonomy import Mode
from tests.hostile.actors import STRANGER, Actor
from tests.hostile.answers import BUDGET, READ, WRITTEN, Answer, Exporter, Reading, grown
from tests.hostile.attacks import Besiegers, shares_of_the_processor
from tests.hostile.cgroups import Subtree, subtree
from tests.hostile.sizes import HERD, SIEGE_SECONDS
from tests.hostile.test_storms import EACH, PAIRS, STORMS, new_service_is_seen, recovers
from tests.scorecard.runner import skips_runs
from tests.scorecard.served import served

SCRAPE_SECONDS = 1.0
MOST_MIB = 250.0
"""Memory of the exporter at any time."""
BYSTANDERS = 5
REPORT = os.environ.get("FDSCOPE_REPORTS", "")


@contextlib.contextmanager
def bystanders(quiet: Subtree) -> Iterator[list[Actor]]:
    """Well-behaved processes, each in a unit of its own."""
    made = [
        Actor(f"bystander-{number}".encode(), quiet.make(f"bystander-{number}.service"))
        for number in range(BYSTANDERS)
    ]
    try:
        yield [actor.ready() for actor in made]
    finally:
        for actor in made:
            actor.kill()


@contextlib.contextmanager
def besieged(exporter: Exporter, folder: Path) -> Iterator[Besiegers]:
    """All attacks, until the end of the block at the latest."""
    with subtree("fdscope-siege", STRANGER) as ground:
        slice_ = shares_of_the_processor("fdscope-siege")
        attackers = Besiegers(ground.path, slice_, folder, HERD // 2)
        try:
            attackers.call(exporter.address)
            yield attackers
        finally:
            attackers.kill()
            if slice_:
                Subtree(slice_).remove()


class Siege:
    """A scrape each second, and what was wrong with it."""

    def __init__(self, exporter: Exporter, watched: list[Actor]) -> None:
        self.exporter = exporter
        self.watched = watched
        self.answers: list[tuple[Answer | str, dict[int, int]]] = []
        self.most_mib = 0.0
        self.most_series = 0
        self.complaints: Counter[str] = Counter()

    def look(self) -> None:
        """Have the bystanders write, then scrape; what the answer says is judged later."""
        for number, actor in enumerate(self.watched):
            actor.write(1000 + number)
        truth = {actor.pid: actor.written for actor in self.watched}
        try:
            answer: Answer | str = self.exporter.ask(timeout=20)
        except (OSError, http.client.HTTPException) as error:
            answer = f"no answer: {type(error).__name__}"
        self.answers.append((answer, truth))
        self.most_mib = max(self.most_mib, self.exporter.resident_mib())

    def judge(self) -> None:
        """Parse every answer, and compare it with the truth."""
        for answer, truth in self.answers:
            if isinstance(answer, str):
                self.complaints[answer] += 1
                continue
            if answer.seconds >= SCRAPE_SECONDS:
                self.complaints[f"a scrape took {SCRAPE_SECONDS} s or more"] += 1
            try:
                reading = answer.parse()
            except (AssertionError, ValueError) as error:
                self.complaints[str(error)[:80]] += 1
                continue
            self._compare(reading, truth)

    def _compare(self, reading: Reading, truth: dict[int, int]) -> None:
        self.most_series = max(self.most_series, len(reading.samples))
        if len(reading.samples) > BUDGET:
            self.complaints[f"more than {BUDGET} series"] += 1
        for part in reading.errors():
            self.complaints[f"the part {part} failed"] += 1
        for actor in self.watched:
            name = actor.name.decode()
            wanted: dict[str, str | int] = {
                "pid": actor.pid,
                "process": name,
                "unit": f"{name}.service",
            }
            if reading.written(**wanted) != truth[actor.pid]:
                self.complaints["a bystander's bytes are not exact"] += 1
            elif reading.written(pid=actor.pid) != truth[actor.pid]:
                self.complaints["a bystander has other series too"] += 1

    def text(self) -> str:
        """The figures."""
        answered = [answer for answer, _ in self.answers if isinstance(answer, Answer)]
        seconds = sorted(answer.seconds for answer in answered) or [0.0]
        size = max((len(answer.text) for answer in answered), default=0)
        return (
            f"{len(self.answers)} scrapes: median {seconds[len(seconds) // 2]:.2f} s, slowest"
            f" {seconds[-1]:.2f} s; most series {self.most_series}, {size} bytes,"
            f" {self.most_mib:.0f} MiB; complaints: {dict(self.complaints) or 'none'}"
        )


def test_siege(workloads: Path) -> None:
    mode = os.environ.get("FDSCOPE_ATTACH_MODE", "auto")
    with served(mode) as running, subtree("fdscope-test") as quiet, bystanders(quiet) as watched:
        exporter = Exporter.of(running)
        siege = Siege(exporter, watched)
        for actor in watched:
            actor.write(10)
        for actor in watched:
            name = actor.name.decode()
            exporter.wait_for("a bystander", 10, pid=actor.pid, unit=f"{name}.service")
        before = exporter.read()
        with besieged(exporter, workloads) as attackers:
            deadline = time.monotonic() + SIEGE_SECONDS
            while (now := time.monotonic()) < deadline:
                siege.look()
                time.sleep(max(0.0, now + 1 - time.monotonic()))
            truth = attackers.end() * EACH
        siege.judge()
        if REPORT:
            Path(REPORT, "siege.txt").write_text(siege.text() + "\n")
        assert not siege.complaints, siege.text()
        assert siege.most_mib < MOST_MIB, siege.text()
        after = exporter.read()
        moved = [grown(before, after, STORMS, name, **PAIRS) for name in (WRITTEN, READ)]
        if skips_runs(Mode(after.mode())):
            assert max(moved) <= truth
        else:
            assert moved == [truth, truth], siege.text()
        if after.total(WRITTEN, process="(not attributed)"):
            assert after.lost().get("counters_full", 0) > 0
        new_service_is_seen(exporter, quiet)
        recovers(exporter)
        open_fds = exporter.read()
        for actor in watched:
            assert open_fds.total("fdscope_open_fds", pid=actor.pid) > 0
        assert not open_fds.errors()
        assert exporter.memory_mib() < MOST_MIB
