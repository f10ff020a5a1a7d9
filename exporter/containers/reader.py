# SPDX-License-Identifier: GPL-2.0-only
"""The child process that reads the state of runtimes, and the exporter's end of it.

Reading that state needs rights which the serving process must not have. So a child process keeps
one capability (CAP_DAC_READ_SEARCH, if the exporter was started with it), and answers questions
that are a container's id. It talks to nobody else: an attacker in the serving process could ask for
names of containers, which the metrics show anyway. A folder that does not answer (a network
filesystem) stops the child, and no scrape.
"""

import json
import logging
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, astuple
from pathlib import Path

from fdscope.exporter import privileges
from fdscope.exporter.containers.names import Names, Query, Result
from fdscope.exporter.containers.runtimes import Runtimes
from fdscope.probes import child

CAPABILITY = "CAP_DAC_READ_SEARCH"

_MOST = 1 << 15
"""Bytes of a message; eight cut names in JSON have less."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_NICE = 5
_MOST_FDS = 1 << 30
_ID = re.compile("[0-9a-f]{64}")
_UID = re.compile("(?:[0-9]{1,10})?")

log = logging.getLogger(__name__)


class Reader:
    """The exporter's end: neither call waits."""

    def __init__(self, end: socket.socket) -> None:
        """``end``: of a pair of sockets that keep the bounds of messages (SOCK_SEQPACKET)."""
        self._end = end
        self._end.setblocking(False)
        self.has_failed = False
        """True once the child has ended: there are no further answers."""

    def ask(self, query: Query) -> bool:
        """Ask for the names of a container; False if the child is busy, or has ended."""
        try:
            self._end.send(json.dumps(astuple(query)).encode())
        except BlockingIOError:
            return False
        except OSError:
            self._fail()
            return False
        return True

    def answers(self) -> Iterator[tuple[str, Result, Names]]:
        """Ids of containers, and what was found, since the last call."""
        while not self.has_failed:
            try:
                message = self._end.recv(_MOST)
            except BlockingIOError:
                return
            except OSError:
                message = b""
            if not message:
                self._fail()
                return
            container_id, result, names = json.loads(message)
            yield container_id, Result(result), Names(**names)

    def _fail(self) -> None:
        if not self.has_failed:
            self.has_failed = True
            log.error(
                "the process that reads names of containers has ended: new containers have no names"
                " until the exporter is restarted"
            )


@contextmanager
def reading(user: str, root: Path = Path("/")) -> Iterator[Reader | None]:
    """A child process of ``user`` (empty: of the same) that reads below ``root`` for the block.

    None if no process can be started. Call it while there is one thread.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    parent = os.getpid()
    # Block signals until the child has its own handlers: ours must not run in it.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        pid = os.fork()
        if pid == 0:
            _run(theirs, user, root, parent)
    except OSError as error:
        log.warning("containers have no names: no process can be started to read them: %s", error)
        pid = 0
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        theirs.close()
    try:
        yield Reader(ours) if pid else None
    finally:
        ours.close()
        if pid:
            _wait(pid)


def _wait(pid: int) -> None:
    """Wait for the child, which ends when our end is closed, unless a folder does not answer."""
    for _ in range(200):
        if os.waitpid(pid, os.WNOHANG) != (0, 0):
            return
        time.sleep(0.01)
    log.warning("the process that reads names of containers does not end: %d", pid)


def _run(end: socket.socket, user: str, root: Path, parent: int) -> None:
    """Run the child until the other end is closed; never returns."""
    try:
        for each in _SIGNALS:  # it ends with its parent
            signal.signal(each, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        privileges.drop(user, (CAPABILITY,))
        child.end_with_parent(parent)
        number = end.fileno()
        os.closerange(3, number)
        os.closerange(number + 1, _MOST_FDS)
        os.nice(_NICE)
        serve(end, Runtimes(root))
    except Exception:
        log.exception("names of containers cannot be read")
    finally:
        os._exit(0)


def serve(end: socket.socket, runtimes: Runtimes) -> None:
    """Answer questions until the other end is closed."""
    while message := end.recv(_MOST):
        query = Query(*json.loads(message))
        if _ID.fullmatch(query.container_id) and _UID.fullmatch(query.user):
            result, names = runtimes.look(query)
            end.send(json.dumps([query.container_id, result.value, asdict(names)]).encode())
