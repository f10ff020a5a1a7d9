# SPDX-License-Identifier: GPL-2.0-only
"""The life of fds: opened, closed, open now, passed on, connected, looked into."""

from fdscope.exporter.catalog.model import (
    DIRECTION,
    ERRNO,
    FD_TYPE,
    OWNER,
    SCOPE,
    Kind,
    Label,
    Metric,
)
from fdscope.probes.schema.taxonomy import Birth, Cause, DebugMethod, Stdio

BIRTH = Label("birth", "how the process came by the fd", tuple(m.label for m in Birth))
CAUSE = Label("cause", "what ended the fd", tuple(m.label for m in Cause))
FD = Label("fd", "number of the fd: standard input, output, error", tuple(m.label for m in Stdio))
ROLE = Label("role", "connect: this end asked for the connection", ("connect", "accept"))

FDS_OPENED = Metric(
    "fdscope_fds_opened_total",
    Kind.COUNTER,
    "File descriptors that came to be; a table that fork copies counts for the child.",
    (*OWNER, FD_TYPE, BIRTH),
)
FDS_CLOSED = Metric(
    "fdscope_fds_closed_total",
    Kind.COUNTER,
    "File descriptors that ended.",
    (*OWNER, FD_TYPE, CAUSE),
)
FD_REFUSALS = Metric(
    "fdscope_fd_refusals_total",
    Kind.COUNTER,
    "Calls refused for their fd: none was free (EMFILE: of the process, ENFILE: of the host), none"
    " is open under the number (EBADF), or it is no socket (ENOTSOCK); birth says how the fd would"
    " have been opened.",
    (*OWNER, BIRTH, ERRNO),
)
FDS_PASSED = Metric(
    "fdscope_fds_passed_total",
    Kind.COUNTER,
    "File descriptors sent or received through unix sockets (SCM_RIGHTS).",
    (*OWNER, FD_TYPE, DIRECTION),
)
STDIO_SOCKET_EVENTS = Metric(
    "fdscope_stdio_socket_events_total",
    Kind.COUNTER,
    "Times that a socket was put on a standard fd by dup, dup2, dup3 or fcntl.",
    (*OWNER, FD_TYPE, FD),
)
CONNECTIONS = Metric(
    "fdscope_connections_total",
    Kind.COUNTER,
    "Sockets that became one end of a connection; a connect that does not wait counts at once.",
    (*OWNER, FD_TYPE, ROLE, SCOPE),
)
DEBUG_ACCESSES = Metric(
    "fdscope_debug_accesses_total",
    Kind.COUNTER,
    "Times that a process reached into another one like a debugger does.",
    (*OWNER, Label("method", "how", tuple(m.label for m in DebugMethod))),
)

OPEN_FDS = Metric(
    "fdscope_open_fds", Kind.GAUGE, "File descriptors open at the last census.", (*OWNER, FD_TYPE)
)
MAX_FDS = Metric(
    "fdscope_max_fds",
    Kind.GAUGE,
    "Soft limit of a process on its file descriptors (RLIMIT_NOFILE); of those with a pid only.",
    OWNER,
)
FD_LIMIT_RATIO = Metric(
    "fdscope_fd_limit_ratio",
    Kind.GAUGE,
    "Open fds over their limit, of the process of that name where it is highest.",
    (OWNER[0],),
)
STDIO_FDS = Metric(
    "fdscope_stdio_fds",
    Kind.GAUGE,
    "1 for what stands behind a standard fd of a process at the last census; where processes are"
    " summed, their number.",
    (*OWNER, FD, FD_TYPE),
)
FANOTIFY_GROUPS = Metric(
    "fdscope_fanotify_groups",
    Kind.GAUGE,
    "fanotify groups open: permission groups answer before an access goes on.",
    (*OWNER, Label("class", "of the group", ("notification", "permission"))),
)
FANOTIFY_PERMISSION_SECONDS = Metric(
    "fdscope_fanotify_permission_duration_seconds",
    Kind.HISTOGRAM,
    "Time that accesses waited for the answer of a fanotify permission group (not in tracepoint"
    " mode).",
)
HOST_FILES = Metric(
    "fdscope_host_files", Kind.GAUGE, "Open files of the whole host (struct file, fs.file-nr)."
)
HOST_MAX_FILES = Metric(
    "fdscope_host_max_files", Kind.GAUGE, "Most open files that the host allows (fs.file-max)."
)
FD_DRIFT = Metric(
    "fdscope_fd_drift",
    Kind.GAUGE,
    "What the last census and the events since the start disagree by: positive if more is open than"
    " was seen to be opened, as with io_uring in tracepoint mode.",
    (FD_TYPE,),
)
CENSUS_AGE_SECONDS = Metric(
    "fdscope_fd_census_age_seconds", Kind.GAUGE, "How long ago the last whole census ended."
)
CENSUS_SECONDS = Metric(
    "fdscope_fd_census_duration_seconds", Kind.GAUGE, "Time that the last whole census took."
)
CENSUS_PROCESSES = Metric(
    "fdscope_fd_census_processes",
    Kind.GAUGE,
    "Processes of the last census, by whether their fds could be read.",
    (Label("state", "read, or unreadable and so not among the open fds", ("read", "unreadable")),),
)
