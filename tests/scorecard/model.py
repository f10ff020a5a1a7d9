# SPDX-License-Identifier: GPL-2.0-only
"""Scenarios and their verdicts."""

from dataclasses import dataclass, field
from typing import NamedTuple

from fdscope.probes.hooks.blind_spots import BLIND_SPOTS
from fdscope.probes.schema.taxonomy import Mode


@dataclass(frozen=True, slots=True)
class Blind:
    """A blind spot of the product that excuses missing bytes of a scenario."""

    begins: str
    """The begin of its text in ``probes.hooks.blind_spots``, which must list it for the mode."""
    modes: tuple[Mode, ...] = tuple(Mode)
    before: tuple[int, int] | None = None
    """The first kernel without it."""

    def applies(self, mode: Mode, kernel: tuple[int, int]) -> bool:
        """True where the product lists it."""
        return mode in self.modes and (self.before is None or kernel < self.before)

    def text(self, mode: Mode) -> str:
        """The product's text; ValueError if it has none."""
        for spot in BLIND_SPOTS[mode]:
            if spot.what.startswith(self.begins):
                return spot.what
        raise ValueError(f"no blind spot of {mode.value} mode begins with: {self.begins}")


_FUNCTIONS = (Mode.FENTRY, Mode.KPROBE)
OTHER_FAMILIES = Blind(
    "at the socket layer of a kernel without the tracepoints", _FUNCTIONS, (6, 3)
)
PREEMPTED = Blind("where tasks preempt the kernel", (Mode.FENTRY, Mode.TRACEPOINT))
COPY_FILE_RANGE = Blind("copy_file_range on Linux 5.10", (Mode.FENTRY,), (5, 11))


@dataclass(frozen=True, slots=True)
class Scenario:
    """Processes that move known numbers of bytes."""

    name: str
    program: tuple[str | int, ...]
    """Program of tests/workloads and its arguments: numbers are scaled, ``{place}`` is filled."""
    blind: tuple[Blind, ...] = ()
    scope: str = ""
    """The scope of all peers at the socket layer, if they have the same."""
    quick: bool = True
    """Also a test of pytest, with fewer bytes."""
    about: str = ""
    """A note for readers of the table."""


class Line(NamedTuple):
    """One kind of operation of one process: expected and counted."""

    pid: int
    process: str
    layer: str
    account: str
    fd_type: str
    door: str
    """Empty at the socket layer."""
    expected_operations: int
    operations: int
    expected_bytes: int
    bytes: int

    @property
    def exact(self) -> bool:
        """True if nothing is missing and nothing is too much."""
        return (self.operations, self.bytes) == (self.expected_operations, self.expected_bytes)

    @property
    def lacks(self) -> bool:
        """True if something is missing and nothing is too much."""
        within = self.operations <= self.expected_operations and self.bytes <= self.expected_bytes
        return within and not self.exact


EXACT, OFF, BLIND, NOT_POSSIBLE = "exact", "off", "not seen", "not possible here"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a scenario in one mode on one kernel."""

    scenario: str
    verdict: str
    """One of the four words above."""
    why: str = ""
    expected_bytes: int = 0
    file_bytes: int = 0
    socket_bytes: int = 0
    processes: int = 0
    residual_bytes: int = 0
    """Residual of the ledger, over the scenario's processes."""
    losses: int = 0
    missed_runs: int = 0
    tries: int = 1
    wrong: list[Line] = field(default_factory=list)
    """The lines that are not exact; the first few."""
