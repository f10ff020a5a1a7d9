# SPDX-License-Identifier: GPL-2.0-only
"""The Debian package of the checkout, and one of a lower version to upgrade from."""

import re
from pathlib import Path

from tests.vm.command import LabError, run

OLDER = "older"
"""The version of the older package."""


def package_file(checkout: Path) -> Path:
    """The package built by `make deb`; LabError if there is none."""
    found = sorted((checkout / "build").glob("fdscope_*.deb"))
    if not found:
        message = "no build/fdscope_*.deb: run `make deb` first"
        raise LabError(message)
    return found[-1]


def depends(package: Path) -> str:
    """Its field of that name."""
    return run(["dpkg-deb", "--field", package, "Depends"], what="reading the package").strip()


def build_older(package: Path, target: Path, work: Path) -> None:
    """Pack it again under a lower version, with another comment in the configuration file.

    As both the administrator and the newer package have changed that file, an upgrade shows
    whose text dpkg keeps.
    """
    tree = work / OLDER
    run(["dpkg-deb", "--raw-extract", package, tree], what="unpacking the package")
    _change(tree / "DEBIAN/control", r"^Version: .*", rf"\g<0>~{OLDER}")
    (metadata,) = tree.glob("usr/lib/fdscope/fdscope-*.dist-info/METADATA")
    _change(metadata, r"^Version: .*", f"Version: {OLDER}")
    _change(tree / "etc/fdscope/fdscope.toml", r"\A", f"# From the {OLDER} version.\n")
    build = ["dpkg-deb", "--root-owner-group", "-z1", "--build"]
    run([*build, tree, target], what="packing an older version")


def _change(file: Path, pattern: str, text: str) -> None:
    changed, times = re.subn(pattern, text, file.read_text(), count=1, flags=re.MULTILINE)
    if times != 1:
        message = f"{file.name} has no {pattern}: the older package cannot be made"
        raise LabError(message)
    file.write_text(changed)
