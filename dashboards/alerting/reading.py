# SPDX-License-Identifier: GPL-2.0-only
"""From TOML to settings: the defaults, with what the user's file changes in them."""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from dashboards.alerting.duration import Duration
from dashboards.alerting.settings import OFF, SEVERITIES, Settings

DEFAULTS = Path(__file__).with_name("defaults.toml")

Table = Mapping[str, Any]

_MEANINGS = {
    str: "a string",
    int: "a whole number, 0 or more",
    float: "a number above 0",
    Duration: 'a duration in quotes, such as "5m"',
    tuple[str, ...]: "a list of strings",
    dict[str, str]: "a table of strings",
}


class SettingsError(Exception):
    """A file that cannot be used; the text says where and why."""


def load(path: Path | None, alerts: tuple[str, ...] = ()) -> Settings:
    """The defaults with the changes of a file; ``alerts`` are the names that may stand in it.

    SettingsError for a file that cannot be read, an unknown key and a value of a wrong type.
    """
    own = _parse(path) if path else {}
    where = str(path)
    _refuse_unknown(own, Settings, where, "")
    for name, severity in own.get("severity", {}).items():
        if name not in alerts:
            raise SettingsError(f"{where}: severity: no alert {name}{_nearest(name, alerts)}")
        if severity not in (*SEVERITIES, OFF):
            words = ", ".join((*SEVERITIES, OFF))
            raise SettingsError(f"{where}: severity.{name} must be one of {words}")
    settings: Settings = _build(Settings, _merge(_parse(DEFAULTS), own), where, "")
    return settings


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8 text: byte {error.start} is wrong") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from error


def _merge(defaults: Table, own: Table) -> dict[str, Any]:
    return {
        key: _merge(value, own.get(key, {})) if isinstance(value, dict) else own.get(key, value)
        for key, value in defaults.items()
    } | {key: value for key, value in own.items() if key not in defaults}


def _refuse_unknown(table: Table, kind: type, where: str, prefix: str) -> None:
    known = {_key(field.name): hint for field, hint in _hints(kind)}
    for key, value in table.items():
        if key not in known:
            raise SettingsError(f"{where}: unknown key {prefix}{key}{_nearest(key, known)}")
        if is_dataclass(known[key]) or known[key] == dict[str, str]:
            if not isinstance(value, dict):
                raise SettingsError(f"{where}: {prefix}{key} must be a table: [{prefix}{key}]")
            if is_dataclass(known[key]):
                _refuse_unknown(value, known[key], where, f"{prefix}{key}.")


def _build(kind: Any, table: Table, where: str, prefix: str) -> Any:
    values = {}
    for field, hint in _hints(kind):
        key = _key(field.name)
        if is_dataclass(hint):
            values[field.name] = _build(hint, table[key], where, f"{prefix}{key}.")
        else:
            values[field.name] = _value(hint, table[key], f"{where}: {prefix}{key}")
    return kind(**values)


def _value(hint: Any, value: Any, where: str) -> Any:
    # Not isinstance(): in Python, true is an int.
    wrong = SettingsError(f"{where} must be {_MEANINGS[hint]}, not {value!r}")
    if hint is Duration:
        if type(value) is not str:
            raise wrong
        try:
            return Duration(value)
        except ValueError as error:
            raise SettingsError(f"{where}: {error}") from error
    if hint is float and type(value) in (int, float) and value > 0:
        return float(value)
    if hint is int and type(value) is int and value >= 0:
        return value
    if hint is str and type(value) is str:
        return value
    if hint == dict[str, str] and all(type(item) is str for item in value.values()):
        return dict(value)
    if hint == tuple[str, ...] and type(value) is list and all(map(_is_word, value)):
        return tuple(value)
    raise wrong


def _is_word(value: Any) -> bool:
    return type(value) is str and bool(value)


def _hints(kind: type) -> list[tuple[Any, Any]]:
    hints = get_type_hints(kind)
    return [(field, hints[field.name]) for field in fields(kind)]


def _key(field_name: str) -> str:
    return field_name.replace("_", "-")


def _nearest(word: str, known: Any) -> str:
    nearest = difflib.get_close_matches(word.replace("_", "-"), list(known), 1, 0.5)
    return f"; did you mean {nearest[0]}?" if nearest else f". Known: {', '.join(known)}"
