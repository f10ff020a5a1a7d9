# SPDX-License-Identifier: GPL-2.0-only
"""YAML without surprises: no key twice, no key unknown, every value of its type."""

import difflib
from collections.abc import Hashable
from pathlib import Path
from typing import Any, TypeVar

import yaml

from exporter.config import ConfigError

T = TypeVar("T")

_KINDS = {str: "a string", bool: "true or false", int: "a whole number", list: "a list of strings"}


class WebConfigError(ConfigError):
    """A web configuration that cannot be used; the text says where and what is wrong."""


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice: the first of them would be lost silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                line = node.start_mark.line + 1
                raise WebConfigError(f"the mapping at line {line} has the key {key!r} twice")
        return super().construct_mapping(node, deep)


class Section:
    """A mapping of the file: values are taken from it, and at the end none may be left."""

    def __init__(self, content: object, where: str) -> None:
        if not isinstance(content, dict):
            raise WebConfigError(f"{where} must be a mapping of keys to values, not {content!r}")
        self.where = where
        self._left = dict(content)
        self._known: list[str] = []

    def take(self, key: str, kind: type[T], default: T) -> T:
        """The value of this key, or ``default`` where it is left out or empty."""
        self._known.append(key)
        value = self._left.pop(key, None)
        if value is None:
            return default
        items = value if isinstance(value, list) else []
        if type(value) is not kind or not all(isinstance(item, str) for item in items):
            raise WebConfigError(f"{self.where}: {key} must be {_KINDS[kind]}, not {_brief(value)}")
        return value

    def section(self, key: str) -> "Section | None":
        """The mapping under this key; None if the key is left out."""
        self._known.append(key)
        if key not in self._left:
            return None
        return Section(self._left.pop(key), f"{self.where}: {key}")

    def rest(self) -> dict[object, object]:
        """All that was not taken; for mappings whose keys are not fixed."""
        left, self._left = self._left, {}
        return left

    def end(self) -> None:
        """WebConfigError if a key is left that nobody took."""
        for key in self._left:
            nearest = difflib.get_close_matches(str(key), self._known, 1, 0.5)
            advice = (
                f"did you mean {nearest[0]}?" if nearest else f"known: {', '.join(self._known)}"
            )
            raise WebConfigError(f"{self.where}: unknown key {key}; {advice}")


def read(path: Path) -> Section:
    """The whole file; WebConfigError if it cannot be read or is not a mapping in YAML."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise WebConfigError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise WebConfigError(f"{path} is not UTF-8 text: byte {error.start} is wrong") from error
    except yaml.YAMLError as error:
        raise WebConfigError(f"{path} is not valid YAML: {_place(error)}") from error
    except WebConfigError as error:
        raise WebConfigError(f"{path}: {error}") from error
    if content is None:
        raise WebConfigError(
            f"{path} is empty and would protect nothing: give it tls_server_config or"
            " basic_auth_users, or leave --web.config.file out"
        )
    return Section(content, str(path))


def _place(error: yaml.YAMLError) -> str:
    """What is wrong and where, without the text of the file: it can hold secrets."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return "it has characters or structures that YAML does not allow"


def _brief(value: object) -> str:
    """The value where it is short and no secret can be in it, else its type."""
    return repr(value) if isinstance(value, bool | int | float) else f"a {type(value).__name__}"
