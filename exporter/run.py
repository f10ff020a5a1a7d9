# SPDX-License-Identifier: GPL-2.0-only
"""``fdscope exporter``: check, listen, attach, serve, detach."""

import asyncio
import gc
import logging
import os
import platform
import pwd
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from fdscope.exporter import logs, priority, privileges
from fdscope.exporter.http import listen
from fdscope.exporter.http.systemd import Notifier
from fdscope.exporter.page import PageData
from fdscope.exporter.preconditions import RunError, check_host, no_probe, version
from fdscope.exporter.server import Server
from fdscope.exporter.settings.addresses import UnixAddress
from fdscope.exporter.settings.options import Options
from fdscope.exporter.signals import hold, interrupt, on_ending
from fdscope.exporter.spotlight.protocol import DEFAULT_PATH
from fdscope.exporter.starting import answering
from fdscope.exporter.web_config.protection import Protection
from fdscope.probes.attach.settings import Settings
from fdscope.probes.demonstration import doors
from fdscope.probes.hooks import blind_spots
from fdscope.probes.schema.taxonomy import Mode

if TYPE_CHECKING:
    from fdscope.exporter.collector import Collector
    from fdscope.exporter.containers.reader import Reader
    from fdscope.exporter.journal.journal import Journal
    from fdscope.exporter.journal.watch import Watch
    from fdscope.exporter.spotlight.control import Control
    from fdscope.exporter.spotlight.recorder import Recorder
    from fdscope.probes.read.session import Session
    from fdscope.probes.selftest.run import Row

    Attached = tuple[Session, Sequence[Row]]

log = logging.getLogger(__name__)

_OBJECTS_A_COLLECTION = 100_000
"""Python looks for garbage in cycles when there are so many more objects."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of the exporter; tests replace them."""

    check: Callable[[], None]
    """RunError if this process may not load BPF programs, or could not judge what they count."""
    check_user: Callable[[str], None]
    """RunError if this process cannot become that user."""
    attach: Callable[[Sequence[Mode], Settings, Callable[[str], None]], "Attached"]
    """Attach, from modes, settings and a progress function; RunError if no mode works."""
    drop_privileges: Callable[[str], None]
    """Become this user, keep what serving needs; RunError if that fails."""
    collector: Callable[["Attached", str, Options, "Reader | None"], "Collector"]
    """Make the collector from what is attached, the version, the options and the reader."""
    recorder: "Callable[[Session], Recorder | None]"
    """Make what keeps watched processes; None where none can be watched."""


def check_user(user: str) -> None:
    """RunError if this process cannot become the user (empty: keep the user)."""
    try:
        privileges.check(user)
    except privileges.PrivilegeError as error:
        raise RunError(str(error)) from error


def _attach(
    modes: Sequence[Mode], settings: Settings, progress: Callable[[str], None]
) -> "Attached":
    # Imported here, so that `fdscope version` works without numpy.
    from fdscope.probes.attach.launch import AttachError
    from fdscope.probes.selftest.run import attach_what_fires

    try:
        return attach_what_fires(modes, settings, progress)
    except AttachError as error:
        raise RunError(no_probe(str(error))) from error


def _collector(
    attached: "Attached", version: str, options: Options, names: "Reader | None"
) -> "Collector":
    from fdscope.exporter.accounts.selftester import SelfTester
    from fdscope.exporter.collector import Collector
    from fdscope.probes.selftest import run

    session, rows = attached

    def test(go_on: Callable[[], None]) -> run.Result:
        return run.judge(session, quick=True, meanwhile=go_on)

    tester = SelfTester(test, rows, options.selftest_interval)
    journal = _journal(session, options)
    watch = _watch(journal, options) if journal else None
    return Collector(
        *(session, version, options.max_series, tester),
        budget=options.budget,
        names=names,
        journal=journal,
        watch=watch,
    )


def _watch(journal: "Journal", options: Options) -> "Watch":
    from fdscope.exporter.journal.state import State
    from fdscope.exporter.journal.watch import Watch

    return Watch(journal, State(options.journal_state), options.journal_learn_hours * 3600)


def _journal(session: "Session", options: Options) -> "Journal | None":
    from fdscope.exporter.journal.journal import Journal
    from fdscope.exporter.journal.sinks.file import FileSink
    from fdscope.exporter.journal.sinks.journald import Journald
    from fdscope.exporter.journal.sinks.outlet import Outlet, Sink
    from fdscope.exporter.journal.sinks.stream import Stream

    if session.events is None:
        return None
    sinks: list[Sink] = []
    if options.journal_stdout:
        sinks.append(Stream())
    if path := options.journal_file:
        sinks.append(FileSink(path, options.journal_file_bytes, options.journal_files))
    if options.journal_journald:
        sinks.append(Journald())
    outlets = [Outlet(sink) for sink in sinks]
    limit, runbooks = options.journal_unit_limit, options.journal_runbooks
    return Journal(session.events, outlets, limit, runbooks, os.getpid())


def _collect_garbage_rarely() -> None:
    """A scrape makes tens of thousands of objects and no cycles: looking for those costs as much.

    What was made up to now stays, and is not looked at again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS_A_COLLECTION)


def _drop_privileges(user: str) -> None:
    keep = privileges.needed(platform.release())
    try:
        privileges.drop(user, keep)
    except privileges.PrivilegeError as error:
        raise RunError(str(error)) from error
    log.info("capabilities kept: %s", " ".join(keep) or "none")


def _recorder(session: "Session") -> "Recorder | None":
    if not session.settings.spotlight:
        return None
    from fdscope.exporter.spotlight.lens import recorder_of

    recorder = recorder_of(session)
    if recorder is None:
        log.warning(
            "processes cannot be watched: the kernel refuses the program that lists files, or"
            " --probe.latency leaves no room for it in this mode"
        )
    return recorder


def _control(
    sockets: Sequence[socket.socket], recorder: "Recorder | None", mode: Mode, options: Options
) -> "Control | None":
    """What serves the control socket; None without one."""
    if not sockets or recorder is None:
        return None
    from fdscope.exporter.spotlight.control import Control

    return Control(sockets, recorder, mode.value, version(), options.control_group)


REAL = Parts(check_host, check_user, _attach, _drop_privileges, _collector, _recorder)


def run_exporter(options: Options, parts: Parts = REAL) -> None:
    """Bind, attach and serve until SIGTERM or SIGINT; nothing is attached when it returns.

    RunError, BindError or ConfigError if it cannot start.
    """
    log.info("fdscope %s", version())
    protection = Protection(options.web_config_file)
    parts.check()
    parts.check_user(options.privileges_user)
    with ExitStack() as stack:
        sockets = _sockets(options)
        stack.callback(listen.release, sockets)
        control = _control_sockets(options)
        stack.callback(listen.release, control)
        # Signals interrupt at once, except while the event loop handles them.
        stack.callback(on_ending, interrupt)
        on_ending(interrupt)
        signal.signal(signal.SIGHUP, lambda *_: None)  # there is nothing to reload yet
        names = stack.enter_context(_reading(options))
        with answering(options, sockets, protection):
            can_watch = bool(control) or options.details or protection.knows_users
            settings = _settings(options, can_watch)
            attached = parts.attach(options.modes, settings, log.info)
            session, rows = attached
            stack.callback(session.close)
        stack.callback(on_ending, signal.SIG_IGN)
        not_traced = blind_spots.of(session.mode)
        logs.attached(session.report, len(not_traced))
        logs.self_tested(rows)
        priority.raise_to(options.nice)
        parts.drop_privileges(options.privileges_user)
        _collect_garbage_rarely()
        collector = parts.collector(attached, version(), options, names)
        stack.callback(collector.close)
        # Nothing may interrupt detaching, which takes moments.
        stack.callback(on_ending, signal.SIG_IGN)
        registry = CollectorRegistry()
        registry.register(collector)
        mode = session.mode.value
        recorder = parts.recorder(session)
        served = Server(
            options,
            sockets,
            registry,
            lambda: PageData(
                *(version(), mode, collector.attachments(), not_traced),
                *(collector.losses(), collector.selftest_rows),
            ),
            collector.ready,
            protection,
            partial(doors.run, session),
            recorder,
        )
        _log_addresses(sockets, options, "https" if protection.has_tls else "http")
        asyncio.run(_serve(served, _control(control, recorder, session.mode, options)))


def _reading(options: Options) -> AbstractContextManager["Reader | None"]:
    if not options.read_state:
        return nullcontext()
    from fdscope.exporter.containers.reader import reading

    return reading(options.privileges_user)


def _sockets(options: Options) -> list[socket.socket]:
    if options.systemd_socket:
        return listen.passed(os.environ)
    addresses, mode = options.listen_addresses, options.unix_socket_mode
    user = options.privileges_user
    owner = pwd.getpwnam(user).pw_uid if user else None
    return listen.bind(addresses, mode, options.unix_socket_group, owner)


def _control_sockets(options: Options) -> list[socket.socket]:
    """The control socket, or none; BindError if one that was asked for cannot be made."""
    path = options.control_socket
    try:
        if path == "auto":
            path = _usual_control_socket()
        if not path:
            return []
        group, user = options.control_group, options.privileges_user
        owner = pwd.getpwnam(user).pw_uid if user else None
        mode = 0o600 if group is None else 0o660
        return listen.bind((UnixAddress(path),), mode, group, owner)
    except (OSError, listen.BindError) as error:
        if options.control_socket != "auto":
            raise
        log.info("no control socket: %s", error)
        return []


def _usual_control_socket() -> str:
    """In the directory that systemd made, or root's own; "" if there is none."""
    given = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if given:
        return str(Path(given) / Path(DEFAULT_PATH).name)
    if os.geteuid():
        return ""
    Path(DEFAULT_PATH).parent.mkdir(mode=0o755, exist_ok=True)
    return DEFAULT_PATH


def _log_addresses(sockets: Sequence[socket.socket], options: Options, scheme: str) -> None:
    urls, metrics = listen.urls(sockets, scheme), options.telemetry_path
    paths = [url.removeprefix("unix:") for url in urls if url.startswith("unix:")]
    urls = [url for url in urls if not url.startswith("unix:")]
    lines = [
        *(f"live page: {url}/" for url in urls),
        *(f"metrics: {url}{metrics}" for url in urls),
        *(f"metrics: curl --unix-socket {path} {scheme}://localhost{metrics}" for path in paths),
    ]
    for line in lines:
        log.info("%s", line, extra=logs.STANDS_OUT)


async def _serve(served: Server, control: "Control | None") -> None:
    """Serve until a signal; ignore further ones during the end.

    The event loop restores the default actions when it closes, after it has closed the wake-up fd:
    so signals are blocked until ``on_ending()``.
    """
    if control:
        await control.start()
    await served.serve(Notifier(os.environ))
    if control:
        await control.stop()
    signal.set_wakeup_fd(-1)
    on_ending(signal.SIG_IGN)
    hold()


def _settings(options: Options, can_watch: bool) -> Settings:
    return Settings(
        counter_entries=options.counter_entries,
        process_entries=options.process_entries,
        latency=options.latency,
        stacks_every=options.stacks_every if options.stacks else 0,
        journal=options.journal,
        spotlight=can_watch,
        origins=can_watch,
        exclude_tgid=os.getpid() if options.exclude_self else None,
        cache=options.cache,
    )
