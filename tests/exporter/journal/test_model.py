# SPDX-License-Identifier: GPL-2.0-only
"""Lines of the journal: valid, of the published schema, harmless whatever is in them."""

import json
from dataclasses import fields
from pathlib import Path

import jsonschema
from hypothesis import given
from hypothesis import strategies as st

from fdscope.exporter.catalog import journal as catalog
from fdscope.exporter.journal import rules, words
from fdscope.exporter.journal.enrich import Clocks, Enricher, Users, what
from fdscope.exporter.journal.model import VERSION, Event, Severity, What, Who, as_dict, line, stamp
from fdscope.probes.schema.taxonomy import Birth, DebugMethod, EventKind, FdType
from tests.exporter.journal.made import EVENT, HOSTILE, KERNEL_EVENT, KERNEL_FILE, PROCESS
from tests.paths import ROOT

SCHEMA = json.loads((ROOT / "docs/events.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def event_of(kernel: object, where: Path) -> Event:
    """As the journal makes it, of a process that is gone."""
    from fdscope.probes.schema.event import KernelEvent

    assert isinstance(kernel, KernelEvent)
    enricher, clocks = Enricher(lambda _: "x.service", where, Users()), Clocks(0, 0)
    who = enricher.process(kernel, clocks)
    other = enricher.other(kernel.other, clocks) if kernel.other else None
    file = what(kernel.file) if kernel.file else None
    verdict = rules.judged(kernel.kind, who, file, other)
    text = words.sentence(kernel, who, file, other)
    return Event(
        kernel.kind.label, verdict.severity, verdict.rule, text, 1, kernel.time, who, other, file
    )


def test_the_fields_of_a_line() -> None:
    told = json.loads(line(EVENT, "here"))
    VALIDATOR.validate(told)
    assert told["version"] == VERSION == SCHEMA["properties"]["version"]["const"]
    assert told["time"] == "2023-11-14T22:13:20.123456Z"
    assert told["monotonic_ns"] == 5_000_000_000
    assert (told["host"], told["kind"], told["severity"]) == ("here", "stdio_socket", "critical")
    assert told["process"]["parents"] == [{"pid": 7, "name": "sshd"}, {"pid": 1, "name": "systemd"}]
    assert told["file"]["remote"] == "10.0.0.2:4444"
    assert told["facts"] == {"tid": 42}


def test_the_schema_has_what_the_lines_have() -> None:
    assert set(SCHEMA["required"]) == set(SCHEMA["properties"]) == as_dict(EVENT, "").keys()
    for name, of in (("process", Who), ("file", What)):
        part = SCHEMA["$defs"][name]
        names = {field.name for field in fields(of)}
        assert set(part["required"]) == set(part["properties"]) == names
    kinds = SCHEMA["properties"]["kind"]["enum"]
    assert kinds == [kind.label for kind in EventKind] == list(catalog.EVENTS.labels[0].values)
    severities = SCHEMA["properties"]["severity"]["enum"]
    assert severities == [each.value for each in Severity] == list(catalog.EVENTS.labels[1].values)


def test_times() -> None:
    assert stamp(0) == "1970-01-01T00:00:00.000000Z"
    assert stamp(999_999_999) == "1970-01-01T00:00:00.999999Z"


KERNEL_KINDS = [kind for kind in EventKind if kind <= EventKind.DEVICE_OPENED]
TEXT = st.one_of(st.just(HOSTILE), st.binary(max_size=64))


@given(
    kind=st.sampled_from(KERNEL_KINDS),
    names=st.lists(TEXT, min_size=7, max_size=7),
    method=st.sampled_from(DebugMethod),
    fd_type=st.sampled_from(FdType),
    has_other=st.booleans(),
)
def test_hostile_text(
    kind: EventKind, names: list[bytes], method: DebugMethod, fd_type: FdType, has_other: bool
) -> None:
    from dataclasses import replace

    kernel = replace(
        KERNEL_EVENT,
        kind=kind,
        process=replace(PROCESS, comm=names[0]),
        other=replace(PROCESS, comm=names[1]) if has_other else None,
        parents=((5, names[2]),),
        program=names[3],
        command=names[4],
        command_bytes=len(names[4]),
        terminal=names[5],
        method=method,
        birth=Birth.OPEN,
        file=None
        if kind is EventKind.FD_REFUSED
        else replace(KERNEL_FILE, name=names[6], fd_type=fd_type),
    )
    written = line(event_of(kernel, Path("/nonexistent")), "host")
    assert written.isascii()
    assert written.isprintable()
    told = json.loads(written)
    VALIDATOR.validate(told)
    assert told["text"].isprintable()
    assert all(parent["name"].isprintable() for parent in told["process"]["parents"])
