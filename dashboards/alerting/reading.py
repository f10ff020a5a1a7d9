# SPDX-License-Identifier: GPL-2.0-only
"""From TOML to settings: the defaults with the changes of the user's file."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from fdscope.dashboards.alerting.duration import Duration
from fdscope.dashboards.alerting.settings import OFF, SEVERITIES, Settings
from fdscope.exporter.settings import strict
from fdscope.exporter.settings.strict import ConfigError, shown, suggestion

DEFAULTS = Path(__file__).with_name("defaults.toml")

Table = Mapping[str, Any]

_MOST = 2**63
"""Largest number."""

_MEANINGS = {
    str: "a string",
    int: "a whole number, 0 or more",
    float: "a number above 0",
    Duration: 'a duration in quotes, such as "5m"',
    tuple[str, ...]: "a list of strings",
    dict[str, str]: "a table of strings",
}


def load(path: Path | None, alerts: tuple[str, ...] = ()) -> Settings:
    """The defaults with the changes of a file; ``alerts`` are the names that it may use.

    ConfigError for a file that cannot be read, an unknown key and a value of a wrong type.
    """
    own = strict.read_toml(path) if path else {}
    where = strict.shown_path(path) if path else ""
    _refuse_unknown(own, Settings, where, "")
    for name, severity in own.get("severity", {}).items():
        if name not in alerts:
            raise ConfigError(f"{where}: severity: no alert {name}{suggestion(name, alerts)}")
        if severity not in (*SEVERITIES, OFF):
            words = ", ".join((*SEVERITIES, OFF))
            raise ConfigError(f"{where}: severity.{name} must be one of {words}")
    settings: Settings = _build(Settings, _merge(strict.read_toml(DEFAULTS), own), where, "")
    return settings


def _merge(defaults: Table, own: Table) -> dict[str, Any]:
    return {
        key: _merge(value, own.get(key, {})) if isinstance(value, dict) else own.get(key, value)
        for key, value in defaults.items()
    } | {key: value for key, value in own.items() if key not in defaults}


def _refuse_unknown(table: Table, kind: type, where: str, prefix: str) -> None:
    known = {_key(field.name): hint for field, hint in _hints(kind)}
    for key, value in table.items():
        if key not in known:
            raise ConfigError(f"{where}: unknown key {prefix}{key}{suggestion(key, known)}")
        if is_dataclass(known[key]) or known[key] == dict[str, str]:
            if not isinstance(value, dict):
                raise ConfigError(f"{where}: {prefix}{key} must be a table: [{prefix}{key}]")
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
    wrong = ConfigError(f"{where} must be {_MEANINGS[hint]}, not {shown(value)}")
    if hint is Duration:
        if type(value) is not str:
            raise wrong
        try:
            return Duration(value)
        except ValueError as error:
            raise ConfigError(f"{where}: {error}") from error
    if hint is float and type(value) in (int, float) and 0 < value < _MOST:
        return float(value)
    if hint is int and type(value) is int and 0 <= value < _MOST:
        return value
    if hint is str and type(value) is str:
        return _plain(value, where)
    if hint == dict[str, str] and all(type(item) is str for item in value.values()):
        return {key: _plain(item, where) for key, item in value.items()}
    if hint == tuple[str, ...] and type(value) is list and all(map(_is_word, value)):
        return tuple(_plain(item, where) for item in value)
    raise wrong


def _is_word(value: Any) -> bool:
    return type(value) is str and bool(value)


def _plain(text: str, where: str) -> str:
    try:
        return strict.plain(text)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error


def _hints(kind: type) -> list[tuple[Any, Any]]:
    hints = get_type_hints(kind)
    return [(field, hints[field.name]) for field in fields(kind)]


def _key(field_name: str) -> str:
    return field_name.replace("_", "-")
