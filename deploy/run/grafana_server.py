# SPDX-License-Identifier: GPL-2.0-only
"""The Grafana of ``make run``, if one is installed: Debian has no package of it."""

import os
import shutil
from pathlib import Path

DEPLOY = Path(__file__).resolve().parents[1] / "grafana"
HOME = "/d/fdscope-socket-is-a-file"
UNWANTED = "FDSCOPE_GRAFANA=no: no Grafana, so no dashboards"
MISSING = (
    "no Grafana is installed: no dashboards (https://grafana.com/grafana/download has packages;"
    " with one on PATH, or GRAFANA_HOME set to an unpacked release, make run starts it)"
)
_SERVERS = ("grafana", "grafana-server")
_PACKAGED_HOME = Path("/usr/share/grafana")


def program() -> tuple[str, Path] | None:
    """Return the path of an installed Grafana, and its folder of pages and defaults.

    The package's command on PATH is a script with the settings and data of the package's service:
    the program itself is returned.
    """
    wanted = os.environ.get("GRAFANA_HOME")
    wanted = str(Path(wanted).absolute()) if wanted else None
    where = f"{wanted}/bin" if wanted else None
    path = next((found for name in _SERVERS if (found := shutil.which(name, path=where))), None)
    if path is None:
        return None
    home = Path(wanted) if wanted else Path(path).resolve().parents[1]
    if not wanted and not (home / "conf/defaults.ini").exists():
        home = _PACKAGED_HOME
        path = shutil.which(Path(path).name, path=f"{home}/bin") or path
    return (path, home) if (home / "conf/defaults.ini").exists() else None


def _settings(port: int, prometheus: int, data: Path) -> dict[str, str]:
    """Settings: every local user may view, nobody may log in, no connections to the internet."""
    dashboards = DEPLOY / "dashboards"
    return {
        "FDSCOPE_DASHBOARDS": str(dashboards),
        "PROMETHEUS_URL": f"http://127.0.0.1:{prometheus}",
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_AUTH_ANONYMOUS_ENABLED": "true",
        "GF_AUTH_ANONYMOUS_ORG_ROLE": "Viewer",
        "GF_AUTH_BASIC_ENABLED": "false",
        "GF_AUTH_DISABLE_LOGIN_FORM": "true",
        "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH": str(dashboards / "socket_is_a_file.json"),
        "GF_NEWS_NEWS_FEED_ENABLED": "false",
        "GF_PATHS_DATA": str(data / "grafana"),
        "GF_PATHS_LOGS": str(data / "grafana/log"),
        "GF_PATHS_PLUGINS": str(data / "grafana/plugins"),
        "GF_PATHS_PROVISIONING": str(DEPLOY / "provisioning"),
        "GF_PLUGINS_PREINSTALL_DISABLED": "true",
        "GF_SERVER_HTTP_ADDR": "127.0.0.1",
        "GF_SERVER_HTTP_PORT": str(port),
    }


def command(path: str, home: Path, port: int, prometheus: int, data: Path) -> list[str]:
    """Return the command line of a separate Grafana, provisioned with the dashboards."""
    settings = _settings(port, prometheus, data)
    server = ["server"] if Path(path).name == "grafana" else []
    return [
        "env",
        *(f"{name}={value}" for name, value in settings.items()),
        path,
        *server,
        f"--homepath={home}",
    ]
