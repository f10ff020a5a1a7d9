# SPDX-License-Identifier: GPL-2.0-only
"""The headers in the kernel itself (CONFIG_IKHEADERS), unpacked where nobody else has a hand in.

BCC unpacks them to a folder in /tmp of a name that everybody knows, and up to version 0.29 takes
one that is there, whoever made it (CVE-2024-2314).
"""

import os
import platform
import stat
import subprocess
import tempfile
from pathlib import Path

ARCHIVE = Path("/sys/kernel/kheaders.tar.xz")


def unpack(archive: Path = ARCHIVE, place: Path = Path("/tmp")) -> None:  # noqa: S108 - as BCC
    """Make BCC's folder of headers if it is missing.

    PermissionError if it is of somebody else; OSError or subprocess.SubprocessError if it cannot be
    made.
    """
    folder = place / f"kheaders-{platform.release()}"
    if not folder.is_symlink() and not folder.exists():
        made = tempfile.mkdtemp(prefix=f"{folder.name}-", dir=place)
        subprocess.run(["tar", "-xf", archive, "-C", made], check=True, capture_output=True)
        Path(made).chmod(0o755)
        Path(made).rename(folder)
    status = folder.lstat()
    shared = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in (0, os.geteuid()) or shared:
        raise PermissionError(
            f"{folder}, from which the compiler would read, was made by another user: remove it"
        )
