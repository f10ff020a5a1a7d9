# SPDX-License-Identifier: GPL-2.0-only
"""The options of ``fdscope exporter`` from flags, file and environment, all from one table.

A flag wins over the file, the file over the environment, the environment over the default.
"""

import argparse
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fdscope.exporter.settings import strict
from fdscope.exporter.settings.options import OPTIONS, Option, Options
from fdscope.exporter.settings.strict import ConfigError

DEFAULT_FILE = Path("/etc/fdscope/fdscope.toml")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give the parser a flag for every option, and ``--config.file``."""
    parser.add_argument(
        "--config.file",
        metavar="FILE",
        default=argparse.SUPPRESS,
        help=f"TOML file to read options from. Default: {DEFAULT_FILE}, if it is there.",
    )
    for option in OPTIONS:
        shape: dict[str, Any] = {"metavar": option.metavar, "action": "store"}
        default = option.default
        if option.kind is bool:
            shape = {"action": argparse.BooleanOptionalAction}
            default = "on" if default else "off"
        elif option.kind is list:
            shape["action"] = "append"
            default = " ".join(default)
        also = f" Also: environment variable {option.variable}." if option.variable else ""
        parser.add_argument(
            f"--{option.flag}",
            dest=option.flag,
            default=argparse.SUPPRESS,
            help=f"{option.help} Default: {default or 'none'}.{also}",
            **shape,
        )


def load(
    flags: Mapping[str, Any], environment: Mapping[str, str], default_file: Path = DEFAULT_FILE
) -> Options:
    """Options from parsed flags (``vars()`` of the namespace), file and environment.

    ConfigError for a file that cannot be read and for anything in it, in the environment or
    among the flags that is unknown or not usable.
    """
    values = {option.field: option.check(option.default) for option in OPTIONS}
    for option in OPTIONS:
        if word := environment.get(option.variable):
            values[option.field] = _checked(option, word, option.variable)
    if "config.file" in flags:
        values |= _from_file(Path(flags["config.file"]), required=True)
    else:
        values |= _from_file(default_file, required=False)
    for option in OPTIONS:
        if option.flag in flags:
            value = _number(option, flags[option.flag])
            values[option.field] = _checked(option, value, f"--{option.flag}")
    return Options(**values)


def _number(option: Option, value: Any) -> Any:
    if option.kind is int and re.fullmatch("-?[0-9]{1,18}", value):
        return int(value)
    return value


def _from_file(path: Path, *, required: bool) -> dict[str, Any]:
    if not required and not _exists(path):
        return {}
    options = {option.flag: option for option in OPTIONS}
    values = {}
    where = strict.shown_path(path)
    for key, value in _flat(strict.read_toml(path)):
        if key not in options:
            advice = strict.suggestion(key, options)
            raise ConfigError(f"{where}: unknown key {key[:200]}{advice}")
        option = options[key]
        values[option.field] = _checked(option, value, f"{where}: {key}")
    return values


def _exists(path: Path) -> bool:
    """True if there is such a file, or if this process may not look."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of every leaf of nested tables, and of empty tables that are unknown."""
    for key, value in table.items():
        name = f"{prefix}{key}"
        known = any(option.flag.startswith(f"{name}.") for option in OPTIONS)
        if isinstance(value, dict) and (value or known):
            yield from _flat(value, f"{name}.")
        else:
            yield name, value


def _checked(option: Option, value: Any, where: str) -> Any:
    # Not isinstance(): in Python, true is an int.
    items = value if isinstance(value, list) else []
    if type(value) is not option.kind or not all(isinstance(item, str) for item in items):
        raise ConfigError(f"{where} must be {strict.KINDS[option.kind]}, not {strict.shown(value)}")
    try:
        for text in (value, *items):
            if isinstance(text, str):
                strict.plain(text)
        return option.check(value)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error
