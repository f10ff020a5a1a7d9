# SPDX-License-Identifier: GPL-2.0-only
"""Who talks to whom as the page shows it, as plain values for JSON."""

from typing import Any

from fdscope.exporter.page.process import Document
from fdscope.exporter.spotlight.recorder import View
from fdscope.exporter.spotlight.talks import End, Range, Talk, Testimony, talks
from fdscope.probes.schema.taxonomy import FdType

MOST_TALKS = 150
MOST_HOLDERS = 4


def talks_document(view: View, testimony: Testimony) -> Document:
    """The pipes and connections of the host; bytes where both ends or one are watched."""
    found = talks(view, testimony)
    seconds = [view.now - each.process.born / 1e9 for each in view.processes]
    return {
        "watched": len(view.processes),
        "watched_seconds": round(max(seconds, default=0.0), 6),
        "lost": {"operations": view.lost.operations, "bytes": view.lost.bytes},
        "talks": [_talk(each) for each in found[:MOST_TALKS]],
        "not_shown": max(len(found) - MOST_TALKS, 0),
    }


def _talk(talk: Talk) -> dict[str, Any]:
    ways = [_way(talk, talk.one, talk.other)]
    if talk.fd_type is not FdType.FIFO:
        ways.append(_way(talk, talk.other, talk.one))
    return {
        "fd_type": talk.fd_type.label,
        "name": talk.name,
        "one": _end(talk.one),
        "other": _end(talk.other),
        "compared": talk.is_compared,
        "why_not": "" if talk.is_compared else _why_not(talk),
        "ways": ways,
    }


def _why_not(talk: Talk) -> str:
    if talk.one.is_counted and talk.other.is_counted:
        return "the ends are counted since different moments"
    return "not every process that holds an end is watched"


def _end(end: End) -> dict[str, Any]:
    return {
        "processes": [
            {"pid": peer.pid, "process": peer.name, "fd": peer.fd}
            for peer in end.processes[:MOST_HOLDERS]
        ],
        "more": max(len(end.processes) - MOST_HOLDERS, 0),
        "counted": end.is_counted,
    }


def _way(talk: Talk, source: End, target: End) -> dict[str, Any]:
    """One direction: what its sender and its receiver did, and the kernel's count of both."""
    return {
        "sent": source.sent if source.starts else None,
        "received": target.received if target.starts else None,
        "residual": source.sent - target.received if talk.is_compared else None,
        "kernel_sent": _range(source.kernel_sent),
        "kernel_received": _range(target.kernel_received),
    }


def _range(known: Range | None) -> list[int] | None:
    return [known.least, known.most] if known else None
