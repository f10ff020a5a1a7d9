# SPDX-License-Identifier: GPL-2.0-only
"""A watched process and its files as the page shows them, as plain values for JSON."""

from collections.abc import Iterable, Iterator
from heapq import nlargest
from typing import Any

from fdscope.exporter.spotlight.protocol import NoProcessError
from fdscope.exporter.spotlight.recorder import ProcessView, View
from fdscope.exporter.spotlight.rows import FileRow

Document = dict[str, Any]

MOST_OPEN = 300
MOST_CLOSED = 100
"""Rows of a document; the others are in its sums."""


def process_document(view: View, pid: int) -> Document:
    """The process of this pid in a view; NoProcessError if it is not there."""
    mine = next((each for each in view.processes if each.process.key.tgid == pid), None)
    if mine is None:
        raise NoProcessError(f"{pid}: there is no process with this pid")
    process, now = mine.process, view.now
    opened = [row for row in mine.rows if row.is_open]
    closed = [row for row in mine.rows if not row.is_open]
    shown = [
        *sorted(nlargest(MOST_OPEN, opened, _rank), key=lambda row: row.fds),
        *nlargest(MOST_CLOSED, closed, lambda row: row.times.closed_at if row.times else 0.0),
    ]
    return {
        "pid": pid,
        "process": mine.name,
        "watched_seconds": round((process.ended / 1e9 or now) - process.born / 1e9, 6),
        "ended": bool(process.ended),
        "lost": {"operations": process.lost.operations, "bytes": process.lost.bytes},
        "sums": _sums(mine.rows),
        "open_files": len(opened),
        "closed_files": sum(row.files for row in closed),
        "not_shown": {
            "open": max(len(opened) - MOST_OPEN, 0),
            "closed": sum(row.files for row in closed)
            - sum(row.files for row in shown if not row.is_open),
        },
        "files": [row.as_dict(now) for row in shown],
        "passed": list(_passed(view, mine)),
        "neighbours": [
            {"pid": each.process.key.tgid, "process": each.name}
            for each in view.processes
            if each is not mine
        ],
    }


def _rank(row: FileRow) -> tuple[int, float]:
    """What moves most is shown first, then what was opened last."""
    return row.read.bytes + row.written.bytes, row.times.first_seen if row.times else 0.0


def _sums(rows: Iterable[FileRow]) -> dict[str, float]:
    """Of all rows, also of those that are not shown."""
    sums: dict[str, float] = {"reads": 0, "writes": 0, "read": 0, "written": 0, "errors": 0}
    for row in rows:
        sums["reads"] += row.read.operations
        sums["writes"] += row.written.operations
        sums["read"] += row.read.bytes
        sums["written"] += row.written.bytes
        sums["errors"] += row.errors
    return sums


def _passed(view: View, mine: ProcessView) -> Iterator[Document]:
    """What other watched processes have received from this one."""
    for each in view.processes:
        for row in each.rows:
            if not row.passed_by or row.passed_by.pid != mine.process.key.tgid:
                continue
            yield {
                "id": row.identity,
                "fd_type": row.fd_type.label,
                "name": row.name.text,
                "files": row.files,
                "pid": each.process.key.tgid,
                "process": each.name,
                "fds": list(row.fds),
                "seconds_ago": round(view.now - row.times.first_seen, 6) if row.times else None,
            }
