# SPDX-License-Identifier: GPL-2.0-only
"""The data folder of ``make run``: root writes there, so nobody else may."""

import os
import stat
from pathlib import Path

from children import RunError


def prepare(folder: Path, checkout: Path) -> None:
    """Make the folder; RunError if another user could put files or links in its place.

    The owner of the checkout is trusted: root runs its code anyway.
    """
    trusted = {0, os.geteuid(), checkout.stat().st_uid}
    folder.mkdir(parents=True, exist_ok=True)
    for place in (folder, *folder.parents):
        if place == checkout:
            break
        status = place.lstat()
        if place == folder and not stat.S_ISDIR(status.st_mode):
            raise RunError(f"{place} is a link: name the folder itself in FDSCOPE_DATA")
        status = place.stat()
        open_to_others = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if place != folder and status.st_mode & stat.S_ISVTX:
            open_to_others = 0  # such as /tmp: nobody can rename what belongs to another
        if status.st_uid not in trusted or open_to_others:
            raise RunError(
                f"{place} belongs to another user, or others may write to it: root's data cannot be"
                f" kept in {folder}. Name another folder in FDSCOPE_DATA"
            )


def create(file: Path, flags: int = os.O_WRONLY | os.O_TRUNC) -> int:
    """Open a file for writing, created if needed; RunError if it is a link or cannot be opened."""
    try:
        return os.open(file, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise RunError(f"cannot write {file}: {error.strerror}: remove it") from error
