# SPDX-License-Identifier: GPL-2.0-only
"""The Alertmanager of ``make run``, where one is installed."""

import shutil
from pathlib import Path

ADDRESS = "127.0.0.1:9093"
"""The address in deploy/prometheus/prometheus.yml."""

PROGRAMS = ("prometheus-alertmanager", "alertmanager")
"""Its name on Debian, and elsewhere."""


def program() -> str | None:
    """Return the path of an installed Alertmanager."""
    return next((path for name in PROGRAMS if (path := shutil.which(name))), None)


def command(path: str, port: int, deploy: Path, data: Path) -> list[str]:
    """Return the command line of a separate Alertmanager without peers."""
    return [
        path,
        f"--config.file={deploy / 'prometheus/alertmanager.yml'}",
        f"--storage.path={data / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]


def prometheus_config(text: str, port: int | None) -> str:
    """Return the configuration of Prometheus with this port; without one, it sends no alerts."""
    if port is not None:
        return text.replace(ADDRESS, f"127.0.0.1:{port}")
    return "\n\n".join(part for part in text.split("\n\n") if not part.startswith("alerting:"))
