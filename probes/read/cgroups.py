# SPDX-License-Identifier: GPL-2.0-only
"""Names of cgroups from the kernel, for processes that have ended and for living ones.

The kernel side keeps the cgroups of each process that ends, so that a name is known however short
it existed. For a living process a program is run on demand. Both give the whole path from the root
of the host's hierarchy, whatever cgroup namespace this process is in.
"""

import os
from collections.abc import Iterator

import numpy as np

from fdscope.probes.kernel import libbpf
from fdscope.probes.read.maps import HashMap, read_value
from fdscope.probes.schema.records import dtype
from fdscope.probes.schema.snapshot import Cgroup, MapFill

PROGRAM = "on_cgroups"
_FOUND = 1
_CHAIN_DTYPE = dtype("cgroup_chain")


class Cgroups:
    """The kernel side's names of cgroups; not thread-safe."""

    def __init__(self, noted: HashMap, program: int | None, chain: int) -> None:
        """``noted``: the map ``cgroups``. ``program`` and ``chain``: descriptors.

        The program is run on demand, None if it could not be loaded; its result is in the map
        ``cgroup_chain``.
        """
        self._noted = noted
        self._program = program
        self._chain = chain

    def fill(self) -> MapFill:
        """How full the map of names is; OSError if the kernel refuses."""
        return MapFill(len(self._noted.read()[0]), self._noted.capacity)

    def take(self) -> list[Cgroup]:
        """The cgroups of processes that ended since the last call, and up to 31 ancestors of each.

        OSError if the kernel refuses.
        """
        keys, values = self._noted.read()
        self._noted.delete(keys)
        return [_cgroup(record) for record in values[:, 0]]

    def of_process(self, pid: int) -> Iterator[Cgroup]:
        """The cgroup of a living process, then its ancestors, up to the root.

        Stops early if the process has ended, or the kernel refuses.
        """
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            return
        try:
            yield from self._outward(pidfd)
        except OSError:
            return
        finally:
            os.close(pidfd)

    def _outward(self, pidfd: int) -> Iterator[Cgroup]:
        following = 0
        expected: int | None = None
        while self._program is not None and expected != 0:
            if libbpf.run(self._program, (pidfd, following)) != _FOUND:
                return
            found = read_value(self._chain, _CHAIN_DTYPE)
            following = int(found["next"])
            for record in found["cgroup"][: int(found["count"])]:
                cgroup = _cgroup(record)
                if expected is not None and cgroup.id != expected:
                    return  # removed meanwhile: what stands there now is another one
                expected = cgroup.parent
                yield cgroup
            if not following:
                return


def _cgroup(record: np.void) -> Cgroup:
    name = bytes(record["name"]).partition(b"\0")[0]
    return Cgroup(int(record["id"]), int(record["parent"]), name)
