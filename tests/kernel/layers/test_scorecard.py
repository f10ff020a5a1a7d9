# SPDX-License-Identifier: GPL-2.0-only
"""The scenarios of the scorecard in small; `make scorecard` runs them in full."""

import os
import platform
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdscope.probes.read.session import Session
from tests.scorecard import programs, results, runner, table
from tests.scorecard.model import NOT_POSSIBLE, OFF, Scenario, Verdict
from tests.scorecard.places import Places, places
from tests.scorecard.scenarios import SCENARIOS

SCALE = float(os.environ.get("FDSCOPE_SCORECARD_SCALE", "0.02"))


@pytest.fixture(scope="module")
def made() -> Iterator[Places]:
    if programs.compiler_is_here():
        programs.build(platform.machine())
    with places() as found:
        yield found


@pytest.fixture(scope="module")
def verdicts(session: Session) -> Iterator[list[Verdict]]:
    """All verdicts; the lab of virtual machines collects them for the published table."""
    found: list[Verdict] = []
    yield found
    if "FDSCOPE_REPORTS" in os.environ:
        results.save(results.of_session(session, SCALE, found), Path(os.environ["FDSCOPE_REPORTS"]))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_scenario(
    scenario: Scenario, session: Session, made: Places, verdicts: list[Verdict]
) -> None:
    """Exact, or excused by a blind spot that the product lists."""
    verdict = runner.run(scenario, session, SCALE, made)
    verdicts.append(verdict)
    if verdict.verdict == NOT_POSSIBLE:
        pytest.skip(f"not possible here: {verdict.why}")
    assert verdict.verdict != OFF, table.verdict_text(verdict)
