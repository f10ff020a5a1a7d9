# SPDX-License-Identifier: GPL-2.0-only
"""The closed sets of words, each with the number that stands for it in the BPF maps.

This is their only home: the C programs get the numbers from ``constants()``, the
exporter its label values from ``label``.
"""

import enum


class Taxonomy(enum.IntEnum):
    """A closed set: the number in the maps, and the word in the labels."""

    @property
    def label(self) -> str:
        """The word that stands for the member in metric labels, e.g. ``unix_stream``."""
        return self.name.lower()

    @classmethod
    def constants(cls, prefix: str) -> list[tuple[str, int]]:
        """(C constant, number) of each member, e.g. ``("DOOR_SENDFILE", 3)``."""
        return [(f"{prefix}_{member.name}", member.value) for member in cls]


class FdType(Taxonomy):
    """What a file descriptor refers to, by its inode (and socket) in the kernel."""

    OTHER = 0
    REGULAR = 1
    DIRECTORY = 2
    BLOCK = 3
    CHARACTER = 4
    TTY = 5
    FIFO = 6
    TCP = 7
    UDP = 8
    UNIX_STREAM = 9
    UNIX_DGRAM = 10
    UNIX_SEQPACKET = 11
    NETLINK = 12
    PACKET = 13
    RAW = 14
    ICMP = 15
    SCTP = 16
    VSOCK = 17
    SOCKET_OTHER = 18
    EVENTFD = 19
    EVENTPOLL = 20
    TIMERFD = 21
    SIGNALFD = 22
    INOTIFY = 23
    FANOTIFY = 24
    IO_URING = 25
    PIDFD = 26
    MEMFD = 27
    BPF = 28
    PERF_EVENT = 29
    USERFAULTFD = 30
    ANON_OTHER = 31
    MQUEUE = 32
    PATH = 33
    NAMESPACE = 34

    @property
    def is_socket(self) -> bool:
        """True for sockets of every family."""
        return self in SOCKETS

    @property
    def is_internet(self) -> bool:
        """True for sockets whose data goes over IP."""
        return self in INTERNET


class FdKind(enum.Enum):
    """Groups of fd types: each fd type is of one kind."""

    TCP = (FdType.TCP,)
    UDP = (FdType.UDP,)
    UNIX = (FdType.UNIX_STREAM, FdType.UNIX_DGRAM, FdType.UNIX_SEQPACKET)
    SOCKET = (
        *(FdType.NETLINK, FdType.PACKET, FdType.RAW, FdType.ICMP, FdType.SCTP, FdType.VSOCK),
        FdType.SOCKET_OTHER,
    )
    FILE = (FdType.REGULAR, FdType.DIRECTORY, FdType.MEMFD, FdType.PATH, FdType.NAMESPACE)
    PIPE = (FdType.FIFO, FdType.MQUEUE)
    DEVICE_FILE = (FdType.CHARACTER, FdType.BLOCK, FdType.TTY)
    EVENT = (
        *(FdType.EVENTFD, FdType.EVENTPOLL, FdType.TIMERFD, FdType.SIGNALFD, FdType.INOTIFY),
        *(FdType.FANOTIFY, FdType.IO_URING, FdType.PIDFD, FdType.BPF, FdType.PERF_EVENT),
        *(FdType.USERFAULTFD, FdType.ANON_OTHER, FdType.OTHER),
    )

    @property
    def label(self) -> str:
        """The word for the kind, e.g. ``device_file``."""
        return self.name.lower()

    @property
    def fd_types(self) -> tuple[FdType, ...]:
        """The fd types of the kind."""
        members: tuple[FdType, ...] = self.value
        return members


SOCKET_KINDS = (FdKind.TCP, FdKind.UDP, FdKind.UNIX, FdKind.SOCKET)
SOCKETS = frozenset(fd_type for kind in SOCKET_KINDS for fd_type in kind.fd_types)
INTERNET = frozenset((FdType.TCP, FdType.UDP, FdType.RAW, FdType.ICMP, FdType.SCTP))


class Door(Taxonomy):
    """The way an operation entered the file layer."""

    READ_WRITE = 0
    VECTORED = 1
    SOCKET_CALL = 2
    SENDFILE = 3
    SPLICE = 4
    COPY_FILE_RANGE = 5
    IO_URING = 6
    AIO = 7
    DIRECTORY_CALL = 8
    MQUEUE_CALL = 9


class Scope(Taxonomy):
    """Where the peer of a socket is."""

    LOOPBACK = 0
    REMOTE = 1
    LOCAL = 2
    UNKNOWN = 3


class Birth(Taxonomy):
    """How an fd was opened."""

    OTHER = 0
    OPEN = 1
    SOCKET = 2
    ACCEPT = 3
    PIPE = 4
    DUP = 5
    ANONYMOUS = 6
    SCM_RIGHTS = 7
    PIDFD_GETFD = 8
    FORK = 9
    IO_URING = 10
    IOCTL = 11


class Cause(Taxonomy):
    """Why an fd was closed."""

    OTHER = 0
    CLOSE = 1
    REPLACED = 2
    EXEC = 3
    EXIT = 4
    IO_URING = 5


class Passing(Taxonomy):
    """Whether an fd was sent or received through a unix socket, seen from the process."""

    RECEIVED = 0
    SENT = 1


class Stdio(Taxonomy):
    """The standard fds."""

    INPUT = 0
    OUTPUT = 1
    ERROR = 2

    @property
    def label(self) -> str:
        """The number of the fd."""
        return str(self.value)


class Connection(Taxonomy):
    """Which end of a connection a socket is, and where the other end is."""

    CONNECT_LOOPBACK = 0
    CONNECT_REMOTE = 1
    CONNECT_LOCAL = 2
    CONNECT_UNKNOWN = 3
    ACCEPT_LOOPBACK = 4
    ACCEPT_REMOTE = 5
    ACCEPT_LOCAL = 6
    ACCEPT_UNKNOWN = 7

    @property
    def role(self) -> str:
        """``connect`` or ``accept``."""
        return self.label.partition("_")[0]

    @property
    def scope(self) -> Scope:
        """Where the other end is."""
        return Scope[self.name.partition("_")[2]]


class TcpState(Taxonomy):
    """State of a TCP socket, as in include/net/tcp_states.h of the kernel."""

    ESTABLISHED = 1
    SYN_SENT = 2
    SYN_RECV = 3
    FIN_WAIT1 = 4
    FIN_WAIT2 = 5
    TIME_WAIT = 6
    CLOSE = 7
    CLOSE_WAIT = 8
    LAST_ACK = 9
    LISTEN = 10
    CLOSING = 11


def tcp_state(number: int) -> str:
    """The label of a state by the kernel's number of it; "" if it is none.

    A handshake has a state of its own there, and no socket: the metrics have it as ``syn_recv``.
    """
    if number == _TCP_NEW_SYN_RECV:
        return "new_syn_recv"
    return TcpState(number).label if number in _TCP_STATES else ""


_TCP_NEW_SYN_RECV = 12
_TCP_STATES = frozenset(TcpState)


class DebugMethod(Taxonomy):
    """How a process accessed another one like a debugger."""

    PIDFD_GETFD = 0
    PTRACE_ATTACH = 1
    PTRACE_SEIZE = 2


class EventKind(Taxonomy):
    """What the journal reports. The kernel side sees those up to ``DEVICE_OPENED``."""

    STDIO_SOCKET = 0
    EXEC_ON_SOCKET = 1
    CAPTURE_SOCKET = 2
    DEBUG_ACCESS = 3
    FD_PASSED = 4
    FD_REFUSED = 5
    MEMFD_EXECUTED = 6
    SPECIAL_FD = 7
    DEVICE_OPENED = 8
    NEW_BEHAVIOR = 9
    FD_LIMIT_NEAR = 10
    UPDATES_LOST = 11
    PROBE_NOT_ATTACHED = 12
    SELFTEST_FAILED = 13
    MODE_CHANGED = 14
    EVENTS_LEFT_OUT = 15
    JOURNAL_STARTED = 16
    JOURNAL_STOPPED = 17


class EventCount(Taxonomy):
    """Events in the kernel: all, and those of them that were not written to the ring buffer."""

    MADE = 0
    RING_FULL = 1
    FLOOD = 2


class Account(Taxonomy):
    """What a row of the ``counters`` map counts, seen from the process.

    Peeked bytes stay in the socket's queue (``MSG_PEEK``) and are read again; duplicated bytes stay
    in the pipe (``tee``); a receive with ``MSG_TRUNC`` returns the length of the message, however
    little of it reached the process; what comes from the error queue (``MSG_ERRQUEUE``) are copies
    of what was sent. None of these is what was moved, so they stand apart.
    """

    FILE_READ = 0
    FILE_WRITE = 1
    FILE_PEEK = 2
    FILE_DUPLICATE = 3
    SOCKET_RECEIVE = 4
    SOCKET_SEND = 5
    SOCKET_PEEK = 6
    FILE_TRUNCATE = 7
    SOCKET_TRUNCATE = 8
    FD_OPENED = 9
    FD_CLOSED = 10
    FD_PASSED = 11
    STDIO_SOCKET = 12
    CONNECTION = 13
    DEBUG_ACCESS = 14
    FD_REFUSED = 15
    FILE_ERRQUEUE = 16
    SOCKET_ERRQUEUE = 17

    @property
    def is_file(self) -> bool:
        """True at the file layer, where ``via`` is a door."""
        return self.name.startswith("FILE_")

    @property
    def is_fd(self) -> bool:
        """True for the lifecycle of fds: events have operations and no bytes."""
        return Account.FD_OPENED <= self <= Account.FD_REFUSED


class Loss(Taxonomy):
    """Why something was not counted where it belongs.

    ``TAIL_CALLS``: the kernel did not run the next program. ``SCRATCH``: its memory was given to
    another thread. ``USER_MEMORY``: memory of the counted program could not be read.
    """

    COUNTERS_FULL = 0
    PROCESSES_FULL = 1
    PENDING_FULL = 2
    CALLS_FULL = 3
    UNMATCHED_RETURN = 4
    AIO_EVENTS = 5
    FILESYSTEMS_FULL = 6
    STACKS_FULL = 7
    FDS_UNSEEN = 8
    TAIL_CALLS = 9
    SCRATCH = 10
    USER_MEMORY = 11
    CGROUPS_FULL = 12
    WATCHED_FULL = 13


class NameState(Taxonomy):
    """How much of a file's name was read when it was opened."""

    NONE = 0
    WHOLE = 1
    CUT = 2


class Mode(enum.Enum):
    """The attach modes. Which is best depends on the kernel: ``preemption.best_first()``."""

    FENTRY = "fentry"
    KPROBE = "kprobe"
    TRACEPOINT = "tracepoint"


class Layer(enum.Enum):
    """The layer that a hook observes."""

    FILE = "file"
    SOCKET = "socket"
    PROCESS = "process"
