# SPDX-License-Identifier: GPL-2.0-only
"""The Python packages that a guest needs, as the project's own metadata names them."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

ALWAYS = ("hypothesis", "prometheus-client", "pytest")
FROM_DISTRIBUTION = frozenset({"bcc", "fdscope", "numpy"})
FOR_PICTURES = frozenset({"grafanalib"})
"""Left out: large, not used by tests of the kernel, and a userland is in the guest's memory."""
TEST_GROUP = "test"


def distribution_name(requirement: str) -> str:
    """Return the normalised name at the start of a requirement."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement.strip())
    return re.sub(r"[-_.]+", "-", found[0]).lower() if found else ""


def group(metadata: Mapping[str, object], name: str) -> Iterator[str]:
    """Give the requirements of a dependency group and of the groups it includes."""
    groups = metadata.get("dependency-groups", {})
    entries = groups.get(name, []) if isinstance(groups, dict) else []
    for entry in entries:
        if isinstance(entry, str):
            yield entry
        elif isinstance(entry, dict):
            yield from group(metadata, str(entry["include-group"]))


def declared(metadata: Mapping[str, object]) -> Iterator[str]:
    """Give what the project needs to run and to be tested."""
    project = metadata.get("project", {})
    if isinstance(project, dict):
        yield from project.get("dependencies", [])
        yield from project.get("optional-dependencies", {}).get(TEST_GROUP, [])
    yield from group(metadata, TEST_GROUP)


def guest_requirements(checkout: Path) -> list[str]:
    """Return the requirements to install, without what the guest's own packages bring."""
    file = checkout / "pyproject.toml"
    metadata = tomllib.loads(file.read_text()) if file.exists() else {}
    wanted = {distribution_name(text): text for text in (*ALWAYS, *declared(metadata))}
    return sorted(
        text for name, text in wanted.items() if name not in FROM_DISTRIBUTION | FOR_PICTURES
    )
