# SPDX-License-Identifier: GPL-2.0-only
"""The maps that the session was given, as readers of the kinds that ``attach.maps`` says."""

from collections.abc import Sequence

from fdscope.probes.attach.maps import BpfMap
from fdscope.probes.attach.settings import Settings
from fdscope.probes.read.maps import HashMap, PerCpuArray, host_cpus
from fdscope.probes.schema.records import dtype


class OpenMaps:
    """Open descriptors of maps, by the names of the maps; KeyError for a map that is not there."""

    def __init__(self, declared: Sequence[BpfMap], fds: Sequence[int], settings: Settings) -> None:
        """``fds``: those of the maps, in the order of ``declared``; others may follow."""
        self._maps = {each.name: (each, fd) for each, fd in zip(declared, fds, strict=False)}
        self._settings = settings
        self._cpus = host_cpus()

    def __len__(self) -> int:
        return len(self._maps)

    def descriptor(self, name: str) -> int:
        """The descriptor alone."""
        return self._maps[name][1]

    def hash_map(self, name: str) -> HashMap:
        """A reader of a map with keys."""
        of, fd = self._maps[name]
        cpus = self._cpus if of.kind.is_per_cpu else 1
        return HashMap(fd, dtype(of.key), dtype(of.value), of.size(self._settings), cpus)

    def per_cpu_array(self, name: str) -> PerCpuArray:
        """A reader of an array, which each CPU may have."""
        of, fd = self._maps[name]
        cpus = self._cpus if of.kind.is_per_cpu else 1
        return PerCpuArray(fd, dtype(of.value), of.size(self._settings), cpus)
