# SPDX-License-Identifier: GPL-2.0-only
"""The page at ``/doctor``: what fdscope sees on this machine, and what not; text alone."""

from collections.abc import Sequence
from html import escape

from fdscope.exporter.page import PageData, template
from fdscope.probes.attach.report import HookStatus
from fdscope.probes.doctor import aside
from fdscope.probes.doctor.diagnosis import OK, Check, Diagnosis, Trial
from fdscope.probes.hooks.blind_spots import BlindSpot
from fdscope.probes.selftest.run import Row

_STATES = {OK: "attached", "note": "", "problem": "failed"}
"""Of a check, to the class of its colour."""


def render(data: PageData, telemetry_path: str) -> str:
    """Write the page; it takes a second the first time. All links are relative."""
    try:
        checks, verdict = aside.checks(), ""
    except aside.ExaminationError as error:
        checks, verdict = (), str(error)
    return template("doctor.html").substitute(
        version=escape(data.version),
        mode=escape(data.mode),
        attached=data.attached,
        hooks=len(data.attachments),
        metrics=escape(telemetry_path.removeprefix("/")),
        lost=escape(data.losses.text() if data.losses else "It cannot be read: see the log."),
        lost_state="closes" if data.losses and data.losses.complete else "open",
        blind_count=len(data.not_traced),
        blind="".join(map(_spot, data.not_traced)),
        selftest=_selftest(data.selftest),
        rows_of_selftest="".join(map(_case, data.selftest)),
        verdict=escape(verdict or _verdict(data, checks)),
        checks="".join(map(_check, checks)),
        rows="".join(map(_hook, data.attachments)),
    )


def _verdict(data: PageData, checks: tuple[Check, ...]) -> str:
    """That of ``fdscope doctor``, of the mode that is attached."""
    return Diagnosis(checks, (Trial(data.mode, True, hooks=data.attachments),)).verdict


def _selftest(rows: Sequence[Row]) -> str:
    if not rows:
        return "No self-test has judged the probes."
    exact = sum(row.ok for row in rows)
    return (
        f"{exact} of {len(rows)} cases are exact: known bytes through each door and fd type, as the"
        " probes counted them."
    )


def _case(row: Row) -> str:
    counted = (row.expected_bytes, row.file_bytes, row.socket_bytes)
    numbers = "".join(
        f'<td class="number">{"" if each is None else f"{each:,}"}' for each in counted
    )
    names = "".join(
        f"<td>{escape(each)}" for each in (row.case, row.door, row.fd_type, row.direction)
    )
    state = ("attached", "exact") if row.ok else ("failed", "not exact")
    if row.unsupported:
        state = "", row.unsupported
    return f'<tr>{names}{numbers}<td><b class="{state[0]}">{escape(state[1])}</b>'


def _check(check: Check) -> str:
    return (
        f'<tr><td><b>{escape(check.name)}</b><td><b class="{_STATES.get(check.state, "")}">'
        f"{escape(check.state)}</b><td>{escape(check.found)}<td>{escape(check.remedy)}"
    )


def _hook(row: HookStatus) -> str:
    return (
        f"<tr><td><code>{escape(row.function)}</code>"
        f'<td><b class="{row.state}">{row.state}</b><td>{escape(row.layer)}<td>{escape(row.mode)}'
        f"<td>{escape(row.why)}"
    )


def _spot(spot: BlindSpot) -> str:
    return f"<li><b>{escape(spot.what)}</b><br>{escape(spot.why)}"
