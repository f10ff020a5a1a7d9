# SPDX-License-Identifier: GPL-2.0-only
"""Bytes and operations: file layer, socket layer, the ledger between them, durations."""

from fdscope.exporter.catalog.model import (
    DIRECTION,
    DOOR,
    ERRNO,
    FD_TYPE,
    OWNER,
    SCOPE,
    Kind,
    Label,
    Metric,
)

FILE_LABELS = (*OWNER, FD_TYPE, DOOR)
SOCKET_LABELS = (*OWNER, FD_TYPE, SCOPE)


def _file(name: str, text: str) -> Metric:
    return Metric(f"fdscope_file_{name}_total", Kind.COUNTER, text, FILE_LABELS)


def _socket(name: str, text: str) -> Metric:
    return Metric(f"fdscope_socket_{name}_total", Kind.COUNTER, text, SOCKET_LABELS)


FILE_READS = _file("reads", "Operations that read from a file and did not fail.")
FILE_WRITES = _file("writes", "Operations that wrote to a file and did not fail.")
FILE_READ_BYTES = _file("read_bytes", "Bytes read from files.")
FILE_WRITTEN_BYTES = _file("written_bytes", "Bytes written to files.")
FILE_PEEKED_BYTES = _file(
    "peeked_bytes", "Bytes looked at with MSG_PEEK: they stay in the socket and are not in read."
)
FILE_DUPLICATED_BYTES = _file(
    "duplicated_bytes", "Bytes that tee took from a pipe: they stay there and are not in read."
)
_ERRQUEUE = (
    "Bytes of receives with MSG_ERRQUEUE: copies of what was sent, with a timestamp or an error;"
    " not in "
)
FILE_ERRQUEUE_BYTES = _file("errqueue_bytes", f"{_ERRQUEUE}read.")
_TRUNCATED = (
    "Bytes of receives with MSG_TRUNC: they return the length of the message, of which the buffer"
    " may have held less (over TCP it holds nothing); not in "
)
FILE_TRUNCATED_BYTES = _file("truncated_bytes", f"{_TRUNCATED}read.")
FILE_ERRORS = Metric(
    "fdscope_file_errors_total",
    Kind.COUNTER,
    "Operations on a file that failed; calls that a signal restarts are not among them.",
    (*FILE_LABELS, ERRNO),
)
SOCKET_RECEIVES = _socket("receives", "Receiving operations of the socket layer that succeeded.")
SOCKET_SENDS = _socket("sends", "Sending operations of the socket layer that succeeded.")
SOCKET_RECEIVED_BYTES = _socket("received_bytes", "Bytes that the socket layer gave to processes.")
SOCKET_SENT_BYTES = _socket("sent_bytes", "Bytes that the socket layer took from processes.")
SOCKET_PEEKED_BYTES = _socket("peeked_bytes", "Bytes looked at with MSG_PEEK.")
SOCKET_ERRQUEUE_BYTES = _socket("errqueue_bytes", f"{_ERRQUEUE}received.")
SOCKET_TRUNCATED_BYTES = _socket("truncated_bytes", f"{_TRUNCATED}received.")

_LEDGER = (FD_TYPE, DIRECTION)


def _ledger(name: str, text: str, labels: tuple[Label, ...] = _LEDGER) -> Metric:
    return Metric(f"fdscope_ledger_{name}_bytes_total", Kind.COUNTER, text, labels)


LEDGER_DOOR_BYTES = _ledger(
    "door", "Bytes through the file layer, for the whole host, by door.", (*_LEDGER, DOOR)
)
LEDGER_SOCKET_BYTES = _ledger("socket", "Bytes at the socket layer on sockets of processes.")
LEDGER_KERNEL_BYTES = _ledger("kernel", "Bytes on the kernel's own sockets, which have no file.")
LEDGER_BLIND_BYTES = _ledger(
    "blind",
    "Bytes of the doors splice and sendfile from sockets: the kernel moves them past the socket"
    " layer's hooks.",
)
LEDGER_UNDER_WAY_BYTES = Metric(
    "fdscope_ledger_under_way_bytes",
    Kind.GAUGE,
    "Bytes that sendfile and splice calls in flight have given to sockets: the socket layer has"
    " counted them, a door will when they return.",
    _LEDGER,
)
LEDGER_RESIDUAL_BYTES = _ledger(
    "residual",
    "Lower bound of the difference between the socket layer and the doors (without blind ones, with"
    " bytes in flight), confirmed over four scrapes; 0 if every byte is explained.",
)

FILE_READ_SECONDS = Metric(
    "fdscope_file_read_duration_seconds",
    Kind.HISTOGRAM,
    "Time that reading operations took, waiting included (only with --probe.latency).",
    (FD_TYPE,),
)
FILE_WRITE_SECONDS = Metric(
    "fdscope_file_write_duration_seconds",
    Kind.HISTOGRAM,
    "Time that writing operations took, waiting included (only with --probe.latency).",
    (FD_TYPE,),
)
