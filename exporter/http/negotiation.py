# SPDX-License-Identifier: GPL-2.0-only
"""Content negotiation, from a client's headers: form of the metrics, gzip, entity tag."""

import re
from collections.abc import Iterator

TEXT = ""
"""The plain text format, version 0.0.4: the default."""
OPENMETRICS = "application/openmetrics-text; version=1.0.0"

_MAX_ENTRIES = 64
_FORMS = {
    ("text/plain", ""): TEXT,
    ("text/plain", "0.0.4"): TEXT,
    ("application/openmetrics-text", ""): OPENMETRICS,
    ("application/openmetrics-text", "1.0.0"): OPENMETRICS,
}
_WEIGHT = re.compile(r"[01](\.[0-9]{0,3})?")


def metrics_form(accept: str) -> str:
    """The known form that an Accept header prefers, as an Accept header of it alone.

    An entry with an unknown version does not count, as in Prometheus' own client libraries.
    """
    best, form = 0.0, TEXT
    for name, weight, parameters in _entries(accept):
        known = _FORMS.get((name, parameters.get("version", "")))
        if known is not None and weight > best:
            best, form = weight, known
    return form


def accepts_gzip(accept_encoding: str) -> bool:
    """True if an Accept-Encoding header accepts gzip, by name or ``*``, with a weight above 0."""
    weights = {name: weight for name, weight, _ in _entries(accept_encoding)}
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def knows(if_none_match: str, tag: str) -> bool:
    """True if an If-None-Match header names this entity tag."""
    tags = (entry.strip().removeprefix("W/") for entry in if_none_match.split(","))
    return any(entry in (tag, "*") for entry in tags)


def _entries(header: str) -> Iterator[tuple[str, float, dict[str, str]]]:
    """(name, weight, parameters) of each entry; entries with an invalid weight are left out."""
    for entry in header.split(",")[:_MAX_ENTRIES]:
        name, *rest = entry.strip().lower().split(";")
        pairs = (part.partition("=") for part in rest)
        parameters = {key.strip(): value.strip().strip('"') for key, _, value in pairs}
        weight = parameters.pop("q", "1")
        if _WEIGHT.fullmatch(weight):
            yield name.strip(), min(float(weight), 1.0), parameters
