# SPDX-License-Identifier: GPL-2.0-only
"""The exposition: the same bytes as the client library; only a bad family is left out."""

import http.client
import json
import logging
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families as parse_text

from fdscope.exporter.accounts.processes import Owner
from fdscope.exporter.catalog import fds, layers
from fdscope.exporter.families import owned
from fdscope.exporter.families.build import gauge, table
from fdscope.exporter.http.exposition import LeftOut, encoded, expose
from fdscope.exporter.http.negotiation import metrics_form
from fdscope.probes.schema.slots import KERNEL_SOCKET, OTHER_ERRNO, UNKNOWN_ERRNO, code_of
from fdscope.probes.schema.snapshot import Amount
from fdscope.probes.schema.taxonomy import (
    Account,
    Birth,
    Cause,
    Connection,
    DebugMethod,
    Door,
    FdType,
    Passing,
    Scope,
    Stdio,
)
from tests.exporter.families.test_families import Fixed
from tests.exporter.serving import FakeCollector, running

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
UTF8 = "text/plain; version=1.0.0; escaping=allow-utf-8"
ACCEPTED = ["", OPENMETRICS, UTF8, f"{OPENMETRICS}; escaping=allow-utf-8"]

EVERY_ACCOUNT = {
    **{
        code_of(account, FdType.TCP, Door.SENDFILE): Amount(3, 12345678901)
        for account in Account
        if account.is_file
    },
    **{
        code_of(account, FdType.UDP, Scope.REMOTE): Amount(999_999, 1_000_000)
        for account in Account
        if account.name.startswith("SOCKET_")
    },
    code_of(Account.SOCKET_SEND, FdType.TCP, Scope.REMOTE | KERNEL_SOCKET): Amount(1, 1),
    code_of(Account.FD_OPENED, FdType.TCP, Birth.ACCEPT): Amount(5, 0),
    code_of(Account.FD_CLOSED, FdType.TCP, Cause.EXIT): Amount(5, 0),
    code_of(Account.FD_PASSED, FdType.TCP, Passing.SENT): Amount(5, 0),
    code_of(Account.STDIO_SOCKET, FdType.TCP, Stdio.OUTPUT): Amount(5, 0),
    code_of(Account.CONNECTION, FdType.TCP, Connection.ACCEPT_REMOTE): Amount(5, 0),
    code_of(Account.DEBUG_ACCESS, FdType.OTHER, DebugMethod.PTRACE_SEIZE): Amount(5, 0),
    **{
        code_of(Account.FILE_READ, FdType.FIFO, Door.READ_WRITE, errno): Amount(2**53, 0)
        for errno in (11, 200, UNKNOWN_ERRNO, OTHER_ERRNO)
    },
    code_of(Account.FILE_WRITE, FdType.FIFO, Door.READ_WRITE, 11): Amount(7, 0),
}


def as_plain(family: Metric) -> Metric:
    """The same family without the texts kept from scrape to scrape."""
    plain = Metric(family.name, family.documentation, family.type, family.unit)
    plain.samples = list(family.samples)
    return plain


@pytest.mark.parametrize("accept", ACCEPTED)
def test_tables_are_written_as_the_client_library_writes_them(accept: str) -> None:
    owners = [
        Owner("cat", "7", "app.service"),
        Owner('"\\\n{} \u2028', "", "é", "1700000000"),
        Owner("", "", ""),
    ]
    families = [
        *owned.process_families(dict.fromkeys(owners, EVERY_ACCOUNT)),
        table(fds.FD_LIMIT_RATIO, [(("a",), 0.25), (("b",), 1e-9), (("c",), 1e21)]),
        table(fds.OPEN_FDS, []),
    ]
    assert sum(len(family.series) for family in families) > 3 * len(EVERY_ACCOUNT)
    encode, content_type = choose_encoder(metrics_form(accept))
    expected = encode(Fixed([as_plain(family) for family in families]))
    shown = expose(families, accept, "", LeftOut())
    assert shown.body == expected
    assert shown.content_type == content_type


def test_no_two_series_have_the_same_labels() -> None:
    """Errors are counted by direction, and shown without it."""
    families = owned.process_families({Owner("cat", "7", ""): EVERY_ACCOUNT})
    texts = [series.text for family in families for series in family.series]
    assert len(texts) == len(set(texts))
    (errors,) = (family for family in families if family.name == "fdscope_file_errors")
    found = {sample.labels["errno"]: sample.value for sample in errors.samples}
    assert found == {"EAGAIN": 2**53 + 7, "200": 2**53, "unknown": 2**53, "(other)": 2**53}


@given(
    st.text(),
    st.one_of(st.integers(0, 2**64), st.floats(0, allow_nan=False)),
)
def test_any_name_and_number(name: str, value: float) -> None:
    family = table(fds.FD_LIMIT_RATIO, [((name,), value)])
    for accept in ACCEPTED:
        encode, _ = choose_encoder(accept)
        end = encode(Fixed())
        assert encoded(family, encode) + end == encode(Fixed([as_plain(family)]))


def counter(labels: dict[str, str], value: float) -> Metric:
    family = CounterMetricFamily("fdscope_poison_bytes", "Help.")
    family.add_sample("fdscope_poison_bytes_total", labels, value)
    return family


class Explodes(GaugeMetricFamily):
    """Raises when its samples are read."""

    def __init__(self) -> None:
        super().__init__("fdscope_explodes", "Help.")

    def __getattribute__(self, name: str) -> object:
        if name == "samples" and "documentation" in self.__dict__:
            raise LookupError("no samples")
        return super().__getattribute__(name)


NONE: float = None  # type: ignore[assignment] # what a poisoned family has
POISON: dict[str, Callable[[], Metric]] = {
    "lone surrogate": lambda: counter({"process": "\ud800"}, 1),
    "lone surrogate in the help": lambda: GaugeMetricFamily("fdscope_help", "\udcff", 1),
    "a label that is no string": lambda: counter({"process": 5}, 1),  # type: ignore[dict-item]
    "not a number": lambda: counter({}, float("nan")),
    "none": lambda: counter({}, NONE),
    "negative": lambda: counter({}, -1),
    "a word": lambda: counter({}, "x"),  # type: ignore[arg-type]
    "raises": Explodes,
    "table, lone surrogate": lambda: table(fds.FD_LIMIT_RATIO, [(("\udc80",), 1)]),
    "table, negative": lambda: table(layers.FILE_READS, [(("",) * 5, -1)]),
    "table, none": lambda: table(fds.FD_LIMIT_RATIO, [(("a",), NONE)]),
    "table, not a number": lambda: table(fds.FD_LIMIT_RATIO, [(("a",), float("nan"))]),
}


@pytest.mark.parametrize("poison", POISON)
def test_a_poisoned_family_costs_itself_alone(
    poison: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    bad = POISON[poison]()
    after = gauge(fds.HOST_FILES, [((), 3)])
    with running(FakeCollector(families=[bad, after])) as web:
        for scrape in range(1, 4):
            plain = web.request()
            both = web.request(Accept=OPENMETRICS)
            assert (plain[0], both[0]) == (200, 200)
            names = {family.name for family in parse_text(plain[2].decode())}
            found = {
                family.name: family
                for family in openmetrics_parser.text_string_to_metric_families(  # type: ignore[no-untyped-call]
                    both[2].decode()
                )
            }
            for each in (names, found):
                assert {"fdscope_test_bytes", "fdscope_host_files"} <= set(each)
                assert bad.name not in each
            (told,) = found["fdscope_family_errors"].samples
            assert told.labels == {"family": bad.name}
            assert told.value >= 2 * scrape - 1
    assert caplog.text.count(f"family {bad.name!r} is left out of the scrape") == 1


def test_a_cause_is_logged_again_after_the_family_was_complete(
    caplog: pytest.LogCaptureFixture,
) -> None:
    left_out = LeftOut()
    for value in (-1, -1, 1, -2):
        expose([counter({}, value)], "", "", left_out)
    assert caplog.text.count("is left out of the scrape") == 2
    (family,) = left_out.collect()
    assert [sample.value for sample in family.samples] == [3]


def event(port: int) -> dict[str, object]:
    """The first message of the page's feed."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("GET", "/events")
    response = connection.getresponse()
    try:
        while not (line := response.readline()).startswith(b"data: "):
            assert line
        found: dict[str, object] = json.loads(line.removeprefix(b"data: "))
        return found
    finally:
        connection.close()


def row(process: str, value: float) -> tuple[tuple[str, ...], float]:
    return (process, "1", "", "regular", "read_write"), value


@pytest.mark.parametrize("bad", [NONE, float("nan"), -1.0])
def test_the_page_shows_what_is_not_poisoned(bad: float) -> None:
    families = [
        table(layers.FILE_READ_BYTES, [row("a", bad)]),
        table(layers.FILE_WRITTEN_BYTES, [row("b", 70)]),
    ]
    with running(FakeCollector(families=families)) as web:
        shown = event(web.port)
        status, _, body = web.request()
    total = shown["total"]
    assert isinstance(total, dict)
    assert [(flow["process"], flow["written"]) for flow in total["flows"]] == [("b", 70)]
    assert status == 200
    assert b'fdscope_family_errors_total{family="fdscope_file_read_bytes"}' in body


def test_openmetrics_ends_once() -> None:
    families = [gauge(fds.HOST_FILES, [((), 3)]), gauge(fds.HOST_MAX_FILES, [((), 4)])]
    body = expose(families, OPENMETRICS, "", LeftOut()).body
    assert body.count(b"# EOF\n") == 1
    assert body.endswith(b"# EOF\n")
