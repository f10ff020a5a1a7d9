# SPDX-License-Identifier: GPL-2.0-only
"""Compares the ground truth with what fdscope counted: bytes, operations, process, name."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from fdscope.exporter.accounts.ledger import ledger
from fdscope.probes.schema.slots import slot
from fdscope.probes.schema.snapshot import NOTHING, Amount, ProcessKey, Snapshot
from fdscope.probes.schema.taxonomy import Door, FdType, Scope
from tests.scorecard.model import Line
from tests.scorecard.tally import Entry

FILE, SOCKET, PROCESS = "file", "socket", "process"
_WORDS = {
    "READ": "read",
    "RECEIVE": "read",
    "WRITE": "written",
    "SEND": "written",
    "PEEK": "peeked",
    "DUPLICATE": "duplicated",
    "TRUNCATE": "truncated",
}
"""End of an account's name to the workloads' word for it."""
SOCKETS = frozenset(fd_type.label for fd_type in FdType if fd_type.is_socket)
PAST_THE_RECEIVE_PATH = frozenset({Door.SPLICE.label, Door.SENDFILE.label})
"""Doors by which the kernel reads a socket without calling its receive operation."""


class What(NamedTuple):
    """The meaning of an amount."""

    pid: int
    layer: str
    account: str
    fd_type: str
    door: str


Amounts = dict[What, Amount]
Slots = Mapping[ProcessKey, Mapping[int, Amount]]


def grown(before: Snapshot, after: Snapshot) -> dict[ProcessKey, dict[int, Amount]]:
    """Amounts counted between two snapshots."""
    return {
        key: {
            code: amount.minus(before.amounts.get(key, {}).get(code, NOTHING))
            for code, amount in amounts.items()
        }
        for key, amounts in after.amounts.items()
    }


def _add(amounts: Amounts, what: What, amount: Amount) -> None:
    amounts[what] = amounts.get(what, NOTHING).plus(amount)


def expected(entries: Iterable[Entry], sockets: bool) -> Amounts:
    """Expected amounts, from the workloads; the socket layer counts a socket's bytes again."""
    amounts: Amounts = {}
    for entry in entries:
        _add(
            amounts,
            What(entry.pid, FILE, entry.account, entry.fd_type, entry.door),
            entry.amount,
        )
        passes_by = entry.account == "read" and entry.door in PAST_THE_RECEIVE_PATH
        if sockets and entry.fd_type in SOCKETS and not passes_by and entry.amount.bytes:
            what = What(entry.pid, SOCKET, entry.account, entry.fd_type, "")
            _add(amounts, what, Amount(0, entry.amount.bytes))
    return amounts


def counted(slots: Slots, pids: frozenset[int]) -> Amounts:
    """Amounts counted for these processes, without errors and the kernel's own sockets."""
    amounts: Amounts = {}
    for key, codes in slots.items():
        if key.tgid not in pids:
            continue
        for code, amount in codes.items():
            what = slot(code)
            word = _WORDS.get(what.account.name.rpartition("_")[2])
            if word is None or what.errno or what.kernel or amount == NOTHING:
                continue
            fd_type = what.fd_type.label
            if what.account.is_file:
                _add(amounts, What(key.tgid, FILE, word, fd_type, what.via.label), amount)
            elif amount.bytes:
                moved = Amount(0, amount.bytes)
                _add(amounts, What(key.tgid, SOCKET, word, fd_type, ""), moved)
    return amounts


def compare(truth: Amounts, seen: Amounts, names: Mapping[int, str]) -> list[Line]:
    """A line for every key of either side."""
    return [
        Line(
            what.pid,
            names.get(what.pid, ""),
            *what[1:],
            expected_operations=truth.get(what, NOTHING).operations,
            operations=seen.get(what, NOTHING).operations,
            expected_bytes=truth.get(what, NOTHING).bytes,
            bytes=seen.get(what, NOTHING).bytes,
        )
        for what in sorted(truth.keys() | seen.keys())
    ]


def wrong_names(entries: Sequence[Entry], snapshot: Snapshot) -> list[Line]:
    """A line for each process that has another name in fdscope, or none."""
    known = {key.tgid: process.name.decode() for key, process in snapshot.processes.items()}
    truth = {entry.pid: entry.name for entry in entries}
    return [
        Line(pid, name, PROCESS, f"is known as {known.get(pid)!r}", "", "", 1, 0, 0, 0)
        for pid, name in truth.items()
        if known.get(pid) != name
    ]


def wrong_scopes(slots: Slots, pids: frozenset[int], scope: str) -> list[Line]:
    """A line for each socket amount with a wrong scope; unknown is not wrong."""
    truthful = (scope, Scope.UNKNOWN.label)
    return [
        Line(key.tgid, "", SOCKET, f"scope {found.via.label}", found.fd_type.label, "", 0, 0, 0, n)
        for key, codes in slots.items()
        if key.tgid in pids
        for code, (_, n) in codes.items()
        if n and not (found := slot(code)).account.is_file and found.via.label not in truthful
    ]


def residual(slots: Slots, pids: frozenset[int]) -> int:
    """The residual of the ledger for these processes, in bytes."""
    of_them = [codes for key, codes in slots.items() if key.tgid in pids]
    return sum(abs(line.residual) for line in ledger(of_them) if line.is_socket)
