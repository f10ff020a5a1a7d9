# SPDX-License-Identifier: GPL-2.0-only
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.paths import DEPLOY


@pytest.fixture
def grafana_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The script's module: the scripts of deploy/ are no package."""
    monkeypatch.syspath_prepend(str(DEPLOY / "run"))
    yield importlib.import_module("grafana_server")
    del sys.modules["grafana_server"]


def _release(folder: Path, binary: str) -> Path:
    """An unpacked release, as far as it is looked at."""
    (folder / "conf").mkdir(parents=True)
    (folder / "conf/defaults.ini").touch()
    (folder / "bin").mkdir()
    (folder / "bin" / binary).touch(mode=0o755)
    return folder


def test_none_is_found_where_none_is(
    grafana_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GRAFANA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert grafana_server.program() is None
    monkeypatch.setenv("GRAFANA_HOME", str(tmp_path))
    assert grafana_server.program() is None


def test_an_unpacked_release_is_found_by_its_folder_and_by_path(
    grafana_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = _release(tmp_path / "release", "grafana")
    expected = (str(home / "bin/grafana"), home)
    monkeypatch.setenv("GRAFANA_HOME", str(home))
    assert grafana_server.program() == expected
    monkeypatch.delenv("GRAFANA_HOME")
    monkeypatch.setenv("PATH", str(home / "bin"))
    assert grafana_server.program() == expected


def test_of_the_package_the_program_is_taken_not_its_wrapper(
    grafana_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = _release(tmp_path / "share/grafana", "grafana")
    (tmp_path / "sbin").mkdir()
    (tmp_path / "sbin/grafana").touch(mode=0o755)
    monkeypatch.delenv("GRAFANA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "sbin"))
    monkeypatch.setattr(grafana_server, "_PACKAGED_HOME", home)
    assert grafana_server.program() == (str(home / "bin/grafana"), home)


def test_it_listens_on_this_machine_only_and_nobody_logs_in(
    grafana_server: Any, tmp_path: Path
) -> None:
    line = grafana_server.command("/x/grafana", Path("/x"), 3000, 9090, tmp_path)
    assert line[-3:] == ["/x/grafana", "server", "--homepath=/x"]
    assert "GF_SERVER_HTTP_ADDR=127.0.0.1" in line
    assert "GF_AUTH_ANONYMOUS_ORG_ROLE=Viewer" in line
    assert "GF_AUTH_BASIC_ENABLED=false" in line
    old = grafana_server.command("/x/grafana-server", Path("/x"), 3000, 9090, tmp_path)
    assert old[-2:] == ["/x/grafana-server", "--homepath=/x"]


def test_what_is_provisioned_exists(grafana_server: Any, tmp_path: Path) -> None:
    line = grafana_server.command("/x/grafana", Path("/x"), 3000, 9090, tmp_path)
    settings = dict(word.split("=", 1) for word in line[1:-3])
    assert (Path(settings["GF_PATHS_PROVISIONING"]) / "datasources/prometheus.yml").exists()
    assert (Path(settings["GF_PATHS_PROVISIONING"]) / "dashboards/fdscope.yml").exists()
    assert Path(settings["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]).exists()
