# SPDX-License-Identifier: GPL-2.0-only
"""Fixtures of several test files."""

from collections.abc import Iterator

import pytest

from tests.exporter.serving import FakeCollector, Running, running


@pytest.fixture
def web() -> Iterator[Running]:
    with running(FakeCollector()) as started:
        yield started
