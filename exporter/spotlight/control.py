# SPDX-License-Identifier: GPL-2.0-only
"""The control socket of a running exporter: clients watch processes through its probes.

The names of files and peers are secrets of their processes: the socket admits root, the exporter's
own user, and the group that the administrator names.
"""

import asyncio
import logging
import os
import pwd
import socket
import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

from fdscope.exporter.spotlight import protocol
from fdscope.exporter.spotlight.lens import POLL_SECONDS, OwnLens
from fdscope.exporter.spotlight.protocol import Message, NoProcessError, ProtocolError
from fdscope.exporter.spotlight.recorder import Recorder
from fdscope.probes.read.spotlight import NoLeaseError
from fdscope.probes.schema.files import Depth, Python
from fdscope.probes.text import printable

MOST_CLIENTS = 32
_PATIENCE_SECONDS = 30.0
"""For a client to greet, and to take an answer."""
_CREDENTIALS = struct.Struct("3i")
"""struct ucred: pid, uid, gid."""

log = logging.getLogger(__name__)


class Control:
    """Serves clients on listening unix sockets, from ``start()`` to ``stop()``."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        recorder: Recorder,
        mode: str,
        version: str,
        group: int | None = None,
    ) -> None:
        """``group``: its members are admitted besides root and this process's user."""
        self._listeners = listeners
        self._recorder = recorder
        self._mode = mode
        self._version = version
        self._group = group
        self._servers: list[asyncio.Server] = []
        self._clients: set[asyncio.Task[None]] = set()
        self._poller: asyncio.Task[None] | None = None
        # One thread: requests are answered in order, and the maps are read by one at a time.
        self._pool = ThreadPoolExecutor(1, "control")

    async def start(self) -> None:
        """Accept connections."""
        for listener in self._listeners:
            self._servers.append(
                await asyncio.start_unix_server(
                    self._connected, sock=listener, limit=protocol.MOST_BYTES
                )
            )

    async def stop(self) -> None:
        """Stop accepting, end all connections and what they watch."""
        for server in self._servers:
            server.close()
        for task in (*self._clients, *([self._poller] if self._poller else ())):
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        self._pool.shutdown()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._clients) >= MOST_CLIENTS:
            await self._refuse(writer, "too many clients watch processes already")
            return
        self._clients.add(task)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, TimeoutError, ProtocolError, asyncio.IncompleteReadError) as error:
            log.debug("a client of the control socket: %s", error)
        except Exception:
            log.exception("a client of the control socket was dropped")
        finally:
            self._clients.discard(task)
            await _close(writer)

    async def _refuse(self, writer: asyncio.StreamWriter, why: str) -> None:
        with suppress(ConnectionError, TimeoutError):
            await self._send(writer, {**protocol.greeting(self._version), "error": why})
        await _close(writer)

    def _admits(self, uid: int, gid: int) -> bool:
        """True for root, this process's user, and members of the group."""
        if uid in (0, os.geteuid()):
            return True
        if self._group is None:
            return False
        try:
            name = pwd.getpwuid(uid).pw_name
        except KeyError:
            return gid == self._group
        return self._group in os.getgrouplist(name, gid)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pid, uid, gid = _peer(writer)
        if not self._admits(uid, gid):
            await self._refuse(
                writer, "only root and the group of --control.group may watch processes"
            )
            return
        first = protocol.decode(await asyncio.wait_for(_line(reader), _PATIENCE_SECONDS))
        if why := protocol.mismatch(first, "the client"):
            await self._refuse(writer, why)
            return
        try:
            lens: OwnLens = await self._do(
                partial(OwnLens, self._recorder, self._mode, self._version)
            )
        except NoLeaseError as error:
            await self._refuse(writer, str(error))
            return
        log.info("watching for a client: pid %d of user %d", pid, uid)
        try:
            await self._send(writer, {**protocol.greeting(self._version), "mode": self._mode})
            self._keep_polling()
            while line := await _line(reader):
                await self._send(writer, await self._answer(lens, protocol.decode(line), uid == 0))
        finally:
            await asyncio.shield(self._do(lens.close))

    async def _answer(self, lens: OwnLens, request: Message, is_root: bool) -> Message:
        try:
            match request:
                case {"do": "watch", "pid": int(pid), "follow": bool(follow)}:
                    await self._do(partial(lens.watch, pid, follow))
                    return {}
                case {"do": "look", "peers": bool(peers)}:
                    return {"document": await self._do(partial(lens.look, peers))}
                case {"do": "watch origins", "pid": int(pid), "depth": depth, "python": found}:
                    if not is_root:
                        return {"error": "only root may see stacks: they are memory of the process"}
                    python = None if found is None else Python(**found)
                    await self._do(partial(lens.watch_origins, pid, Depth(depth), python))
                    return {}
                case {"do": "origins"} if is_root:
                    return {"document": await self._do(lens.origins)}
                case {"do": "list"}:
                    return {"document": await self._do(lens.list_all)}
                case {"do": "host"}:
                    return {"document": await self._do(lens.host)}
                case {"do": "unwatch"}:
                    await self._do(lens.unwatch)
                    return {}
        except NoProcessError as error:
            return {"error": str(error), "kind": "process"}
        except OSError as error:
            return {"error": f"the kernel refuses: {error}"}
        except (TypeError, ValueError, OverflowError) as error:
            log.debug("an odd request on the control socket: %s", error)
        return {"error": f"unknown request: {printable(str(request))[:100]}"}

    async def _do(self, work: Callable[[], Any]) -> Any:
        """Run something that reads maps, not in the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def _send(self, writer: asyncio.StreamWriter, message: Message) -> None:
        writer.write(protocol.encode(message))
        await asyncio.wait_for(writer.drain(), _PATIENCE_SECONDS)

    def _keep_polling(self) -> None:
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll())

    async def _poll(self) -> None:
        """While there are clients: closed files leave the maps."""
        while self._clients:
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self._do(self._recorder.poll)
            except OSError:
                log.exception("watched processes cannot be read")


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readline()
    except ValueError as error:  # longer than the limit
        raise ProtocolError("the request is too long") from error


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError, TimeoutError):
        await asyncio.wait_for(writer.wait_closed(), _PATIENCE_SECONDS)


def _peer(writer: asyncio.StreamWriter) -> tuple[int, int, int]:
    """pid, uid and gid of the client."""
    connection = writer.get_extra_info("socket")
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = _CREDENTIALS.unpack(raw)
    return pid, uid, gid
