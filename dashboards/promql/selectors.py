# SPDX-License-Identifier: GPL-2.0-only
"""Selectors in PromQL that can only name series, labels and label values that exist."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from fdscope.exporter.catalog import ENDED, FdKind, Kind, Metric

TARGET_LABELS = ("job", "instance")
"""Labels that Prometheus adds to everything it scrapes."""


class QueryError(ValueError):
    """A metric, label or value that the catalog does not have."""


class Series(Protocol):
    """A metric of the catalog, or a recorded series."""

    @property
    def name(self) -> str:
        """The name of its samples."""

    @property
    def label_names(self) -> tuple[str, ...]:
        """Its labels, without those of the target."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """An operator and the value with which it compares a label."""

    operator: str
    value: str


Where = str | Matcher | tuple[Matcher, ...] | None
"""The required value of a label, or what it must match; None for any."""


def matches(pattern: str) -> Matcher:
    """Values that the regular expression matches as a whole."""
    return Matcher("=~", pattern)


def one_of(values: Iterable[str]) -> Matcher:
    """Any of the values."""
    return Matcher("=~", "|".join(values))


def none_of(values: Iterable[str]) -> Matcher:
    """None of the values."""
    return Matcher("!~", "|".join(values))


def differs(value: str) -> Matcher:
    """Any other value."""
    return Matcher("!=", value)


def like(names: Iterable[str]) -> Matcher:
    """Any of the names; ``*`` stands for anything."""
    return Matcher("=~", _pattern(names))


def unlike(names: Iterable[str]) -> Matcher | None:
    """None of the names; ``*`` stands for anything; None without names."""
    pattern = _pattern(names)
    return Matcher("!~", pattern) if pattern else None


def of_kinds(*kinds: FdKind) -> str:
    """Write a regular expression that the fd types of these kinds match, and no others."""
    parts: list[str] = []
    for kind in kinds:
        labels = [fd_type.label for fd_type in kind.fd_types]
        family = f"{kind.label}_"
        is_family = all(label.startswith(family) for label in labels)
        parts += [f"{family}.*"] if is_family else labels
    return "|".join(parts)


def _pattern(names: Iterable[str]) -> str:
    # Not re.escape(): it escapes more than a regular expression of Prometheus needs.
    escaped = (re.sub(r"[\\.+?()|\[\]{}^$]", r"\\\g<0>", name) for name in names)
    return "|".join(name.replace("*", ".*") for name in escaped)


def labels_of(series: Series) -> tuple[str, ...]:
    """All labels of a series except the target's; sums over processes have ``ended`` too."""
    names = series.label_names
    if isinstance(series, Metric):
        names += (ENDED.name,) if "pid" in names else ()
        names += ("le",) if series.kind is Kind.HISTOGRAM else ()
    return names


def check_labels(series: Series, names: Iterable[str]) -> None:
    """QueryError for a label that neither the series nor its target has."""
    unknown = sorted(set(names) - {*labels_of(series), *TARGET_LABELS})
    if unknown:
        raise QueryError(f"{series.name} has no label {', '.join(unknown)}")


def check_value(series: Series, name: str, matcher: Matcher) -> None:
    """QueryError for a matcher that no value of a closed set fits."""
    labels = series.labels if isinstance(series, Metric) else ()
    closed = {label.name: label.values for label in labels}.get(name)
    if not closed or not matcher.value or "$" in matcher.value:
        return
    if matcher.operator in ("=~", "!~"):
        pattern = re.compile(matcher.value)
        known = any(pattern.fullmatch(value) for value in closed)
    else:
        known = matcher.value in closed
    if not known:
        raise QueryError(f"{name} of {series.name} is never {matcher.value}")


def select(series: Series, window: str = "", suffix: str = "", /, **where: Where) -> str:
    """Write the selector ``name{...}[window]``; a string in ``where`` is the value itself."""
    matchers = [(name, one) for name, value in where.items() for one in _matchers(value)]
    check_labels(series, (name for name, _ in matchers))
    for name, matcher in matchers:
        check_value(series, name, matcher)
    inner = ", ".join(f"{name}{m.operator}{_quoted(m.value)}" for name, m in matchers)
    braces = f"{{{inner}}}" if inner else ""
    during = f"[{window}]" if window else ""
    return f"{series.name}{suffix}{braces}{during}"


def _matchers(value: Where) -> tuple[Matcher, ...]:
    if isinstance(value, tuple):
        return value
    if isinstance(value, str):
        return (Matcher("=", value),)
    return (value,) if value else ()


def earlier(selector: str, offset: str) -> str:
    """Write a selector with an offset into the past."""
    return f"{selector} offset {offset}"


def keep(operator: str, series: Series, labels: Iterable[str], inner: str) -> str:
    """Write ``operator without (...) (inner)``: only these labels of the series stay.

    Labels that a user has added to the target stay as well.
    """
    kept = tuple(labels)
    check_labels(series, kept)
    away = ", ".join(name for name in labels_of(series) if name not in kept)
    return f"{operator} without ({away}) ({inner})"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
