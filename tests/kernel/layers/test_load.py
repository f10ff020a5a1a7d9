# SPDX-License-Identifier: GPL-2.0-only
"""Load and churn for a moment; `make load` and `make soak` run for minutes, with the exporter."""

import os
import platform
from collections.abc import Iterator

import pytest

from fdscope.probes.read.session import Session
from fdscope.probes.schema.taxonomy import Mode
from tests.scorecard import load, programs
from tests.scorecard.runner import skips_runs
from tests.scorecard.served import Inside

SECONDS = float(os.environ.get("FDSCOPE_TEST_LOAD_SECONDS", "5"))


@pytest.fixture
def exporter(session: Session) -> Iterator[Inside]:
    if programs.compiler_is_here():
        programs.build(platform.machine())
    inside = Inside(session)
    yield inside
    inside.close()


def test_totals_agree_with_the_workloads_own_sums(exporter: Inside) -> None:
    """Several threads and processes, and others that start and end beside them."""
    size = load.Size(seconds=SECONDS, operations=20_000, births=100, every=1.0)
    result = load.run(exporter, size)
    complaints = load.complaints(result.samples)
    as_expected = result.told if skips_runs(Mode(result.mode)) else result.passed
    assert as_expected, load.text(result, complaints)
    assert not complaints, load.text(result, complaints)
