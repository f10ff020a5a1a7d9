# SPDX-License-Identifier: GPL-2.0-only
"""The lifecycle of fds: opened, closed, open now, passed on, connected, taken by debuggers."""

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

BIRTH = Label("birth", "how the fd was opened or received", tuple(m.label for m in Birth))
CAUSE = Label("cause", "why the fd was closed", tuple(m.label for m in Cause))
FD = Label("fd", "number of the fd: standard input, output, error", tuple(m.label for m in Stdio))
ROLE = Label(
    "role",
    "which end this was: connect asked for the connection",
    ("connect", "accept"),
)

FDS_OPENED = Metric(
    "fdscope_fds_opened_total",
    Kind.COUNTER,
    "File descriptors opened; those that fork copies count for the child.",
    (*OWNER, FD_TYPE, BIRTH),
)
FDS_CLOSED = Metric(
    "fdscope_fds_closed_total",
    Kind.COUNTER,
    "File descriptors closed.",
    (*OWNER, FD_TYPE, CAUSE),
)
FD_REFUSALS = Metric(
    "fdscope_fd_refusals_total",
    Kind.COUNTER,
    "Calls refused for their fd: none was free (EMFILE: of the process, ENFILE: of the host), none"
    " is open under the number (EBADF), or it is no socket (ENOTSOCK); birth is how the fd would"
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
    "Sockets that became one end of a connection; a non-blocking connect counts at once.",
    (*OWNER, FD_TYPE, ROLE, SCOPE),
)
DEBUG_ACCESSES = Metric(
    "fdscope_debug_accesses_total",
    Kind.COUNTER,
    "Debugger-like accesses to other processes (ptrace, pidfd_getfd).",
    (*OWNER, Label("method", "how", tuple(m.label for m in DebugMethod))),
)

OPEN_FDS = Metric(
    "fdscope_open_fds", Kind.GAUGE, "File descriptors open at the last census.", (*OWNER, FD_TYPE)
)
MAX_FDS = Metric(
    "fdscope_max_fds",
    Kind.GAUGE,
    "Soft limit of a process on its fds (RLIMIT_NOFILE); only of processes with a pid.",
    OWNER,
)
FD_LIMIT_RATIO = Metric(
    "fdscope_fd_limit_ratio",
    Kind.GAUGE,
    "Open fds divided by their limit; of several processes of a name, the highest.",
    (OWNER[0],),
)
STDIO_FDS = Metric(
    "fdscope_stdio_fds",
    Kind.GAUGE,
    "1 for the type of each standard fd of a process at the last census; where processes are"
    " summed, their number.",
    (*OWNER, FD, FD_TYPE),
)
FANOTIFY_GROUPS = Metric(
    "fdscope_fanotify_groups",
    Kind.GAUGE,
    "Open fanotify groups; a permission group decides on each access before it goes on.",
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
    "fdscope_host_max_files", Kind.GAUGE, "Limit on the open files of the host (fs.file-max)."
)
FD_DRIFT = Metric(
    "fdscope_fd_drift",
    Kind.GAUGE,
    "Difference between the last census and the events since the start: positive if more fds are"
    " open than events explain, as with io_uring in tracepoint mode.",
    (FD_TYPE,),
)
CENSUS_AGE_SECONDS = Metric(
    "fdscope_fd_census_age_seconds", Kind.GAUGE, "Age of the last complete census."
)
CENSUS_SECONDS = Metric(
    "fdscope_fd_census_duration_seconds", Kind.GAUGE, "Duration of the last complete census."
)
CENSUS_PROCESSES = Metric(
    "fdscope_fd_census_processes",
    Kind.GAUGE,
    "Processes of the last census, by whether their fds could be read.",
    (
        Label(
            "state",
            "read, or unreadable and so not among the open fds",
            ("read", "unreadable"),
            ambiguous=True,
        ),
    ),
)
