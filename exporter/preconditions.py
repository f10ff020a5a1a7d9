# SPDX-License-Identifier: GPL-2.0-only
"""What commands need before they can work: rights, and the host that they are on.

All commands import this: it is to load fast.
"""

import socket
from importlib import metadata

from fdscope.probes.kernel import host as capabilities
from fdscope.probes.kernel import limits
from fdscope.probes.kernel.host import Host


class RunError(Exception):
    """An expected error that ends a command; the text says what to do."""


def check_capabilities(host: Host | None = None) -> None:
    """RunError unless the process may load BPF programs and may have enough open files."""
    host = host or Host()
    if missing_file_system := host.missing():
        raise RunError(missing_file_system)
    if missing := capabilities.missing(capabilities.held(host.proc)):
        raise RunError(
            f"loading BPF programs needs {' and '.join(missing)}, which this process does not have:"
            " run it as root (sudo fdscope exporter), or let its systemd unit set"
            " AmbientCapabilities=CAP_BPF CAP_PERFMON"
        )
    if why := limits.allow_open_files():
        raise RunError(why)
    try:
        for end in socket.socketpair():
            end.close()
    except OSError as error:
        raise RunError(f"no pair of sockets can be made: {limits.reason(error)}") from error


def check_host(host: Host | None = None) -> None:
    """check_capabilities(); RunError too in a private pid namespace: fdscope counts host-wide."""
    host = host or Host()
    check_capabilities(host)
    if why := host.private_pids():
        raise RunError(why)


def no_probe(why: str) -> str:
    """The message of an AttachError, with advice in its first line."""
    reason, _, log_end = why.partition("\n")
    first = f"no probe could be attached: {reason} (`fdscope doctor` says what is missing)"
    return f"{first}\n{log_end}" if log_end else first


def version() -> str:
    """The version of the installed package; ``unknown`` in a tree that is not installed."""
    try:
        return metadata.version("fdscope")
    except metadata.PackageNotFoundError:
        return "unknown"
