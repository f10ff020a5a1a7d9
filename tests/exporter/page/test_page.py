# SPDX-License-Identifier: GPL-2.0-only
"""The landing page as text."""

import gzip
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

from fdscope.exporter.accounts.losses import Losses
from fdscope.exporter.page import doctor, order, render
from fdscope.exporter.page.files import files
from fdscope.probes.schema.taxonomy import Door, FdType
from fdscope.probes.selftest.run import Row
from tests.exporter.serving import PAGE, Running

LOADED = ("page.css", "page.js")


@pytest.mark.parametrize(
    "expected",
    [
        'href="metrics"', 'href="-/healthy"', 'href="-/ready"', 'href="doctor"', "Version 1.2.3",
        "attach mode tracepoint", "1 of 2 hooks", "The 2 blind spots of tracepoint mode",
        'name="color-scheme" content="light dark"', "width=device-width",
        "<noscript>", 'src="static/page.js"',
    ],
)  # fmt: skip
def test_it_shows(expected: str) -> None:
    assert expected in " ".join(render(PAGE, "/metrics").split())


@pytest.mark.parametrize(
    "expected",
    [
        'href="./"', 'href="metrics"', "Version 1.2.3", "attach mode tracepoint", "1 of 2 hooks",
        '<code>sys_exit</code><td><b class="attached">', "The 2 blind spots of tracepoint mode",
        "<b>mmap</b><br>no operation", "NOT COMPLETE", "7 updates lost (counters_full)",
        "1 of 2 cases are exact", '>1,000<td class="number">999<td class="number"',
        '<b class="failed">not exact</b>', '<b class="">no such call</b>', "<b>kernel</b>",
        "fdscope can run here, in tracepoint mode: 1 of 2 hooks attach", "fdscope doctor",
        'name="color-scheme" content="light dark"', "width=device-width",
    ],
)  # fmt: skip
def test_the_page_of_what_is_not_seen_shows(expected: str) -> None:
    rows = (
        Row("<case>", "read_write", "regular", "written", 1000, 999, None, ok=False),
        Row("aio", "aio", "regular", "read", 0, 0, None, ok=True, unsupported="no such call"),
    )
    data = replace(PAGE, losses=Losses({"counters_full": 7}, {}), selftest=rows)
    text = " ".join(doctor.render(data, "/metrics").split())
    assert expected in text
    assert "$" not in text
    assert all(escaped in text for escaped in ("a &amp; b", "&lt;b&gt;", "&lt;script&gt;"))
    assert "<script" not in text
    assert "&lt;case&gt;" in text


def test_it_says_if_it_is_not_known_what_was_lost() -> None:
    assert "It cannot be read" in doctor.render(PAGE, "/metrics")


def test_both_pages_are_served_with_the_same_policy(web: Running) -> None:
    policies = [web.request(path)[1]["Content-Security-Policy"] for path in ("/", "/doctor")]
    assert policies[0] == policies[1]
    assert policies[0].startswith("default-src 'none'; script-src 'self'; style-src 'self';")


def test_the_picture_knows_every_door_and_fd_type() -> None:
    """The scripts get their order from the page, and name none themselves."""
    (attribute,) = re.findall('data-order="([^"]+)"', render(PAGE, "/metrics"))
    told = json.loads(unescape(attribute))
    assert told == order()
    assert sorted(told["doors"]) == sorted(door.label for door in Door)
    assert sorted(told["fd_types"]) == sorted(fd_type.label for fd_type in FdType)
    scripts = [file.path.read_text() for name, file in files().items() if name.endswith(".js")]
    named = "|".join(door.label for door in Door if "_" in door.label)
    assert not [t for t in scripts if len(t) < 100_000 and re.search(f'"({named})"', t)]


GRAPH = """
import { graph } from "./graph.mjs";
const order = JSON.parse(process.argv[1]);
const flow = (name) => ({ process: "p", door: name, fd_type: "tcp", read: 1, written: 2 });
const file = (name) => ({ process: "p", door: "splice", fd_type: name, read: 1, written: 2 });
const behind = (name) => ({ fd_type: name, name: `of ${name}`, read: 1, written: 2 });
const names = (rows, column, more = []) =>
  graph({ flows: rows, behind: more, devices: [] }, 0, 4, "both", order)
    .nodes.filter((node) => node.column === column).map((node) => node.name);
const some = order.fd_types.filter((_, number) => number % 5 === 0);
console.log(JSON.stringify([
  names(order.doors.slice(-9).reverse().map(flow), 1),
  names([...some].reverse().map(file), 2),
  names([...some].reverse().map(file), 3, [...some].reverse().map(behind)),
]));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="no node here: `make test` installs it")
def test_the_picture_has_doors_and_fd_types_in_that_order(tmp_path: Path) -> None:
    shutil.copy(files()["graph.js"].path, tmp_path / "graph.mjs")
    command = ["node", "--input-type=module", "--eval", GRAPH, json.dumps(order())]
    answer = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    doors, fd_types, behind = json.loads(answer.stdout)
    assert doors == order()["doors"][-9:]
    assert fd_types == order()["fd_types"][::5]
    assert behind == [f"of {name}" for name in fd_types]


def test_what_is_shown_cannot_be_markup() -> None:
    text = render(replace(PAGE, mode="<script>", version="a & b <b>"), "/metrics")
    assert all(escaped in text for escaped in ("a &amp; b", "&lt;b&gt;", "&lt;script&gt;"))
    assert re.findall("<script[^>]*>", text) == ['<script src="static/page.js" type="module">']


def test_it_needs_nothing_else() -> None:
    text = render(PAGE, "/metrics")
    assert set(re.findall('(?:src|href)="([^"]+)"', text)) == {
        *("data:,", "metrics", "-/healthy", "-/ready", "doctor"),
        *(f"static/{name}" for name in LOADED),
    }  # fmt: skip
    assert set(LOADED) <= set(files())


def test_its_files_need_nothing_else() -> None:
    own = [file.path.read_text() for file in files().values()]
    assert len(own) > 4
    address = r"https?:(?!//www\.w3\.org/2000/svg)|url\(|@import|innerHTML"
    assert not [text for text in own if re.search(address, text)]


def test_all_of_it_is_small() -> None:
    assert sum(len(gzip.compress(file.path.read_bytes())) for file in files().values()) < 100_000


def test_every_placeholder_is_filled() -> None:
    assert "$" not in render(PAGE, "/metrics")


def test_it_links_to_where_the_metrics_are() -> None:
    assert 'href="a/~b"' in render(PAGE, "/a/~b")
