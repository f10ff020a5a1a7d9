# SPDX-License-Identifier: GPL-2.0-only
"""How many events of a kind a unit may write: a flood leaves room for the others, and is told."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

_MOST_KEYS = 4096
SUMMARY_SECONDS = 10.0
"""Time between summaries of what was left out."""


@dataclass(slots=True)
class _Bucket:
    tokens: float
    since: float
    left_out: int = 0


class Limits(Generic[Key]):
    """A bucket of tokens for each key; ``now`` is monotonic, in seconds."""

    def __init__(self, per_minute: int, most_keys: int = _MOST_KEYS) -> None:
        """``per_minute``: events of a key in a minute, and at once after a pause."""
        self._per_minute = per_minute
        self._most_keys = most_keys
        self._buckets: dict[Key, _Bucket] = {}
        self._rest = _Bucket(per_minute, 0.0)
        """Shared by the keys for which there is no room."""
        self._due: float | None = None

    def allows(self, key: Key, now: float) -> bool:
        """True if the event may be written; else it is counted as left out."""
        bucket = self._bucket(key, now)
        refill = (now - bucket.since) * self._per_minute / 60
        bucket.tokens = min(self._per_minute, bucket.tokens + refill)
        bucket.since = now
        if bucket.tokens >= 1:
            bucket.tokens -= 1
            return True
        bucket.left_out += 1
        if self._due is None:
            self._due = now + SUMMARY_SECONDS
        return False

    @property
    def due(self) -> float | None:
        """When there will be a summary to write; None if nothing was left out."""
        return self._due

    def summary(self) -> dict[Key | None, int]:
        """Events left out since the last summary, by key; None for the keys without room."""
        self._due = None
        found: dict[Key | None, int] = {
            key: bucket.left_out for key, bucket in self._buckets.items() if bucket.left_out
        }
        if self._rest.left_out:
            found[None] = self._rest.left_out
        for bucket in (*self._buckets.values(), self._rest):
            bucket.left_out = 0
        return found

    def _bucket(self, key: Key, now: float) -> _Bucket:
        bucket = self._buckets.get(key)
        if bucket:
            return bucket
        if len(self._buckets) >= self._most_keys:
            self._remove_idle(now)
        if len(self._buckets) >= self._most_keys:
            return self._rest
        bucket = self._buckets[key] = _Bucket(self._per_minute, now)
        return bucket

    def _remove_idle(self, now: float) -> None:
        self._buckets = {
            key: bucket
            for key, bucket in self._buckets.items()
            if bucket.left_out or now - bucket.since < 60
        }
