# SPDX-License-Identifier: GPL-2.0-only
"""Content negotiation from a client's headers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdscope.exporter.http.negotiation import OPENMETRICS, TEXT, accepts_gzip, knows, metrics_form
from tests.exporter.serving import Running

PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;q=0.3,"
    "text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", TEXT), ("*/*", TEXT), ("text/html,*/*;q=0.8", TEXT), (PROMETHEUS, OPENMETRICS),
        ("application/openmetrics-text", OPENMETRICS),
        ("Application/OpenMetrics-Text; Version=1.0.0 ; Charset=utf-8", OPENMETRICS),
        ('application/openmetrics-text; version="1.0.0"', OPENMETRICS),
        ("application/openmetrics-text;version=2.0.0", TEXT),
        ("application/openmetrics-text;version=1.0.1", TEXT),
        ("application/openmetrics-text;version=99999999999999999999", TEXT),
        ("application/openmetrics-text;version=1.0.0<script>", TEXT),
        ("application/openmetrics-text;version=9,application/openmetrics-text;q=0.1", OPENMETRICS),
        ("application/openmetrics-text;q=0", TEXT), ("application/openmetrics-text;q=x", TEXT),
        ("application/openmetrics-text;q=0.1,text/plain;q=0.9", TEXT),
        ("text/plain;version=0.0.4;q=0.1,application/openmetrics-text;q=0.2", OPENMETRICS),
        (",;,=;q=,q=1;;" * 500, TEXT), ("application/vnd.google.protobuf", TEXT),
    ],
)  # fmt: skip
def test_forms(accept: str, form: str) -> None:
    assert metrics_form(accept) == form


@given(st.text(alphabet='aq=;,.*/0156789 \t"x-', max_size=60))
def test_any_header_is_read(header: str) -> None:
    assert metrics_form(header) in (TEXT, OPENMETRICS)
    assert accepts_gzip(header) in (True, False)
    assert knows(header, '"x"') in (True, False)


@pytest.mark.parametrize("version", ["2.0.0", "1.0.1", "1.0.0x", "evil"])
def test_an_unknown_version_is_not_promised(web: Running, version: str) -> None:
    status, headers, _ = web.request(Accept=f"application/openmetrics-text;version={version}")
    assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")


@pytest.mark.parametrize(
    ("header", "answer"),
    [
        ("gzip", True), ("GZIP ; q=1.0", True), ("*", True), ("*;q=0.1", True), ("br, gzip", True),
        ("gzip;q=0.001", True), ("", False), ("gzip;q=0", False), ("gzip;q=0.000", False),
        ("*;q=0", False), ("gzip;q=0, *", False), ("x-gzip", False), ("gzipped", False),
        ("gzip;q=-1", False), ("gzip;q=nan", False),
    ],
)  # fmt: skip
def test_gzip(header: str, answer: bool) -> None:
    assert accepts_gzip(header) is answer


@pytest.mark.parametrize(
    ("header", "answer"),
    [('"a"', True), ('W/"a"', True), ('"b", "a"', True), ("*", True), ('"aa"', False), ("", False)],
)
def test_tags(header: str, answer: bool) -> None:
    assert knows(header, '"a"') is answer
