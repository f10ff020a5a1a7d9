# SPDX-License-Identifier: GPL-2.0-only
"""The maps and programs of a compiled object in the kernel, loaded and attached one by one."""

import os
import sys
from typing import Any

from fdscope.probes.attach.objects import Object
from fdscope.probes.kernel import libbpf
from fdscope.probes.kernel.libbpf import ProgramKind


class Programs:
    """One compiled object, its maps made. OSError from all of it where the kernel refuses."""

    def __init__(self, compiled: Object) -> None:
        self._object = compiled
        self.maps: dict[str, int] = {}
        """Name to descriptor."""
        self.programs: dict[str, int] = {}
        """Name to descriptor, of those that are loaded."""
        self.links: list[int] = []
        try:
            for each in compiled.maps:
                self.maps[each.name] = libbpf.make_map(
                    each.name, each.kind, each.key_bytes, each.value_bytes, each.entries, each.flags
                )
        except OSError:
            self.close()
            raise

    def has(self, name: str) -> bool:
        """True if a program of that name was compiled."""
        return name in self._object.programs

    def load(self, name: str, kind: ProgramKind) -> int:
        """Load a program, once; its descriptor."""
        if name not in self.programs:
            self.programs[name] = self._loaded(name, kind, 0)
        return self.programs[name]

    def _loaded(self, name: str, kind: ProgramKind, function_id: int) -> int:
        instructions = self._object.instructions(name, list(self.maps.values()))
        count = len(instructions) // libbpf.INSTRUCTION_BYTES
        wanted = name.encode(), instructions, count, kind, function_id
        try:
            return libbpf.load(*wanted)
        except OSError:
            # What the verifier says goes to the loader's log.
            sys.stderr.write(f"{name}:\n{libbpf.why_refused(*wanted)}\n")
            raise

    def attach_raw_tracepoint(self, tracepoint: str, name: str) -> None:
        """Load a program and attach it to a raw tracepoint."""
        program = self.load(name, ProgramKind.RAW_TRACEPOINT)
        self.links.append(libbpf.attach_raw_tracepoint(tracepoint, program))

    def attach_function(self, name: str, of: str, function_id: int, at_return: bool) -> None:
        """Load a fentry or fexit program and attach it to the function with this number in BTF.

        The kernel ties it to the function, so it is loaded for each; ``of`` is its name as loaded.
        """
        kind = ProgramKind.FEXIT if at_return else ProgramKind.FENTRY
        program = self.programs[of] = self._loaded(name, kind, function_id)
        self.links.append(libbpf.attach_function(program))

    def attach_kprobe(
        self, name: str, function: str, at_return: bool, library: Any, max_active: int = 0
    ) -> None:
        """Load a program and attach it by a kprobe event; ``library``: BCC's ``lib``."""
        program = self.load(name, ProgramKind.KPROBE)
        event = f"{'r' if at_return else 'p'}_{function.replace('.', '_')}"
        link = library.bpf_attach_kprobe(
            program, int(at_return), event.encode(), function.encode(), 0, max_active
        )
        if link < 0:
            raise OSError(f"{function} cannot be traced: not there, inlined, or marked as notrace")
        self.links.append(link)

    def put(self, map_name: str, key: int, value: bytes | int) -> None:
        """Set the value of a key that is a u32; a number is written as one."""
        raw = value if isinstance(value, bytes) else value.to_bytes(4, sys.byteorder)
        libbpf.put(self.maps[map_name], key.to_bytes(4, sys.byteorder), raw)

    def map_bytes(self) -> dict[str, int]:
        """Kernel memory of each map, as the kernel tells: all of it since Linux 6.4."""
        return {name: libbpf.statistic(fd, "memlock") for name, fd in self.maps.items()}

    def close(self) -> None:
        """Close all of it: what nothing else holds is detached and freed."""
        for fd in (*self.links, *self.programs.values(), *self.maps.values()):
            os.close(fd)
        self.links, self.programs, self.maps = [], {}, {}
