# SPDX-License-Identifier: GPL-2.0-only
"""Processes that are watched for the viewers of the page.

A watch lives as long as somebody asks for it: however a viewer goes, it ends some seconds later.
All that look at a process share one watch, and one reading.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from fdscope.exporter.http.scraper import CrowdedError
from fdscope.exporter.page.process import Document, process_document
from fdscope.exporter.spotlight.lens import POLL_SECONDS
from fdscope.exporter.spotlight.protocol import NoProcessError
from fdscope.exporter.spotlight.recorder import Recorder, View
from fdscope.probes.read.spotlight import NoLeaseError

MOST_WATCHES = 8
MOST_NEIGHBOURS = 8
"""Processes at the other ends that are watched too, so that both ends are counted."""
KEEP_SECONDS = 20.0
"""A watch that nobody asks for ends after this time."""
FRESH_SECONDS = 1.0
"""A reading of at most this age is sent again."""
PAUSE_FACTOR = 5.0
"""So is one of this many times the time that it took: looking takes a share of one processor."""

log = logging.getLogger(__name__)


class _Watch:
    """A process, with those at the other ends of its files; used in one thread at a time."""

    def __init__(self, recorder: Recorder, pid: int, clock: Callable[[], float]) -> None:
        self.pid = pid
        self.asked = clock()
        """When somebody last asked for it."""
        self.looking: asyncio.Task[bytes] | None = None
        self._recorder = recorder
        self._clock = clock
        self._lease: int | None = None
        self._watched: set[int] = set()
        self._fresh_until = 0.0

    @property
    def is_fresh(self) -> bool:
        """True if the last reading can be sent again."""
        return self._clock() < self._fresh_until

    def look(self) -> Document:
        """What is known now; NoProcessError or NoLeaseError if it cannot be watched."""
        began = self._clock()
        if self._lease is None:
            self._lease = self._recorder.lease()
            self._watch({self.pid, *self._recorder.neighbours([self.pid], MOST_NEIGHBOURS)})
        view = self._recorder.view(self._lease, with_peers=True)
        found = process_document(view, self.pid)
        if found is None:
            raise NoProcessError(f"{self.pid}: there is no process with this pid")
        self._watch(self._newcomers(view))
        ended = self._clock()
        self._fresh_until = ended + max(FRESH_SECONDS, PAUSE_FACTOR * (ended - began))
        return found

    def _watch(self, pids: set[int]) -> None:
        self._watched |= pids
        if pids and self._lease is not None:
            self._recorder.watch_all(self._lease, pids)

    def _newcomers(self, view: View) -> set[int]:
        """Processes that it talks to by now, as far as there is room."""
        peers = {
            peer.pid
            for each in view.processes
            if each.process.key.tgid == self.pid
            for row in each.rows
            for peer in row.peers
        }
        room = 1 + MOST_NEIGHBOURS - len(self._watched)
        return set(sorted(peers - self._watched)[: max(room, 0)])

    def end(self) -> None:
        """Give the lease back."""
        if self._lease is not None:
            self._recorder.release(self._lease)
            self._lease = None


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
        return list(self._watches)

    async def process(self, pid: int) -> bytes:
        """The files of a process as JSON; it is watched from the first call on.

        NoProcessError if there is none, CrowdedError if too many are watched, NoLeaseError if
        others have all leases, OSError if the kernel refuses.
        """
        watch = self._watches.get(pid) or self._new(pid)
        watch.asked = self._clock()
        if watch.looking is None or (watch.looking.done() and not watch.is_fresh):
            watch.looking = asyncio.create_task(self._look(watch))
        # A viewer that leaves does not end it for the others.
        return await asyncio.shield(watch.looking)

    def _new(self, pid: int) -> _Watch:
        if self._recorder is None or len(self._watches) >= MOST_WATCHES:
            raise CrowdedError
        watch = self._watches[pid] = _Watch(self._recorder, pid, self._clock)
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll(self._recorder))
        return watch

    async def _look(self, watch: _Watch) -> bytes:
        try:
            return _json(await asyncio.to_thread(watch.look))
        except (NoProcessError, NoLeaseError, OSError):
            self._watches.pop(watch.pid, None)
            await asyncio.to_thread(watch.end)
            raise

    async def _poll(self, recorder: Recorder) -> None:
        """While something is watched: closed files leave the maps, and unwanted watches end."""
        while self._watches:
            await asyncio.sleep(POLL_SECONDS)
            long_ago = self._clock() - KEEP_SECONDS
            for watch in [each for each in self._watches.values() if each.asked < long_ago]:
                await self._end(watch)
            try:
                await asyncio.to_thread(recorder.poll)
            except OSError:
                log.exception("watched processes cannot be read")

    async def _end(self, watch: _Watch) -> None:
        if watch.looking:
            with suppress(Exception):
                await watch.looking
        if self._watches.get(watch.pid) is watch:
            del self._watches[watch.pid]
        await asyncio.to_thread(watch.end)

    async def stop(self) -> None:
        """End all watches."""
        if self._poller:
            self._poller.cancel()
        for watch in list(self._watches.values()):
            await self._end(watch)


def _json(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
