# SPDX-License-Identifier: GPL-2.0-only
"""What open descriptors hold at a census: bytes in queues, space of deleted files, memory."""

from fdscope.exporter.catalog.model import FD_TYPE, OWNER, Kind, Label, Metric

_MEASURE = (
    " TCP: bytes; other sockets: memory of the messages, as ss shows it; pipes: pages. Only where"
    " something waits."
)
DEVICE = Label(
    "device",
    "of the filesystem: a block device, or major and minor number; other for all beyond the first"
    " three of a process",
    ambiguous=True,
)

UNREAD = Metric(
    "fdscope_fd_unread_bytes",
    Kind.GAUGE,
    "What waits at the last census in sockets and pipes for the process to read it." + _MEASURE,
    (*OWNER, FD_TYPE),
)
UNSENT = Metric(
    "fdscope_fd_unsent_bytes",
    Kind.GAUGE,
    "What the process has written and the other end has not taken, at the last census." + _MEASURE,
    (*OWNER, FD_TYPE),
)
MOST_UNREAD = Metric(
    "fdscope_fd_most_unread_bytes",
    Kind.GAUGE,
    "As fdscope_fd_unread_bytes, of the fullest descriptor.",
    (*OWNER, FD_TYPE),
)
MOST_UNSENT = Metric(
    "fdscope_fd_most_unsent_bytes",
    Kind.GAUGE,
    "As fdscope_fd_unsent_bytes, of the fullest descriptor.",
    (*OWNER, FD_TYPE),
)
DELETED_FDS = Metric(
    "fdscope_deleted_file_fds",
    Kind.GAUGE,
    "Fds of files without a name, deleted or never linked, at the last census. Only where there"
    " are some.",
    (*OWNER, DEVICE),
)
DELETED_BYTES = Metric(
    "fdscope_deleted_file_bytes",
    Kind.GAUGE,
    "Space that these files hold until they are closed; a file counts once for each fd.",
    (*OWNER, DEVICE),
)
MEMFD_BYTES = Metric(
    "fdscope_memfd_bytes",
    Kind.GAUGE,
    "Memory of open memfds at the last census; one counts once for each fd.",
    OWNER,
)
