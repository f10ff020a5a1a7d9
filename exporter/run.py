# SPDX-License-Identifier: GPL-2.0-only
"""What ``fdscope exporter`` does: check, listen, attach, serve, detach."""

import asyncio
import logging
import os
import platform
import pwd
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry

from exporter import listen, privileges, report
from exporter.notify import Notifier
from exporter.options import Options
from exporter.page import PageData
from exporter.server import Server
from exporter.starting import answering
from exporter.web_config.protection import Protection
from probes import blind_spots, capabilities
from probes.source import Settings
from probes.taxonomy import Mode

if TYPE_CHECKING:
    from exporter.collector import Collector
    from probes.selftest import Row
    from probes.session import Session

    Attached = tuple[Session, Sequence[Row]]

log = logging.getLogger(__name__)

_PROC = Path("/proc")
_INITIAL_PID_NAMESPACE = "pid:[4026531836]"
"""include/linux/proc_ns.h: PROC_PID_INIT_INO."""


class RunError(Exception):
    """Something expected that ends a command; the text says what and what to do."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the exporter is put together from; tests put in others."""

    check: Callable[[], None]
    """RunError if this process may not load BPF programs."""
    own_tgid: Callable[[], int]
    """This process as the kernel numbers it; RunError if that cannot be told."""
    attach: Callable[[Sequence[Mode], Settings, Callable[[str], None]], "Attached"]
    """From modes, settings and a way to tell progress; RunError if nothing can be attached."""
    drop_privileges: Callable[[str], None]
    """Become this user, and keep what serving needs; RunError if that cannot be done."""
    collector: Callable[["Attached", str, Options], "Collector"]
    """From what is attached, and the version."""


def check_capabilities(proc: Path = _PROC) -> None:
    """RunError unless the process has CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN."""
    if missing := capabilities.missing(capabilities.held(proc)):
        raise RunError(
            f"loading BPF programs needs {' and '.join(missing)}, which this process does not have:"
            " run it as root (sudo fdscope exporter), or let its systemd unit set"
            " AmbientCapabilities=CAP_BPF CAP_PERFMON"
        )


def own_tgid(proc: Path = _PROC) -> int:
    """Our process id; RunError unless it is what the kernel side sees, for it counts host-wide."""
    lines = (proc / "self/status").read_text().splitlines()
    numbers = next((line.split()[1:] for line in lines if line.startswith("NSpid:")), [])
    try:
        namespace = str((proc / "self/ns/pid").readlink())
    except FileNotFoundError:  # a kernel without such namespaces
        namespace = _INITIAL_PID_NAMESPACE
    if len(numbers) > 1 or namespace != _INITIAL_PID_NAMESPACE:
        raise RunError(
            "--exclude-self needs the host's pid namespace: in a container's own, this process"
            " cannot tell its number in the kernel. Start the container with the host's"
            " (docker run --pid=host; hostPID: true in Kubernetes), or leave --exclude-self out"
        )
    return os.getpid()


def _attach(
    modes: Sequence[Mode], settings: Settings, progress: Callable[[str], None]
) -> "Attached":
    # Imported here, for `fdscope version` is to work where numpy is missing.
    from probes.launch import AttachError
    from probes.selftest import attach_what_fires

    try:
        return attach_what_fires(modes, settings, progress)
    except AttachError as error:
        text = f"no probe could be attached: {error}\nRun `fdscope doctor`: it says what is missing"
        raise RunError(text) from error


def _collector(attached: "Attached", version: str, options: Options) -> "Collector":
    from exporter.collector import Collector
    from exporter.selftester import SelfTester
    from probes import selftest

    session, rows = attached

    def test(go_on: Callable[[], None]) -> selftest.Result:
        return selftest.judge(session, quick=True, meanwhile=go_on)

    tester = SelfTester(test, rows, options.selftest_interval)
    return Collector(session, version, options.max_series, tester)


def _drop_privileges(user: str) -> None:
    keep = privileges.needed(platform.release())
    try:
        privileges.drop(user, keep)
    except privileges.PrivilegeError as error:
        raise RunError(str(error)) from error
    log.info("capabilities kept: %s", " ".join(keep) or "none")


REAL = Parts(check_capabilities, own_tgid, _attach, _drop_privileges, _collector)


def run_exporter(options: Options, parts: Parts = REAL) -> None:
    """Bind, attach and serve until SIGTERM or SIGINT; nothing is attached when it returns.

    RunError, BindError and ConfigError say what went wrong.
    """
    log.info("fdscope %s", version())
    # numpy's threads would keep the privileges that the others give up.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    protection = Protection(options.web_config_file)
    parts.check()
    settings = _settings(options, parts)
    with ExitStack() as stack:
        sockets = _sockets(options)
        stack.callback(listen.release, sockets)
        stack.callback(_on_signals, signal.SIG_DFL)
        # KeyboardInterrupt at once, until the event loop takes the signals over.
        _on_signals(signal.default_int_handler)
        signal.signal(signal.SIGHUP, lambda *_: None)  # there is nothing to read again yet
        with answering(options, sockets, protection):
            attached = parts.attach(options.modes, settings, log.info)
            session, rows = attached
            stack.callback(session.close)
        stack.callback(_on_signals, signal.SIG_IGN)
        report.attached(session.report)
        report.self_tested(rows)
        parts.drop_privileges(options.privileges_user)
        collector = parts.collector(attached, version(), options)
        stack.callback(collector.close)
        # Nothing may interrupt what detaches: it takes no longer than moments.
        stack.callback(_on_signals, signal.SIG_IGN)
        registry = CollectorRegistry()
        registry.register(collector)
        served = Server(
            options,
            sockets,
            registry,
            lambda: _page(session.mode, collector),
            collector.ready,
            protection,
        )
        _tell_addresses(sockets, options, "https" if protection.has_tls else "http")
        asyncio.run(served.serve(Notifier(os.environ)))


def _sockets(options: Options) -> list[socket.socket]:
    if options.systemd_socket:
        return listen.passed(os.environ)
    addresses, mode = options.listen_addresses, options.unix_socket_mode
    user = options.privileges_user
    owner = pwd.getpwnam(user).pw_uid if user else None
    return listen.bind(addresses, mode, options.unix_socket_group, owner)


def _tell_addresses(sockets: Sequence[socket.socket], options: Options, scheme: str) -> None:
    for url in listen.urls(sockets, scheme):
        if url.startswith("unix:"):
            path, metrics = url.removeprefix("unix:"), options.telemetry_path
            log.info("metrics: curl --unix-socket %s %s://localhost%s", path, scheme, metrics)
        else:
            log.info("metrics: %s%s, page: %s/", url, options.telemetry_path, url)


def _on_signals(action: Any) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, action)


def _settings(options: Options, parts: Parts) -> Settings:
    return Settings(
        counter_entries=options.counter_entries,
        process_entries=options.process_entries,
        latency=options.latency,
        stacks_every=options.stacks_every if options.stacks else 0,
        exclude_tgid=parts.own_tgid() if options.exclude_self else None,
    )


def _page(mode: Mode, collector: "Collector") -> PageData:
    blind = blind_spots.for_mode(mode)
    return PageData(version(), mode.value, collector.attachments(), blind)


def version() -> str:
    """The version of the installed package; ``unknown`` in a tree that is not installed."""
    try:
        return metadata.version("fdscope")
    except metadata.PackageNotFoundError:
        return "unknown"
