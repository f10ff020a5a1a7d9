# SPDX-License-Identifier: GPL-2.0-only
"""The ports of ``make run``, and the programs that hold them."""

import os
import shutil
import socket
import subprocess

from children import RunError, say

EXPORTER_PORT, PROMETHEUS_PORT, ALERTMANAGER_PORT, GRAFANA_PORT = 20253, 9090, 9093, 3000
PORTS_TO_TRY = 10


def wanted_port(variable: str, default: int) -> int:
    """Read a port from the environment; RunError if it is none."""
    text = os.environ.get(variable) or str(default)
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise RunError(f"{variable}={text} is not a port: give a number from 1 to 65535")
    return int(text)


def is_free(port: int) -> bool:
    """Return True if a program can listen on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def holder(port: int) -> str:
    """Return the program that listens on a port, e.g. ``prometheus (process 812)``."""
    if shutil.which("ss") is None:
        return "another program"
    command = ["ss", "-Hltnp", f"sport = :{port}"]
    line = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    _, _, user = line.partition('users:(("')
    name, _, rest = user.partition('",pid=')
    return f"{name} (process {rest.partition(',')[0]})" if rest else "another program"


def exporter_port() -> int:
    """Return the exporter's port; RunError if it is held."""
    port = wanted_port("FDSCOPE_PORT", EXPORTER_PORT)
    if not is_free(port):
        raise RunError(
            f"port {port}, the exporter's, is held by {holder(port)}: stop that program,"
            " or choose another port: FDSCOPE_PORT=20254 make run"
        )
    return port


def prometheus_port() -> int:
    """Return the port for Prometheus."""
    return _free_port("PROMETHEUS_PORT", PROMETHEUS_PORT, "Prometheus")


def alertmanager_port() -> int:
    """Return the port for the Alertmanager."""
    return _free_port("ALERTMANAGER_PORT", ALERTMANAGER_PORT, "Alertmanager")


def grafana_port() -> int:
    """Return the port for Grafana."""
    return _free_port("GRAFANA_PORT", GRAFANA_PORT, "Grafana")


def _free_port(variable: str, default: int, name: str) -> int:
    """Return the first free port, starting with the wanted one."""
    wanted = wanted_port(variable, default)
    ports = range(wanted, min(wanted + PORTS_TO_TRY, 65536))
    port = next((port for port in ports if is_free(port)), None)
    if port is None:
        raise RunError(f"ports {ports[0]} to {ports[-1]} are all held: set {variable}")
    if port != wanted:
        say(f"port {wanted} is held by {holder(wanted)}, left alone: {name} listens on {port}")
    return port
