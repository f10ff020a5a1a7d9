# SPDX-License-Identifier: GPL-2.0-only
"""Files and lines of source, by addr2line where it is installed.

It reads debug information that a hostile program can choose, so it runs as the user of the process,
without any right of ours, and for a bounded time.
"""

import os
import pwd
import resource
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from fdscope.exporter.leaks.image import Frame, Image
from fdscope.probes.text import printable

_PATIENCE_SECONDS = 20.0
_MOST_MEMORY = 4 << 30
_MOST_ADDRESSES = 500
_NOBODY = 65534


def with_lines(image: Image, frames: Sequence[Frame]) -> dict[Frame, Frame]:
    """The same frames with files and lines, as far as they can be found."""
    by_path: dict[str, list[Frame]] = {}
    for frame in dict.fromkeys(frames):
        if frame.path and frame.address:
            by_path.setdefault(frame.path, []).append(frame)
    found: dict[Frame, Frame] = {}
    tool = shutil.which("addr2line", path="/usr/bin:/bin:/usr/local/bin")
    if tool is None:
        return found
    for mine in by_path.values():
        fd = image.fd_of(mine[0])
        if fd is not None:
            found |= _of_file(tool, fd, image.user, mine[:_MOST_ADDRESSES])
    return found


def _of_file(tool: str, fd: int, user: int, frames: list[Frame]) -> Mapping[Frame, Frame]:
    # The place behind a call can belong to the next line.
    places = [hex(max(frame.address - 1, 0)) for frame in frames]
    command = [tool, "-f", "-C", "-e", f"/proc/self/fd/{fd}", *places]
    try:
        output = _output(command, fd, user)
    except (OSError, subprocess.SubprocessError, ValueError):
        return {}
    lines = output.split(b"\n")
    found = {}
    for frame, function, place in zip(frames, lines[0::2], lines[1::2], strict=False):
        file, _, line = place.partition(b" (")[0].rpartition(b":")
        source = "" if file in (b"", b"??") else printable(file)
        source = f"{source}:{int(line)}" if source and line.isdigit() and int(line) else ""
        name = "" if function in (b"", b"??") else printable(function[:512])
        if source or (name and not frame.function):
            found[frame] = replace(frame, source=source, function=name or frame.function)
    return found


def _output(command: list[str], fd: int, user: int) -> bytes:
    as_user, group = _whose(user)
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pass_fds=[fd],
        cwd="/",
        env={"PATH": "/usr/bin"},
        user=as_user,
        group=group,
        extra_groups=None if group is None else [],
    ) as process:
        with suppress(OSError):  # it is done already, or that needs a right that we lack
            resource.prlimit(process.pid, resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
        try:
            return process.communicate(timeout=_PATIENCE_SECONDS)[0]
        finally:
            process.kill()


def _whose(user: int) -> tuple[int | None, int | None]:
    """User and group to run as: of the process, or nobody for root's; ours without the right."""
    if os.geteuid():
        return None, None
    if user:
        return user, user
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return _NOBODY, _NOBODY
    return nobody.pw_uid, nobody.pw_gid
