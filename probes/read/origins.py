# SPDX-License-Identifier: GPL-2.0-only
"""Where watched processes have opened their descriptors: call stacks in user mode."""

from collections import defaultdict
from dataclasses import asdict
from typing import Any

import numpy as np

from fdscope.probes.read.maps import HashMap
from fdscope.probes.schema.files import Opened, Origin, OriginKey, Origins, Python, Registers
from fdscope.probes.schema.records import NO_FIELD, NO_STACK, SAMPLE_PART_BYTES, dtype
from fdscope.probes.schema.snapshot import ProcessKey
from fdscope.probes.schema.taxonomy import Birth, FdType


class OriginMaps:
    """The maps of origins; calls may come from any thread, one at a time."""

    def __init__(
        self, origins: HashMap, opened: HashMap, stacks: HashMap, pythons: HashMap
    ) -> None:
        """Take the four maps."""
        self._pythons = pythons
        self._origins, self._opened, self._stacks = origins, opened, stacks
        self._addresses: dict[int, tuple[int, ...]] = {NO_STACK: ()}
        """Stacks that were read; they do not change while an origin has them."""

    def read(self) -> dict[ProcessKey, Origins]:
        """All origins, by process; OSError if the kernel refuses.

        The descriptors are read first: each then has an origin, if there was room for it.
        """
        keys, values = self._opened.read()
        opened: dict[ProcessKey, dict[int, Opened]] = defaultdict(dict)
        for key, value in zip(keys, values[:, 0], strict=True):
            opened[_owner(key["owner"])][int(key["fd"])] = Opened(
                int(value["file"]), int(value["at"]), _origin_key(value["origin"])
            )
        keys, values = self._origins.read()
        origins: dict[ProcessKey, dict[OriginKey, Origin]] = defaultdict(dict)
        for key, value in zip(keys, values[:, 0], strict=True):
            of = _origin_key(key)
            origins[_owner(key["owner"])][of] = self._origin(of, value)
        return {owner: Origins(origins[owner], opened[owner]) for owner in {*origins, *opened}}

    def _origin(self, key: OriginKey, value: Any) -> Origin:
        size = int(value["parts"]) * SAMPLE_PART_BYTES
        return Origin(
            int(value["opened"]),
            self._frames(key.stack),
            Registers(
                int(value["instruction"]),
                int(value["stack_pointer"]),
                int(value["frame"]),
                int(value["link"]),
                tuple(value["saved"].tolist()),
            ),
            value["sample"].tobytes()[:size],
            _pairs(value["python"][: 2 * int(value["python_frames"])].tolist()),
        )

    def _frames(self, stack: int) -> tuple[int, ...]:
        known = self._addresses.get(stack)
        if known is None:
            value = self._stacks.get(stack)
            known = tuple(address for address in value["address"].tolist() if address)
            self._addresses[stack] = known
        return known

    def set_python(self, owner: ProcessKey, python: Python) -> None:
        """Also read the frames of an interpreter; OSError if there is no room."""
        value = np.zeros(1, dtype("python"))
        for field, number in asdict(python).items():
            value[field] = NO_FIELD if number is None else number
        self._pythons.put(np.array([owner], dtype("process_key")), value)

    def drop(self, owners: set[ProcessKey]) -> None:
        """Remove all that is kept of these processes, and the stacks that nobody else has."""
        self._pythons.delete(np.array(list(owners), dtype("process_key")))
        keys, _ = self._opened.read()
        self._opened.delete(keys[[_owner(key["owner"]) in owners for key in keys]])
        keys, _ = self._origins.read()
        ours = [_owner(key["owner"]) in owners for key in keys]
        self._origins.delete(keys[ours])
        left = set(keys[[not each for each in ours]]["stack"].tolist())
        for stack in set(keys["stack"].tolist()) - left - {NO_STACK}:
            self._stacks.remove(stack)
            self._addresses.pop(stack, None)


def _pairs(words: list[int]) -> tuple[tuple[int, int], ...]:
    return tuple(zip(words[0::2], words[1::2], strict=True))


def _owner(record: Any) -> ProcessKey:
    return ProcessKey(int(record["tgid"]), int(record["start"]))


def _origin_key(record: Any) -> OriginKey:
    return OriginKey(
        int(record["stack_pointer"]),
        int(record["place"]),
        int(record["stack"]),
        FdType(int(record["fd_type"])),
        Birth(int(record["birth"])),
    )
