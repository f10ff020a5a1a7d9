# SPDX-License-Identifier: GPL-2.0-only
"""The files that the page loads."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

_CHUNK = 65536
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}


@dataclass(frozen=True, slots=True)
class File:
    """A file to serve."""

    path: Path
    content_type: str
    tag: str
    """Entity tag: different for each content of the name."""

    def pieces(self) -> Iterator[bytes]:
        """Its bytes; OSError if the file is gone."""
        with self.path.open("rb") as file:
            while piece := file.read(_CHUNK):
                yield piece


def _file(path: Path) -> File:
    status = path.stat()
    return File(path, _TYPES[path.suffix], f'"{status.st_size:x}-{status.st_mtime_ns:x}"')


@cache
def files() -> dict[str, File]:
    """Every file by the name it is served under."""
    folder = Path(str(resources.files("fdscope.exporter.page") / "static"))
    return {path.name: _file(path) for path in folder.iterdir() if path.suffix in _TYPES}
