# SPDX-License-Identifier: GPL-2.0-only
"""Processes that are watched for the viewers of the page.

A watch lives as long as somebody asks for it: however a viewer goes, it ends some seconds later.
All that look at a process share one watch, and one reading.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Collection
from contextlib import suppress

from fdscope.exporter.http.scraper import CrowdedError
from fdscope.exporter.page.process import Document, process_document
from fdscope.exporter.page.talks import talks_document
from fdscope.exporter.spotlight.holders import Holders
from fdscope.exporter.spotlight.lens import POLL_SECONDS
from fdscope.exporter.spotlight.protocol import NoProcessError
from fdscope.exporter.spotlight.recorder import Recorder, View
from fdscope.exporter.spotlight.talks import Around, Testimony, Witness, witness
from fdscope.probes.read.spotlight import NoLeaseError

MOST_WATCHES = 8
MOST_NEIGHBOURS = 8
"""Processes at the other ends that are watched too, so that both ends are counted."""
MOST_CHOSEN = 16
"""Processes that a viewer can name to see whom they talk to."""
MOST_TALKERS = 40
"""Processes that are watched for that, with those at the other ends."""
KEEP_SECONDS = 20.0
"""A watch that nobody asks for ends after this time."""
FRESH_SECONDS = 1.0
"""A reading of at most this age is sent again."""
PAUSE_FACTOR = 5.0
"""So is one of this many times the time that it took: looking takes a share of one processor."""

Maker = Callable[[View, Testimony], Document]
_TALKS = 0
"""The key of the watch of who talks to whom; those of processes are their pids."""

log = logging.getLogger(__name__)


class _Watch:
    """Processes, with those at the other ends of their files; used in one thread at a time."""

    def __init__(
        self, recorder: Recorder, make: Maker, most_neighbours: int, clock: Callable[[], float]
    ) -> None:
        self.asked = clock()
        """When somebody last asked for it."""
        self.looking: asyncio.Task[bytes] | None = None
        self._recorder = recorder
        self._make = make
        self._most_neighbours = most_neighbours
        self._clock = clock
        self._lease: int | None = None
        self._watched: set[int] = set()
        self._start = Around({}, {})
        self._holders: Holders | None = None
        """Of the last view."""
        self._fresh_until = 0.0

    @property
    def is_fresh(self) -> bool:
        """True if the last reading can be sent again."""
        return self._clock() < self._fresh_until

    def look(self, pids: Collection[int]) -> Document:
        """What is known now of these processes; NoProcessError if it is nothing.

        NoLeaseError if they cannot be watched, OSError if the kernel refuses.
        """
        began = self._clock()
        if self._lease is None:
            self._begin(pids)
        else:
            self._add(pids, len(pids) + self._most_neighbours)
        before = self._kernels(self._holders)
        of_host = self._make is talks_document
        view = self._recorder.view(self._begun, with_peers=True, of_host=of_host)
        self._holders = view.holders
        now = Around(before, self._kernels(view.holders))
        found = self._make(view, Testimony(self._start, now))
        self._add(_peers(view, pids), len(pids) + self._most_neighbours)
        ended = self._clock()
        self._fresh_until = ended + max(FRESH_SECONDS, PAUSE_FACTOR * (ended - began))
        return found

    def _begin(self, pids: Collection[int]) -> None:
        """All from one moment on."""
        self._lease = self._recorder.lease()
        tables = self._recorder.joined(pids, self._most_neighbours)
        self._watched = {each.key.tgid for each in tables}
        self._holders = Holders(tables)
        before = self._kernels(self._holders)
        self._recorder.watch_all(self._begun, self._watched)
        self._start = Around(before, self._kernels(self._holders))

    def _kernels(self, holders: Holders | None) -> Witness:
        """What the kernel has counted, where that is shown."""
        if holders is None or self._make is not talks_document:
            return {}
        return witness(holders, self._watched)

    @property
    def _begun(self) -> int:
        if self._lease is None:
            raise NoLeaseError
        return self._lease

    def _add(self, pids: Collection[int], most: int) -> None:
        """Watch these too, as far as there is room."""
        new = [pid for pid in pids if pid not in self._watched][: max(most - len(self._watched), 0)]
        if new:
            self._watched |= set(new)
            self._recorder.watch_all(self._begun, new)

    def end(self) -> None:
        """Give the lease back."""
        if self._lease is not None:
            self._recorder.release(self._lease)
            self._lease = None


def _peers(view: View, pids: Collection[int]) -> list[int]:
    """Those at the other ends of what these processes have open."""
    mine = (each for each in view.processes if each.process.key.tgid in pids)
    return list({peer.pid: None for each in mine for row in each.rows for peer in row.peers})


class Watches:
    """The watches of all viewers; for one event loop."""

    def __init__(
        self, recorder: Recorder | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``recorder``: None where nothing can be watched."""
        self._recorder = recorder
        self._clock = clock
        self._watches: dict[int, _Watch] = {}
        self._poller: asyncio.Task[None] | None = None

    @property
    def can_watch(self) -> bool:
        """False if this exporter has no probes that can watch."""
        return self._recorder is not None

    @property
    def pids(self) -> list[int]:
        """The processes that viewers look at."""
        return [key for key in self._watches if key != _TALKS]

    async def process(self, pid: int) -> bytes:
        """The files of a process as JSON; it is watched from the first call on.

        NoProcessError if there is none, CrowdedError if too many are watched, NoLeaseError if
        others have all leases, OSError if the kernel refuses.
        """
        return await self._asked(
            pid, [pid], lambda view, _: process_document(view, pid), MOST_NEIGHBOURS
        )

    async def talks(self, pids: Collection[int]) -> bytes:
        """Who talks to whom as JSON; what these processes move is counted from the first call on.

        All viewers share it. Errors as of ``process``.
        """
        return await self._asked(_TALKS, pids, talks_document, MOST_TALKERS - len(pids))

    async def _asked(
        self, key: int, pids: Collection[int], make: Maker, most_neighbours: int
    ) -> bytes:
        watch = self._watches.get(key)
        if watch is None:
            if self._recorder is None or len(self._watches) >= MOST_WATCHES + (key == _TALKS):
                raise CrowdedError
            watch = self._new(key, _Watch(self._recorder, make, most_neighbours, self._clock))
        watch.asked = self._clock()
        if watch.looking is None or (watch.looking.done() and not watch.is_fresh):
            watch.looking = asyncio.create_task(self._look(key, watch, pids))
        # A viewer that leaves does not end it for the others.
        return await asyncio.shield(watch.looking)

    def _new(self, key: int, watch: _Watch) -> _Watch:
        self._watches[key] = watch
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll())
        return watch

    async def _look(self, key: int, watch: _Watch, pids: Collection[int]) -> bytes:
        try:
            document = await asyncio.to_thread(watch.look, pids)
            return json.dumps(document, separators=(",", ":")).encode()
        except (NoProcessError, NoLeaseError, OSError):
            self._watches.pop(key, None)
            await asyncio.to_thread(watch.end)
            raise

    async def _poll(self) -> None:
        """While something is watched: closed files leave the maps, and unwanted watches end."""
        while self._watches:
            await asyncio.sleep(POLL_SECONDS)
            long_ago = self._clock() - KEEP_SECONDS
            for key, watch in list(self._watches.items()):
                if watch.asked < long_ago:
                    await self._end(key, watch)
            try:
                if self._recorder:
                    await asyncio.to_thread(self._recorder.poll)
            except OSError:
                log.exception("watched processes cannot be read")

    async def _end(self, key: int, watch: _Watch) -> None:
        if watch.looking:
            with suppress(Exception):
                await watch.looking
        if self._watches.get(key) is watch:
            del self._watches[key]
        await asyncio.to_thread(watch.end)

    async def stop(self) -> None:
        """End all watches."""
        if self._poller:
            self._poller.cancel()
        for key, watch in list(self._watches.items()):
            await self._end(key, watch)
