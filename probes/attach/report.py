# SPDX-License-Identifier: GPL-2.0-only
"""The result of attaching, as plain values that the loader sends to its parent as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from fdscope.probes.schema.taxonomy import Door, Layer, Mode


class State(StrEnum):
    """How attaching a hook went."""

    ATTACHED = "attached"
    ABSENT = "absent"
    """This kernel has no such function or tracepoint."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class HookStatus:
    """A hook, or another program of a mode. The fields are keys of JSON output."""

    function: str
    layer: str
    """A value of ``Layer``."""
    mode: str
    """A value of ``Mode``: a tracepoint can be hooked in another way than functions are."""
    door: str
    """The label of the door that is blind without such hooks; empty if there is none."""
    state: State
    why: str = ""
    """The reason, unless it is attached."""

    @classmethod
    def of(
        cls,
        function: str,
        layer: Layer,
        mode: Mode,
        door: Door | None,
        state: State = State.ATTACHED,
        why: str = "",
    ) -> "HookStatus":
        """The status of a hook, from the words of the taxonomy."""
        label = "" if door is None else door.label
        return cls(function, layer.value, mode.value, label, state, why)

    @property
    def is_attached(self) -> bool:
        """True if its program runs."""
        return self.state is State.ATTACHED


@dataclass(frozen=True, slots=True)
class Refused:
    """An attach mode that was tried and does not work here."""

    mode: str
    why: str


@dataclass(frozen=True, slots=True)
class Report:
    """The mode in use and its hooks, or why no mode works."""

    mode: str = ""
    bcc: str = ""
    """Version of the compiler."""
    layouts: str = "btf"
    """``btf``, or why there is none: the kernel's installed headers are taken then."""
    hooks: Sequence[HookStatus] = ()
    refused: Sequence[Refused] = ()
    """The modes that were tried before."""
    programs: Sequence[str] = ()
    """Names of the loaded programs."""
    open_files: int = 0
    """Number of descriptors that follow: of the maps, the programs, then the links."""
    error: str = ""
    """Why no mode works; empty if one does."""
    origin: str = ""
    """Whether the programs were compiled now or before."""
    map_bytes: Mapping[str, int] = field(default_factory=dict)
    """Kernel memory of every map, by name."""
    log: str = ""
    """The messages of the compiler."""

    def to_json(self) -> bytes:
        """For ``from_json``."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, payload: bytes) -> "Report":
        """The report that ``to_json`` was called on."""
        values = json.loads(payload)
        hooks = tuple(
            HookStatus(**{**hook, "state": State(hook["state"])}) for hook in values.pop("hooks")
        )
        refused = tuple(Refused(**each) for each in values.pop("refused"))
        return cls(**values, hooks=hooks, refused=refused)
