# SPDX-License-Identifier: GPL-2.0-only
"""Strict YAML: no duplicate key, no unknown key, every value of its type.

Values are read from the nodes as they are written, as Go's yaml package does for the exporter
toolkit: as a string, ``0`` is "0".
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from fdscope.exporter.settings import strict
from fdscope.exporter.settings.strict import ConfigError

T = TypeVar("T")

MAX_BYTES = 1 << 16
"""Largest file: Python takes minutes for a megabyte of YAML, and serves nobody meanwhile."""

_PREFIX = "tag:yaml.org,2002:"
_TAGS = {
    f"{_PREFIX}{name}": words
    for name, words in (
        ("str", "a string"),
        ("int", "a number"),
        ("float", "a number"),
        ("bool", "true or false"),
        ("null", "nothing"),
        ("timestamp", "a date"),
        ("value", "a string"),
        ("map", "a mapping"),
        ("seq", "a list"),
    )
}
_MERGE, _NULL = f"{_PREFIX}merge", f"{_PREFIX}null"
_TRUE, _FALSE = {"y", "yes", "true", "on"}, {"n", "no", "false", "off"}
_INTEGER = re.compile("([-+]?)(0x|0b|0o|0)?([0-9a-f]{1,18})", re.IGNORECASE)
_BASES = {"0x": 16, "0b": 2, "0o": 8, "0": 8}


class _Loader(yaml.SafeLoader):
    """Makes nodes of plain YAML only."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        node = super().compose_node(parent, index)
        if node and node.tag == _MERGE:
            raise yaml.MarkedYAMLError(
                problem="merge keys (<<) are not accepted: write the keys out",
                problem_mark=node.start_mark,
            )
        if node and node.tag not in _TAGS:
            raise yaml.MarkedYAMLError(
                problem="a value has a tag that is not plain YAML", problem_mark=node.start_mark
            )
        return node


class Section:
    """A mapping of the file; ``end()`` checks that every key was read."""

    def __init__(self, node: yaml.Node, where: str) -> None:
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError(f"{where} must be a mapping of keys to values, not {_kind(node)}")
        self.where = where
        self._left: dict[str, yaml.Node] = {}
        self._known: list[str] = []
        for key, value in node.value:
            name = _text(key)
            if name is None:
                raise ConfigError(f"{where}: a key is {_kind(key)}, not a string")
            if name in self._left:
                line = key.start_mark.line + 1
                raise ConfigError(f"{where}: line {line} has the key {strict.shown(name)} twice")
            self._left[name] = value

    def text(self, key: str, default: str) -> str:
        """The string under this key, or ``default`` where it is left out or empty."""
        return self._take(key, str, _text, default)

    def flag(self, key: str, default: bool) -> bool:
        """The boolean under this key, or ``default``."""
        return self._take(key, bool, _flag, default)

    def number(self, key: str, default: int) -> int:
        """The whole number under this key, or ``default``."""
        return self._take(key, int, _number, default)

    def texts(self, key: str) -> list[str]:
        """The list of strings under this key, empty where it is left out."""
        return self._take(key, list, _texts, [])

    def _take(self, key: str, kind: type, read: Callable[[yaml.Node], T | None], default: T) -> T:
        self._known.append(key)
        node = self._left.pop(key, None)
        if (
            node is None
            or node.tag == _NULL
            or (isinstance(node, yaml.MappingNode) and not node.value)
        ):
            return default
        value = read(node)
        if value is None:
            raise ConfigError(
                f"{self.where}: {key} must be {strict.KINDS[kind]}, not {_kind(node)}"
            )
        return value

    def section(self, key: str) -> "Section | None":
        """The mapping under this key; None if the key is left out."""
        self._known.append(key)
        node = self._left.pop(key, None)
        return None if node is None else Section(node, f"{self.where}: {key}")

    def rest(self) -> Mapping[str, str | None]:
        """All keys that were not read, None for values that are no strings; for free keys."""
        left, self._left = self._left, {}
        return {key: _text(node) for key, node in left.items()}

    def end(self) -> None:
        """ConfigError if a key was not read."""
        for key in self._left:
            raise ConfigError(
                f"{self.where}: unknown key {key[:200]}{strict.suggestion(key, self._known)}"
            )


def read(path: Path) -> Section:
    """Read the whole file; ConfigError if it cannot be read or is no YAML mapping."""
    where = strict.shown_path(path)
    text = strict.read_text(path)
    if len(text) > MAX_BYTES:
        raise ConfigError(f"{where} is larger than {MAX_BYTES} bytes")
    try:
        node = yaml.compose(text, _Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where} is not valid YAML: {_place(error)}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where} is not valid YAML: it is nested too deep") from error
    if node is None or node.tag == _NULL or (isinstance(node, yaml.MappingNode) and not node.value):
        raise ConfigError(
            f"{where} is empty and would protect nothing: give it tls_server_config or"
            " basic_auth_users, or leave --web.config.file out"
        )
    return Section(node, where)


def _text(node: yaml.Node) -> str | None:
    scalar = isinstance(node, yaml.ScalarNode) and node.tag != _NULL
    return str(node.value) if scalar else None


def _texts(node: yaml.Node) -> list[str] | None:
    items = [_text(item) for item in node.value] if isinstance(node, yaml.SequenceNode) else [None]
    return None if None in items else [item for item in items if item is not None]


def _flag(node: yaml.Node) -> bool | None:
    if not isinstance(node, yaml.ScalarNode) or node.style in ("'", '"'):
        return None
    word = node.value.lower()
    return True if word in _TRUE else False if word in _FALSE else None


def _number(node: yaml.Node) -> int | None:
    if not isinstance(node, yaml.ScalarNode) or node.style in ("'", '"'):
        return None
    match = _INTEGER.fullmatch(node.value.replace("_", ""))
    try:
        base = _BASES.get((match[2] or "").lower(), 10) if match else 10
        return int(f"{match[1]}{match[3]}", base) if match else None
    except ValueError:  # a digit outside of the base
        return None


def _kind(node: yaml.Node) -> str:
    """The type of a node, without its content, which can be secret."""
    return _TAGS.get(node.tag, "something else")


def _place(error: yaml.YAMLError) -> str:
    """The fault and its place, without text of the file, which can be secret."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return "it has characters or structures that YAML does not allow"
