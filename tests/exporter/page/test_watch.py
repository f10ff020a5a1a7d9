# SPDX-License-Identifier: GPL-2.0-only
"""Who may watch a process on the page; what is seen of it is tested with real probes."""

import os

import pytest

from tests.exporter.serving import FakeCollector, Running, running

DETAILS = {"web.details": True}
ME = f"/watch?pid={os.getpid()}"


def test_it_needs_a_post_of_the_page_itself(web: Running) -> None:
    assert web.request(ME)[0] == 405
    status, _, body = web.request(ME, "POST")
    assert (status, b"X-Fdscope" in body) == (403, True)
    status, _, body = web.request(ME, "POST", X_Fdscope="watch", Sec_Fetch_Site="cross-site")
    assert (status, body) == (403, b"a page of another site has asked for this\n")


def test_it_is_a_detail(web: Running) -> None:
    status, _, body = web.request(ME, "POST", X_Fdscope="watch")
    assert (status, b"--web.details" in body) == (403, True)


def test_not_under_a_name_of_another_site() -> None:
    with running(FakeCollector(), changes=DETAILS) as web:
        status, _, body = web.request(ME, "POST", X_Fdscope="watch", Host="evil.example")
        assert (status, b"not this host's" in body) == (403, True)


def test_without_probes_that_can_watch_it_says_so() -> None:
    with running(FakeCollector(), changes=DETAILS) as web:
        status, _, body = web.request(ME, "POST", X_Fdscope="watch")
        assert (status, body.startswith(b"this exporter cannot watch processes")) == (503, True)


@pytest.mark.parametrize("path", ["/watch", "/watches"])
def test_the_path_of_the_metrics_is_another(path: str) -> None:
    from fdscope.exporter.settings.strict import ConfigError
    from tests.exporter.serving import options

    if path == "/watch":
        with pytest.raises(ConfigError, match="another page"):
            options(**{"web.telemetry-path": path})
    else:
        assert options(**{"web.telemetry-path": path}).telemetry_path == path
