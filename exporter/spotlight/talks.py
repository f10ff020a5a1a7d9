# SPDX-License-Identifier: GPL-2.0-only
"""Who talks to whom on this host; the two ends of a pipe or connection are counted apart."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from fdscope.exporter.spotlight.holders import EndKey, Held, Holders
from fdscope.exporter.spotlight.recorder import View
from fdscope.exporter.spotlight.rows import FileRow, Peer
from fdscope.probes.read.tcp_info import TcpBytes, TcpInfo
from fdscope.probes.schema.taxonomy import FdType

Witness = Mapping[EndKey, TcpBytes]
"""What the kernel has counted at ends of TCP connections."""


MOST_WITNESSED = 500


class Around(NamedTuple):
    """What the kernel had counted before a moment and after it."""

    before: Witness
    after: Witness


class Testimony(NamedTuple):
    """Around the moment from which on processes are watched, and around that of a view."""

    start: Around
    now: Around


_Rows = Mapping[tuple[int, FdType, int], list[FileRow]]
"""By pid, type and inode."""


@dataclass(frozen=True, slots=True)
class Range:
    """A number that is known up to what went on while it was read."""

    least: int
    most: int


@dataclass(frozen=True, slots=True)
class End:
    """One end: what all that hold it did to it, as far as they are watched."""

    key: EndKey
    processes: tuple[Peer, ...]
    """Those that move most first, then those that hold this end only."""
    not_watched: int
    """Processes that hold it and are not watched."""
    sent: int
    received: int
    starts: frozenset[int]
    """Since when it is counted: when its processes were first watched; 0 for all of its life."""
    kernel_sent: Range | None = None
    """The same by the kernel's own count; None if that is not known."""
    kernel_received: Range | None = None

    @property
    def is_counted(self) -> bool:
        """True if all that hold it are watched."""
        return not self.not_watched and bool(self.starts)


@dataclass(frozen=True, slots=True)
class Talk:
    """A pipe or connection. Of a pipe, ``one`` is the end that is written to."""

    fd_type: FdType
    name: str
    one: End
    other: End

    @property
    def moved(self) -> int:
        """Bytes of both directions, as far as they are counted."""
        one, other = self.one, self.other
        return max(one.sent, other.received) + max(other.sent, one.received)

    @property
    def is_compared(self) -> bool:
        """True if both ends are counted, and since the same moment."""
        both = self.one.is_counted and self.other.is_counted
        return both and len(self.one.starts | self.other.starts) == 1


def witness(holders: Holders, pids: Collection[int]) -> Witness:
    """What the kernel has counted for connections of these processes within the host, the first."""
    ends = (key for mine, other in holders.pairs() for key in (mine, other))
    tcp = (holders.of(key)[0] for key in ends if key.fd_type is FdType.TCP)
    ours = (held for held in tcp if held.peer.pid in pids)
    return dict(_asked(islice(ours, MOST_WITNESSED)))


def _asked(tcp: Iterable[Held]) -> Iterator[tuple[EndKey, TcpBytes]]:
    try:
        info = TcpInfo()
    except OSError:
        return
    try:
        for held in tcp:
            found = held.fd.ends and info.of(held.fd.ends, held.fd.place.inode)
            if found:
                yield held.key, found
    finally:
        info.close()


def talks(view: View, testimony: Testimony) -> list[Talk]:
    """All pipes and connections between processes, those that move most first."""
    if view.holders is None:
        return []
    holders, rows = view.holders, _by_inode(view)
    started = {each.process.key.tgid: each.process.born for each in view.processes}
    pairs = [
        (holders.of(mine), holders.of(theirs), mine, theirs) for mine, theirs in holders.pairs()
    ]
    pairs = [each for each in pairs if len({h.peer.pid for h in (*each[0], *each[1])}) > 1]

    def end(key: EndKey, held: list[Held], others: list[Held]) -> End:
        both = {each.peer.pid for each in held} & {each.peer.pid for each in others}
        return _end(key, held, both, rows, started, testimony)

    found = [
        Talk(mine.fd_type, held[0].name, end(mine, held, other), end(theirs, other, held))
        for held, other, mine, theirs in pairs
    ]
    return sorted(found, key=lambda talk: (-talk.moved, not talk.one.starts, talk.name))


def _by_inode(view: View) -> _Rows:
    rows: dict[tuple[int, FdType, int], list[FileRow]] = defaultdict(list)
    for each in view.processes:
        for row in each.rows:
            if row.files == 1:  # of several that were closed, the inode is that of the last
                rows[each.process.key.tgid, row.fd_type, row.place.inode].append(row)
    return rows


_NOTHING = TcpBytes(0, 0)


def _since(testimony: Testimony, key: EndKey, starts: frozenset[int]) -> tuple[Range, Range] | None:
    """Sent and received since these starts; None if that is not known."""
    if len(starts) != 1:
        return None
    least, most = (each.get(key) for each in testimony.now)
    early, late = (each.get(key) for each in testimony.start)
    if 0 in starts:
        early = late = _NOTHING
    if least is None or most is None or early is None or late is None:
        return None
    return (
        Range(least.sent - late.sent, most.sent - early.sent),
        Range(least.received - late.received, most.received - early.received),
    )


def _end(
    key: EndKey,
    held: list[Held],
    both: Collection[int],
    rows: _Rows,
    started: Mapping[int, int],
    testimony: Testimony,
) -> End:
    """``both``: the processes that hold the other end too."""
    writes, reads = key.end[-1] != "r", key.end[-1] != "w"
    peers: dict[int, Peer] = {}
    for each in held:
        peers.setdefault(each.peer.pid, each.peer)
    sent, received = Counter[int](), Counter[int]()
    starts = set()
    for pid in peers:
        if pid not in started:
            continue
        mine = rows.get((pid, key.fd_type, held[0].fd.place.inode), [])
        sent[pid] = sum(row.written.bytes for row in mine) if writes else 0
        received[pid] = sum(row.read.bytes for row in mine) if reads else 0
        is_whole = bool(mine) and all(row.birth is not None for row in mine)
        starts.add(0 if is_whole else started[pid])
    order = sorted(peers, key=lambda pid: (-sent[pid] - received[pid], pid in both))
    since = frozenset(starts)
    return End(
        key,
        tuple(peers[pid] for pid in order),
        sum(pid not in started for pid in peers),
        sent.total(),
        received.total(),
        since,
        *(_since(testimony, key, since) or (None, None)),
    )
