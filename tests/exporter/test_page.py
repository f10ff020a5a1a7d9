# SPDX-License-Identifier: GPL-2.0-only
"""The landing page as text."""

import re

import pytest

from exporter.page import render
from tests.exporter.serving import PAGE


@pytest.mark.parametrize(
    "expected",
    [
        'href="/metrics"', 'href="/-/healthy"', 'href="/-/ready"', "Version 1.2.3",
        "attach mode tracepoint", "1 of 2 hooks", '<code>sys_exit</code><td><b class="attached">',
        "no operation", "prefers-color-scheme: dark", "width=device-width",
    ],
)  # fmt: skip
def test_it_shows(expected: str) -> None:
    assert expected in " ".join(render(PAGE, "/metrics").split())


def test_what_is_shown_cannot_be_markup() -> None:
    text = render(PAGE, "/metrics")
    assert all(escaped in text for escaped in ("a &amp; b", "&lt;b&gt;", "&lt;script&gt;"))
    assert "<script" not in text


def test_it_needs_nothing_else() -> None:
    text = render(PAGE, "/metrics")
    assert not re.search(r"(src|href)=.?https?:|url\(|@import", text)


def test_every_placeholder_is_filled() -> None:
    assert "$" not in render(PAGE, "/metrics")


def test_it_links_to_where_the_metrics_are() -> None:
    assert 'href="/a/~b"' in render(PAGE, "/a/~b")
