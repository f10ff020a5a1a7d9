# SPDX-License-Identifier: GPL-2.0-only
"""The types of the catalog, and the labels that several metrics share."""

from dataclasses import dataclass
from enum import Enum

from fdscope.probes.schema.taxonomy import Door, FdType, Passing, Scope


class Kind(Enum):
    """Metric types of the exposition formats."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Label:
    """A label and, where its values are a closed set, these values."""

    name: str
    help: str
    values: tuple[str, ...] = ()
    ambiguous: bool = False
    """Other metrics have a label of this name that means something else."""


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """One metric family. ``name`` is the sample's name: a counter's ends in ``_total``."""

    name: str
    kind: Kind
    help: str
    labels: tuple[Label, ...] = ()

    @property
    def family(self) -> str:
        """The name without the suffix that its kind adds."""
        suffix = {Kind.COUNTER: "_total", Kind.INFO: "_info"}.get(self.kind, "")
        return self.name.removesuffix(suffix)

    @property
    def unit(self) -> str:
        """``bytes``, ``seconds`` or "", from the name."""
        last = self.family.rpartition("_")[2]
        return last if last in ("bytes", "seconds") else ""

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the labels, in the order of their values."""
        return tuple(label.name for label in self.labels)


PROCESS = Label("process", "name of the thread-group leader")
PID = Label("pid", "its tgid; empty where processes are summed under their name")
UNIT = Label(
    "unit",
    "systemd unit or container id, from the cgroup; a user's service has the user's manager before"
    " it (user@1000.service/a.service), a service in a machine of nspawn or LXC the machine; empty"
    " outside of units, (unknown) if it could not be read",
)
FD_TYPE = Label("fd_type", "what the fd refers to", tuple(m.label for m in FdType))
DOOR = Label("door", "how the operation entered the file layer", tuple(m.label for m in Door))
SCOPE = Label("scope", "where the socket's peer is", tuple(m.label for m in Scope))
DIRECTION = Label(
    "direction",
    "direction of the data or fds, seen from the process",
    tuple(m.label for m in Passing),
    ambiguous=True,
)
ERRNO = Label("errno", "name of the error, e.g. EAGAIN")
ENDED = Label(
    "ended",
    "only on sums over processes that had a pid series and have ended: until when (Unix time);"
    " it changes as the sum grows, so that rate() never counts these bytes twice",
)

OWNER = (PROCESS, PID, UNIT)

# Values of PROCESS, longer than any process name, so that no process can be mistaken for them.
UNATTRIBUTED = "(not attributed)"
OTHER = "(other processes)"
UNKNOWN = "(unknown process)"
