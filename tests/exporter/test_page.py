# SPDX-License-Identifier: GPL-2.0-only
"""The landing page as text."""

import json
import re
from html import unescape

import pytest

from exporter.page import render
from exporter.page.files import CHARTS, files
from probes.taxonomy import Door, FdType
from tests.exporter.serving import PAGE

LOADED = ("page.css", "page.js", CHARTS)


@pytest.mark.parametrize(
    "expected",
    [
        'href="metrics"', 'href="-/healthy"', 'href="-/ready"', "Version 1.2.3",
        "attach mode tracepoint", "1 of 2 hooks", '<code>sys_exit</code><td><b class="attached">',
        "no operation", 'name="color-scheme" content="light dark"', "width=device-width",
        "<noscript>", 'src="static/plotly.min.js"', 'src="static/page.js"',
    ],
)  # fmt: skip
def test_it_shows(expected: str) -> None:
    assert expected in " ".join(render(PAGE, "/metrics").split())


def test_the_picture_knows_every_door_and_fd_type() -> None:
    """The scripts get their order from the page, and name none themselves."""
    (attribute,) = re.findall('data-order="([^"]+)"', render(PAGE, "/metrics"))
    order = json.loads(unescape(attribute))
    assert sorted(order["doors"]) == sorted(door.label for door in Door)
    assert sorted(order["fd_types"]) == sorted(fd_type.label for fd_type in FdType)
    scripts = [file.path.read_text() for name, file in files().items() if name.endswith(".js")]
    named = "|".join(door.label for door in Door if "_" in door.label)
    assert not [t for t in scripts if len(t) < 100_000 and re.search(f'"({named})"', t)]


def test_what_is_shown_cannot_be_markup() -> None:
    text = render(PAGE, "/metrics")
    assert all(escaped in text for escaped in ("a &amp; b", "&lt;b&gt;", "&lt;script&gt;"))
    assert re.findall("<script[^>]*>", text) == [
        '<script src="static/plotly.min.js" defer>', '<script src="static/page.js" type="module">'
    ]  # fmt: skip


def test_it_needs_nothing_else() -> None:
    text = render(PAGE, "/metrics")
    assert set(re.findall('(?:src|href)="([^"]+)"', text)) == {
        "data:,", "metrics", "-/healthy", "-/ready", *(f"static/{name}" for name in LOADED)
    }  # fmt: skip
    assert set(LOADED) <= set(files())


def test_without_the_charting_library_it_does_not_ask_for_it() -> None:
    assert "plotly" not in render(PAGE, "/metrics", has_charts=False)


def test_its_files_need_nothing_else() -> None:
    own = [file.path.read_text() for name, file in files().items() if name != CHARTS]
    assert len(own) > 4
    assert not [text for text in own if re.search(r"https?:|url\(|@import|innerHTML", text)]


def test_every_placeholder_is_filled() -> None:
    assert "$" not in render(PAGE, "/metrics")


def test_it_links_to_where_the_metrics_are() -> None:
    assert 'href="a/~b"' in render(PAGE, "/a/~b")
