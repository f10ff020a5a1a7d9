# SPDX-License-Identifier: GPL-2.0-only
"""What a lease sees, as a document of plain values, and documents as text.

The document is what ``--json`` prints and what a running exporter sends to its clients.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fdscope.exporter.spotlight.names import state

if TYPE_CHECKING:
    from fdscope.exporter.spotlight.recorder import OpenNow, OriginsView, ProcessView, View
    from fdscope.probes.schema.files import Origin, OriginKey

Document = dict[str, Any]

NOTHING_DONE = "no file was read or written"


def document(view: "View", mode: str, version: str) -> Document:
    """Processes with their files."""
    return {
        "fdscope": version,
        "mode": mode,
        "processes": [_process(each, view.now) for each in view.processes],
        "lost": {"operations": view.lost.operations, "bytes": view.lost.bytes},
        "room": {name: {"used": used, "of": of} for name, (used, of) in view.room.items()},
    }


def _process(view: "ProcessView", now: float) -> Document:
    process = view.process
    rows = sorted(view.rows, key=lambda row: (not row.is_open, row.fds, row.name.shown))
    return {
        "pid": process.key.tgid,
        "process": view.name,
        "parent": process.parent.tgid if process.parent else None,
        "watched_seconds": round((process.ended / 1e9 or now) - process.born / 1e9, 6),
        "ended": bool(process.ended),
        "lost_operations": process.lost.operations,
        "files": [row.as_dict(now) for row in rows],
    }


def origins_document(views: Iterable["OriginsView"], mode: str, version: str) -> Document:
    """Where processes have opened their descriptors: stacks as addresses, and what is open."""
    return {
        "fdscope": version,
        "mode": mode,
        "processes": [
            {
                "pid": view.process.key.tgid,
                "process": view.name,
                "watched_seconds": round(view.now - view.process.born / 1e9, 6),
                "ended": bool(view.process.ended),
                "without_origin": view.process.without_origin,
                "origins": [_origin(key, origin) for key, origin in view.origins.items()],
                "open": [_open_now(each, view.now) for each in view.open],
            }
            for view in views
        ],
    }


def _origin_name(key: "OriginKey") -> str:
    return ":".join(f"{part:x}" for part in key)


def _origin(key: "OriginKey", origin: "Origin") -> Document:
    return {
        "origin": _origin_name(key),
        "fd_type": key.fd_type.label,
        "opened_by": key.birth.label,
        "opened": origin.opened,
        "frames": list(origin.frames),
        "registers": list(origin.registers),
        "python": [list(frame) for frame in origin.python],
        "sample": base64.b64encode(origin.sample).decode(),
    }


def _open_now(each: "OpenNow", now: float) -> Document:
    fd, opened = each.fd, each.opened
    return {
        "fd": fd.fd,
        "fd_type": fd.fd_type.label,
        "name": each.name.text,
        "state": state(fd.fd_type, fd.ends) or None,
        "origin": _origin_name(opened.origin) if opened else None,
        "age_seconds": round(now - opened.at / 1e9, 6) if opened else None,
        "idle_seconds": None if each.idle is None else round(each.idle, 6),
    }


def number(value: int) -> str:
    """Exact, with groups of three digits."""
    return f"{value:,}"


def duration(seconds: float | None) -> str:
    """Three digits and a unit; ``-`` for none."""
    if seconds is None:
        return "-"
    for limit, factor, unit in ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms"), (120.0, 1.0, "s")):
        if seconds < limit:
            return f"{seconds * factor:.3g} {unit}"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int]) -> list[str]:
    """Aligned columns; those in ``right`` to the right, the last as long as it is."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(head) - 1)]
    return [
        "  ".join(
            [
                line[n].rjust(width) if n in right else line[n].ljust(width)
                for n, width in enumerate(widths)
            ]
            + [line[-1]]
        ).rstrip()
        for line in lines
    ]


# The report of `fdscope run`.

_RUN_HEAD = ("DOOR", "WHAT", "OPERATIONS", "BYTES", "TIME", "TYPE", "VIA", "DEVICE", "FILE")
_RUN_RIGHT = (2, 3, 4)


def run_text(report: Document) -> str:
    """The report of ``fdscope run``: each process, by door and file."""
    lines = [_ending(report)]
    for process in report["processes"]:
        lines += ["", f"{process['process']} (pid {process['pid']})"]
        lines += [f"  {line}" for line in _process_text(process)]
    lines += _losses(report)
    return "\n".join(lines)


def _ending(report: Document) -> str:
    how = (
        f"was ended by {report['signal']}"
        if report["signal"]
        else f"ended with status {report['exit_status']}"
    )
    count = len(report["processes"])
    processes = "1 process" if count == 1 else f"{count} processes"
    return (
        f"{' '.join(report['command'])} {how} after {duration(report['seconds'])}:"
        f" {processes}, {report['mode']} mode"
    )


def _process_text(process: Document) -> list[str]:
    used = [file for file in process["files"] if file["operations"]]
    rows = [(file, operation) for file in used for operation in file["operations"]]
    if not rows:
        return [NOTHING_DONE]
    rows.sort(key=lambda row: (row[1]["door"], -row[1]["bytes"], -row[1]["operations"]))
    lines = table(_RUN_HEAD, (_run_row(*row) for row in rows), _RUN_RIGHT)
    unused = sum(file["files"] for file in process["files"] if not file["operations"])
    if unused:
        files = "1 more file" if unused == 1 else f"{number(unused)} more files"
        lines.append(f"and {files} without an operation (see --json)")
    return lines


def _run_row(file: Document, operation: Document) -> tuple[str, ...]:
    what = operation["what"] + (f" {operation['errno']}" if operation["errno"] else "")
    return (
        operation["door"],
        what,
        number(operation["operations"]),
        number(operation["bytes"]),
        duration(operation["seconds"]),
        file["fd_type"],
        _via(file),
        file["device"] or "",
        shown_name(file),
    )


def _via(file: Document) -> str:
    filesystem: str = file["filesystem"] or ""
    return "" if filesystem in _WITHOUT_MEANING else filesystem


_WITHOUT_MEANING = ("anon_inodefs", "pipefs", "sockfs")
"""Filesystems of the kernel alone: the fd type says more."""


def shown_name(file: Document) -> str:
    """The name for a table, or ``?``."""
    name = (file["name"] or "?") + " (deleted)" * file.get("deleted", False)
    return f"{name} ({number(file['files'])} times)" if file["files"] > 1 else name


def _losses(report: Document) -> list[str]:
    if not report["lost"]["operations"]:
        return []
    lost = report["lost"]
    return [
        "",
        f"lost because a map was full: {number(lost['operations'])} operations,"
        f" {number(lost['bytes'])} bytes are in no row",
    ]


# The table of `fdscope files`.

_FILES_HEAD = (
    *("PID", "PROCESS", "FD", "TYPE", "MODE", "READ", "WRITTEN", "OPS", "ERRORS", "IDLE"),
    *("QUEUE", "FILE"),
)
_FILES_RIGHT = (0, 5, 6, 7, 8, 9, 10)


def files_text(report: Mapping[str, Any], with_closed: bool = True) -> str:
    """The table of ``fdscope files``: one line for each file."""
    rows = [
        _files_row(process, file)
        for process in report["processes"]
        for file in process["files"]
        if with_closed or file["open"]
    ]
    lines = table(_FILES_HEAD, rows, _FILES_RIGHT)
    return "\n".join(lines + _losses(dict(report)))


def _files_row(process: Document, file: Document) -> tuple[str, ...]:
    moved = {"read": 0, "write": 0}
    operations = errors = 0
    for each in file["operations"]:
        operations += each["operations"]
        if each["errno"]:
            errors += each["operations"]
        elif each["what"] in moved:
            moved[each["what"]] += each["bytes"]
    queues = [file.get("receive_queue"), file.get("send_queue")]
    known = [str(each) for each in queues if each is not None]
    return (
        str(process["pid"]),
        process["process"],
        ",".join(map(str, file["fds"])) if file["open"] else "closed",
        file["fd_type"],
        file.get("access", ""),
        number(moved["read"]),
        number(moved["write"]),
        number(operations),
        number(errors),
        duration(file["idle_seconds"]),
        "/".join(known),
        with_peers(file),
    )


def with_peers(file: Document) -> str:
    """The name with the state of a connection, and who holds the other end."""
    text = shown_name(file)
    if state := file.get("state"):
        text += f" {state}"
    peers = file.get("peers") or []
    if peers:
        others = ", ".join(f"{peer['process']}[{peer['pid']}]:{peer['fd']}" for peer in peers[:3])
        text += f" <-> {others}" + (", ..." if len(peers) > 3 else "")
    return text
