# SPDX-License-Identifier: GPL-2.0-only
"""An exporter as users run it, among neighbours of every kind."""

import os
import platform
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile.actors import neighbour, programs_of_strangers
from tests.hostile.answers import Exporter
from tests.hostile.cgroups import Subtree, subtree
from tests.scorecard import programs
from tests.scorecard.served import served


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.kernel)
            item.add_marker(pytest.mark.hostile)


@pytest.fixture(scope="session")
def workloads() -> Iterator[Path]:
    """The folder of the C programs, where strangers can run them."""
    if programs.compiler_is_here():
        programs.build(platform.machine())
    with programs_of_strangers() as folder:
        yield folder


@pytest.fixture(scope="module")
def exporter() -> Iterator[Exporter]:
    if os.geteuid() != 0:
        pytest.fail("these tests attach probes: run them as root")
    with served(os.environ.get("FDSCOPE_ATTACH_MODE", "auto")) as running:
        yield Exporter.of(running)


@pytest.fixture(scope="module", autouse=True)
def _neighbour() -> Iterator[None]:
    with neighbour():
        yield


@pytest.fixture
def cgroups() -> Iterator[Subtree]:
    with subtree("fdscope-test") as made:
        yield made
