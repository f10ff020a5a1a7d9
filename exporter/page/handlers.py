# SPDX-License-Identifier: GPL-2.0-only
"""HTTP for the live page: the page, its files, its events and its demonstration."""

import asyncio
import json
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass

from fdscope.exporter.http.handlers import Access, Handler, Route
from fdscope.exporter.http.negotiation import accepts_gzip, knows
from fdscope.exporter.http.same_site import foreign_name, refusal
from fdscope.exporter.http.scraper import CrowdedError
from fdscope.exporter.page.doors import Doors
from fdscope.exporter.page.feed import Feed
from fdscope.exporter.page.files import File, files
from fdscope.exporter.page.history import History
from fdscope.exporter.page.watches import MOST_CHOSEN, MOST_WATCHES, Watches
from fdscope.exporter.settings.options import (
    DOCTOR_PATH,
    DOORS_PATH,
    EVENTS_PATH,
    HISTORY_PATH,
    STATIC_PATH,
    TALKS_PATH,
    WATCH_PATH,
)
from fdscope.exporter.spotlight.protocol import NoProcessError
from fdscope.probes.demonstration.doors import DoorsError
from fdscope.probes.read.spotlight import NoLeaseError

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_TIME = re.compile("[0-9]{1,12}", re.ASCII)
_PID = re.compile("[1-9][0-9]{0,9}", re.ASCII)
_GZIP_LEVEL, _GZIP_FORMAT = 4, 31


@dataclass(frozen=True, slots=True)
class Details:
    """What is shown only to authenticated clients, unless the administrator shows it to all."""

    history: History
    watches: Watches
    for_all: bool

    def refusal(self, handler: Handler) -> str | None:
        """Why this client may not see them; None if it may."""
        knows_users = handler.access.gate.knows_users
        if not (knows_users or self.for_all):
            return "this needs a password in the web configuration, or the option --web.details"
        return foreign_name(handler.request, knows_users)


class _Html(Handler):
    async def send_page(self, text: str) -> None:
        """Send a page that loads nothing from elsewhere."""
        self.set_header("Content-Security-Policy", _POLICY)
        self.set_header("Referrer-Policy", "no-referrer")
        await self.send(text, "text/html; charset=utf-8")


class _Page(_Html):
    def initialize(  # type: ignore[override]
        self, access: Access, page: Callable[[bool], str], details: Details
    ) -> None:
        """Set the arguments from the route table."""
        super().initialize(access)
        self.page = page
        self.details = details

    async def respond(self) -> None:
        """Send the page."""
        await self.send_page(self.page(self.details.refusal(self) is None))


class _Doctor(_Html):
    def initialize(self, access: Access, page: Callable[[], str]) -> None:  # type: ignore[override]
        """Set the arguments from the route table."""
        super().initialize(access)
        self.page = page

    async def respond(self) -> None:
        """Send the page."""
        await self.send_page(await asyncio.to_thread(self.page))


class _File(Handler):
    def initialize(self, access: Access, file: File) -> None:  # type: ignore[override]
        """Set the arguments from the route table."""
        super().initialize(access)
        self.file = file

    async def respond(self) -> None:
        """Send the file, or 304 if the client has it already."""
        header, file = self.request.headers.get, self.file
        packed = accepts_gzip(header("Accept-Encoding", ""))
        # The same file in other bytes: another tag.
        tag = f'{file.tag[:-1]}-gzip"' if packed else file.tag
        self.set_header("ETag", tag)
        self.set_header("Cache-Control", "no-cache")  # revalidate before each use
        self.set_header("Vary", "Accept-Encoding")
        if knows(header("If-None-Match", ""), tag):
            self.set_status(304)
            await self.deliver(self.finish())
            return
        self.set_header("Content-Type", file.content_type)
        if packed:
            self.set_header("Content-Encoding", "gzip")
        else:
            self.set_header("Content-Length", str(file.path.stat().st_size))
        await self.push_all(_gzip(file) if packed else file.pieces())


class _Events(Handler):
    def initialize(self, access: Access, feed: Feed) -> None:  # type: ignore[override]
        """Set the arguments from the route table."""
        super().initialize(access)
        self.feed = feed

    async def respond(self) -> None:
        """Send the state of the page, then again at each change, until the client leaves."""
        self.set_header("X-Accel-Buffering", "no")  # a proxy must pass on each event at once
        if self.request.method == "HEAD":
            await self.send("", "text/event-stream")
            return
        self.set_header("Content-Type", "text/event-stream")
        try:
            async with aclosing(self.feed.messages(self.peer)) as messages:
                async for message in messages:
                    await self.push(message)
        except CrowdedError:
            self.set_header("Retry-After", "10")
            await self.send("too many pages are open\n", status=503)
            return
        await self.deliver(self.finish())


class _Changing(Handler):
    """Changes something: only for requests of the page itself."""

    SUPPORTED_METHODS = ("POST",)

    async def post(self) -> None:
        """Answer, unless another site can have made the request."""
        if why := refusal(self.request, self.access.gate.knows_users):
            await self.send(f"{why}\n", status=403)
            return
        await self.get()


class _Doors(_Changing):
    def initialize(self, access: Access, doors: Doors) -> None:  # type: ignore[override]
        """Set the arguments from the route table."""
        super().initialize(access)
        self.doors = doors

    async def respond(self) -> None:
        """Run the demonstration and send its lanes, or 503 with the reason."""
        try:
            lanes = await self.doors.lanes()
        except DoorsError as error:
            await self.send(f"{error}\n", status=503)
            return
        answer = {"bytes": lanes[0].written, "lanes": [asdict(lane) for lane in lanes]}
        await self.send(json.dumps(answer), "application/json")


class _History(Handler):
    def initialize(self, access: Access, details: Details) -> None:  # type: ignore[override]
        """Set the arguments from the route table."""
        super().initialize(access)
        self.details = details

    async def respond(self) -> None:
        """Send the times that are kept, or the state at the time ``at``."""
        if why := self.details.refusal(self):
            await self.send(f"{why}\n", status=403)
            return
        wanted = self.get_query_argument("at", None)
        if wanted is None:
            times = json.dumps({"times": self.details.history.times()})
            await self.send(times, "application/json")
            return
        found = self.details.history.state_at(int(wanted)) if _TIME.fullmatch(wanted) else None
        if found is None:
            await self.send("nothing is kept of that time\n", status=404)
            return
        await self.send(found, "application/json")


class _Watch(_Changing):
    most = 1
    """Number of pids."""

    def initialize(self, access: Access, details: Details) -> None:  # type: ignore[override]
        """Set the arguments from the route table."""
        super().initialize(access)
        self.details = details

    async def respond(self) -> None:
        """Watch these processes for some seconds more, and send what is seen of them."""
        if why := self.details.refusal(self):
            await self.send(f"{why}\n", status=403)
            return
        if not self.details.watches.can_watch:
            await self.send(f"{_CANNOT_WATCH}\n", status=503)
            return
        pids = self.get_query_arguments("pid")
        if not 1 <= len(pids) <= self.most or not all(map(_PID.fullmatch, pids)):
            await self.send(f"this needs pid=NUMBER, 1 to {self.most} of them\n", status=400)
            return
        watches = self.details.watches
        try:
            document = await self.ask([int(pid) for pid in pids])
        except NoProcessError as error:
            await self.send(f"{error}\n", status=404)
        except CrowdedError:
            taken = ", ".join(map(str, watches.pids))
            why = f"{MOST_WATCHES} processes are watched for this page already: pid {taken}"
            await self.send(f"{why}\n", status=503)
        except (NoLeaseError, OSError) as error:
            await self.send(f"{error}\n", status=503)
        else:
            await self.send(document, "application/json")

    async def ask(self, pids: Sequence[int]) -> bytes:
        """The document."""
        return await self.details.watches.process(pids[0])


class _Talks(_Watch):
    most = MOST_CHOSEN

    async def ask(self, pids: Sequence[int]) -> bytes:
        """The document."""
        return await self.details.watches.talks(pids)


_CANNOT_WATCH = (
    "this exporter cannot watch processes: its log says why, or it was started before the web"
    " configuration had users"
)


def _gzip(file: File) -> Iterator[bytes]:
    packer = zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP_FORMAT)
    for piece in file.pieces():
        if packed := packer.compress(piece):
            yield packed
    yield packer.flush()


def routes(
    page: Callable[[bool], str],
    doctor: Callable[[], str],
    feed: Feed,
    doors: Doors,
    details: Details,
) -> Sequence[Route]:
    """The routes of the page; ``page`` returns its text, with details or without.

    ``doctor`` returns that of what is seen and what not; it is called in another thread.
    """
    return (
        Route("/", _Page, {"page": page, "details": details}),
        Route(DOCTOR_PATH, _Doctor, {"page": doctor}),
        Route(EVENTS_PATH, _Events, {"feed": feed}),
        Route(DOORS_PATH, _Doors, {"doors": doors}),
        Route(HISTORY_PATH, _History, {"details": details}),
        Route(WATCH_PATH, _Watch, {"details": details}),
        Route(TALKS_PATH, _Talks, {"details": details}),
        *(Route(STATIC_PATH + name, _File, {"file": file}) for name, file in files().items()),
    )
