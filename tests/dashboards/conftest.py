# SPDX-License-Identifier: GPL-2.0-only
"""Each dashboard as a fixture."""

import pytest

from tests.dashboards.made import DASHBOARDS, Json


@pytest.fixture(params=DASHBOARDS)
def dashboard(request: pytest.FixtureRequest) -> Json:
    """Each dashboard."""
    return DASHBOARDS[request.param]
