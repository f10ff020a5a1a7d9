# SPDX-License-Identifier: GPL-2.0-only
"""Strict reading of a user's files: regular files of bounded size and depth, clear messages.

All configuration is read through this: options, web configuration, thresholds of alerts.
"""

import difflib
import os
import re
import stat
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fdscope.probes.text import printable

MAX_BYTES = 1 << 20
"""Largest configuration file, certificate or key."""
MAX_DEPTH = 32
"""Deepest nesting of tables and lists."""

KINDS: Mapping[type, str] = {
    str: "a string",
    bool: "true or false",
    int: "a whole number",
    list: "a list of strings",
}
"""Types of values as messages name them."""

_MAX_MESSAGE = 2000
_MAX_SHOWN = 80
_MAX_KEY_PARTS = 128
# tomllib takes quadratic time in the number of parts of a key.
_KEY_PART = r"""(?:[A-Za-z0-9_-]++|"[^"\n]*+"|'[^'\n]*+')"""
_LONG_KEY = re.compile(
    rf"(?<![A-Za-z0-9_-]){_KEY_PART}(?:[ \t]*+\.[ \t]*+{_KEY_PART}){{{_MAX_KEY_PARTS},}}"
)
_OTHER_FILES = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


class ConfigError(Exception):
    """A configuration that cannot be used; one line with the place and the fault."""

    def __init__(self, text: str) -> None:
        """Make ``text`` printable: it can quote a file."""
        line = printable(text)
        super().__init__(line if len(line) <= _MAX_MESSAGE else f"{line[:_MAX_MESSAGE]}…")


def read_bytes(path: Path) -> bytes:
    """Read a regular file of at most ``MAX_BYTES``; ConfigError for everything else."""
    try:
        # Opening alone has an effect on a FIFO and on some devices.
        _refuse_other_files(path, os.stat(path).st_mode)  # noqa: PTH116 - Path takes no NUL
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with open(number, "rb") as file:  # noqa: PTH123 - a descriptor
            _refuse_other_files(path, os.fstat(number).st_mode)
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {shown_path(path)}: {error.strerror}") from error
    except ValueError as error:  # a NUL, or a surrogate
        raise ConfigError(f"cannot read {shown_path(path)}: it is not a valid file name") from error
    if len(content) > MAX_BYTES:
        raise ConfigError(f"cannot read {shown_path(path)}: it is larger than {MAX_BYTES} bytes")
    return content


def _refuse_other_files(path: Path, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise ConfigError(f"cannot read {shown_path(path)}: Is a directory")
    if not stat.S_ISREG(mode):
        kind = _OTHER_FILES.get(stat.S_IFMT(mode), "something else")
        raise ConfigError(f"cannot read {shown_path(path)}: it is {kind}, not a regular file")


def read_text(path: Path) -> str:
    r"""Read a regular file of UTF-8, without byte order mark, line ends as ``\n``; ConfigError."""
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{shown_path(path)} is not UTF-8 text: byte {error.start} is wrong"
        ) from error
    return text.replace("\r\n", "\n")


def read_toml(path: Path) -> dict[str, Any]:
    """Read the tables of a TOML file; ConfigError if it cannot be read."""
    text = read_text(path)
    if _LONG_KEY.search(text):
        raise ConfigError(f"{shown_path(path)}: a key has more than {_MAX_KEY_PARTS} parts")
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{shown_path(path)} is not valid TOML: {error}") from error
    except ValueError as error:  # int() of too many digits
        raise ConfigError(f"{shown_path(path)} is not valid TOML: a number is too long") from error
    except RecursionError as error:
        raise _too_deep(path) from error
    if _depth(content) > MAX_DEPTH:
        raise _too_deep(path)
    return content


def _too_deep(path: Path) -> ConfigError:
    return ConfigError(f"{shown_path(path)} has tables or lists more than {MAX_DEPTH} levels deep")


def _depth(content: object) -> int:
    """Number of levels of tables and lists."""
    level, depth = [content], 0
    while level := [item for value in level for item in _items(value)]:
        depth += 1
    return depth


def _items(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def shown(value: object) -> str:
    """A value for a message: short, whatever it is."""
    try:
        text = repr(value)
    except ValueError:  # a number of more digits than Python prints
        return "a number that is too long"
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def shown_path(path: Path) -> str:
    """A path for a message."""
    text = printable(str(path))
    return text if len(text) <= 4 * _MAX_SHOWN else f"{text[: 4 * _MAX_SHOWN]}…"


def suggestion(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown word: the nearest known one, or all."""
    names = list(known)
    short = word[:_MAX_SHOWN]  # the comparison takes quadratic time
    nearest = difflib.get_close_matches(short.replace("_", "-"), names, 1, 0.5)
    nearest = nearest or difflib.get_close_matches(short, names, 1, 0.5)
    return f"; did you mean {nearest[0]}?" if nearest else f"; known: {', '.join(names)}"


def plain(text: str) -> str:
    """Return the text; ValueError if it has a control character or a surrogate."""
    if any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xDC80 for c in text):
        raise ValueError(f"{shown(text)} has a control character")
    return text
