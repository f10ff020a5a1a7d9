# SPDX-License-Identifier: GPL-2.0-only
"""Sampled call chains of the kernel: as a bounded set of series, and as text."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from fdscope.probes.schema.taxonomy import Account, FdType
from fdscope.probes.text import printable

OTHER = "(other)"
MAX_PATHS = 100

_DIRECTIONS = {Account.SOCKET_RECEIVE: "received", Account.SOCKET_SEND: "sent"}

Samples = Mapping[tuple[FdType, Account, str], int]
"""As in ``Snapshot.stacks``."""


class Chain(NamedTuple):
    """A call chain from a door down to the socket layer."""

    fd_type: FdType
    direction: str
    """``received`` or ``sent``."""
    path: str


def chains(samples: Samples) -> dict[Chain, int]:
    """Chain to samples; stacks of other operations (peeks) are left out."""
    found: dict[Chain, int] = {}
    for (fd_type, account, path), count in samples.items():
        if account in _DIRECTIONS:
            chain = Chain(fd_type, _DIRECTIONS[account], printable(path))
            found[chain] = found.get(chain, 0) + count
    return found


class BoundedChains:
    """At most ``limit`` chains; further ones are summed as ``(other)``.

    The most frequent get series first, and keep them: so no counter goes down.
    """

    def __init__(self, limit: int = MAX_PATHS) -> None:
        self._limit = limit
        self._own: set[Chain] = set()

    def update(self, samples: Samples) -> dict[Chain, int]:
        """Add a reading; the chains to show, with their samples."""
        shown: dict[Chain, int] = {}
        for chain, count in sorted(chains(samples).items(), key=lambda item: -item[1]):
            if len(self._own) < self._limit:
                self._own.add(chain)
            key = chain if chain in self._own else chain._replace(path=OTHER)
            shown[key] = shown.get(key, 0) + count
        return shown


def _ordered(samples: Samples) -> list[tuple[Chain, int]]:
    """Chains sorted by fd type and direction, the most frequent first."""
    return sorted(chains(samples).items(), key=lambda item: (item[0][:2], -item[1]))


def rows(samples: Samples) -> list[dict[str, object]]:
    """Plain values for JSON; ``path`` is a list of functions, the door first."""
    return [
        {
            "fd_type": chain.fd_type.label,
            "direction": chain.direction,
            "path": chain.path.split(" > "),
            "samples": count,
        }
        for chain, count in _ordered(samples)
    ]


def _lines(samples: Samples) -> Iterable[str]:
    last = None
    for chain, count in _ordered(samples):
        if chain[:2] != last:
            last = chain[:2]
            yield f"{chain.fd_type.label}, {chain.direction}"
        yield f"{count:>12}  {chain.path}"


def text(samples: Samples) -> str:
    """The chains under each fd type and direction, with their samples."""
    return "\n".join(_lines(samples)) or "no operation of the socket layer was seen"
