# SPDX-License-Identifier: GPL-2.0-only
"""The container files, as far as they can be checked without an engine, and similar files."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.paths import DEPLOY

COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]


@pytest.mark.parametrize("name", SERVICES)
def test_versions_are_pinned_and_rights_dropped(name: str) -> None:
    assert re.search(r":v?[0-9]+\.[0-9]+", SERVICES[name]["image"])
    assert SERVICES[name]["cap_drop"] == ["ALL"]


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_mounted_is_there(name: str) -> None:
    mounts = [volume.split(":") for volume in SERVICES[name].get("volumes", ())]
    for source, *_ in mounts:
        assert source in COMPOSE["volumes"] or (DEPLOY / source).exists(), source


def test_everything_listens_on_loopback_only() -> None:
    for name in ("prometheus", "alertmanager"):
        assert "--web.listen-address=127.0.0.1:" in " ".join(SERVICES[name]["command"])
    assert SERVICES["grafana"]["environment"]["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"


def bounding_set(unit: Path) -> set[str]:
    (words,) = re.findall("^CapabilityBoundingSet=(.*)$", unit.read_text(), re.MULTILINE)
    return {word.removeprefix("CAP_") for word in words.split()}


def test_capabilities_are_those_of_the_unit_and_of_changing_the_user() -> None:
    unit, changing = bounding_set(DEPLOY / "service/fdscope.service"), {"SETUID", "SETGID"}
    assert set(SERVICES["fdscope"]["cap_add"]) == unit | changing
    drop_in = bounding_set(DEPLOY / "debian/examples/kprobe.conf")
    assert drop_in == changing | {"SYS_ADMIN"}


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]
    assert SERVICES["fdscope"]["image"] == f"fdscope:{project['version']}"


def test_the_user_data_is_a_cloud_config() -> None:
    text = (DEPLOY / "install/cloud-init.yaml").read_text()
    assert text.startswith("#cloud-config\n")
    (script,) = yaml.safe_load(text)["write_files"]
    assert yaml.safe_load(text)["runcmd"] == [[script["path"]]]


@pytest.mark.skipif(not shutil.which("cloud-init"), reason="no cloud-init: the VM lab tries it too")
def test_cloud_init_takes_the_user_data() -> None:
    command = ["cloud-init", "schema", "--config-file", str(DEPLOY / "install/cloud-init.yaml")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
