# SPDX-License-Identifier: GPL-2.0-only
"""Grafana's own code and types, as npm packages in build/node (`make test` installs them)."""

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.paths import BUILD

SOURCES = Path(__file__).with_name("node")
FOLDER = BUILD / "node"
_GENERATOR = "node_modules/ts-json-schema-generator/bin/ts-json-schema-generator.js"


def run(script: str, *arguments: str, stdin: str = "") -> str:
    """Run a script with Node.js in the folder of the packages; return its output."""
    if shutil.which("node") is None or not (FOLDER / "node_modules/@grafana").exists():
        pytest.skip("no packages of Grafana in build/node: make test installs them")
    done = subprocess.run(
        ["node", script, *arguments],
        cwd=FOLDER,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@cache
def schema() -> Any:
    """The JSON Schema of ``Everything`` in types.ts; no key is required."""
    for name in ("types.ts", "tsconfig.json"):
        shutil.copyfile(SOURCES / name, FOLDER / name)
    text = run(
        _GENERATOR, "-p", "types.ts", "-f", "tsconfig.json", "-t", "Everything",
        "--no-type-check", "-e", "none",
    )  # fmt: skip
    found = without(json.loads(text), {"required"})
    found.setdefault("definitions", {})
    return found


def without(value: Any, keys: set[str]) -> Any:
    """A copy in which these keys are nowhere."""
    if isinstance(value, dict):
        return {k: without(v, keys) for k, v in value.items() if k not in keys}
    if isinstance(value, list):
        return [without(entry, keys) for entry in value]
    return value
