# SPDX-License-Identifier: GPL-2.0-only
"""What processes of a name and unit usually do: learned, kept, and told when it changes.

The file is JSON that a person can read, edit, and carry to another host.
"""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fdscope.probes.schema.slots import Slot, slot
from fdscope.probes.schema.taxonomy import Account, Connection, Door, Scope
from fdscope.probes.text import printable

VERSION = 1
_MOST_PROFILES = 4096
_MOST_HABITS = 256
_MOST_CHARACTERS = 64

Owner = tuple[str, str]
"""Name of the process, and its unit or container ("" for neither)."""


class ProfilesError(ValueError):
    """A file that cannot be used; the text says why."""


@dataclass(slots=True)
class Profile:
    """The habits of one owner."""

    since: int
    """Unix time of the first."""
    habits: set[str] = field(default_factory=set)
    """``FD_TYPE door DOOR``, ``FD_TYPE scope SCOPE`` or ``FD_TYPE connect SCOPE``."""


def habit(code: int) -> str | None:
    """What an amount of this slot code says about its owner's habits; None for nothing."""
    return _habit_of(slot(code))


def _habit_of(of: Slot) -> str | None:
    if of.errno:
        return None
    if isinstance(of.via, Door):
        return f"{of.fd_type.label} door {of.via.label}"
    if isinstance(of.via, Scope):
        return f"{of.fd_type.label} scope {of.via.label}"
    if of.account is Account.CONNECTION and isinstance(of.via, Connection):
        return f"{of.fd_type.label} {of.via.role} {of.via.scope.label}"
    return None


class Profiles:
    """The profiles of a host; bounded."""

    def __init__(self, learn_seconds: float, most: int = _MOST_PROFILES) -> None:
        """A profile learns for ``learn_seconds`` from its first habit on, and then tells."""
        self._learn_seconds = learn_seconds
        self._most = most
        self._profiles: dict[Owner, Profile] = {}
        self.changed = False
        """True if something was learned since ``text()``."""

    def __len__(self) -> int:
        return len(self._profiles)

    def meet(self, owner: Owner, codes: Iterable[int], now: float | None = None) -> list[str]:
        """Learn what an owner does; its new habits if it has learned for long enough."""
        now = time.time() if now is None else now
        seen = {name for name in map(habit, codes) if name}
        profile = self._profiles.get(owner)
        if profile is None:
            if not seen or not self._make_room(now):
                return []
            profile = self._profiles[owner] = Profile(int(now))
        new = sorted(seen - profile.habits)[: _MOST_HABITS - len(profile.habits)]
        if not new:
            return []
        profile.habits.update(new)
        self.changed = True
        return new if now - profile.since >= self._learn_seconds else []

    def _make_room(self, now: float) -> bool:
        """Give the room of a profile that still learns; those that are complete stay."""
        if len(self._profiles) < self._most:
            return True
        learning = [
            owner
            for owner, profile in self._profiles.items()
            if now - profile.since < self._learn_seconds
        ]
        if not learning:
            return False
        del self._profiles[min(learning, key=lambda owner: self._profiles[owner].since)]
        return True

    def text(self) -> str:
        """The file."""
        self.changed = False
        profiles = [
            {"name": name, "unit": unit, "since": each.since, "habits": sorted(each.habits)}
            for (name, unit), each in sorted(self._profiles.items())
        ]
        return json.dumps({"version": VERSION, "profiles": profiles}, indent=1) + "\n"

    def load(self, text: str) -> None:
        """Take over a file; ProfilesError if it is none."""
        try:
            told = json.loads(text)
            if told["version"] != VERSION:
                raise ProfilesError(f"it is of version {told['version']!r}, not {VERSION}")
            read = dict(_read(told["profiles"]))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            why = str(error) or type(error).__name__
            raise ProfilesError(f"no file of profiles: {printable(why)[:200]}") from error
        self._profiles = dict(list(read.items())[: self._most])


def _read(profiles: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Owner, Profile]]:
    for each in profiles:
        name, unit, since, habits = (each[key] for key in ("name", "unit", "since", "habits"))
        if not all(isinstance(text, str) for text in (name, unit, *habits)):
            raise ProfilesError("a name, unit or habit is no text")
        if not isinstance(since, int):
            raise ProfilesError("since is no number")
        kept = [printable(text)[:_MOST_CHARACTERS] for text in habits[:_MOST_HABITS]]
        yield (printable(name), printable(unit)), Profile(since, set(kept))
