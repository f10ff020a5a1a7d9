# SPDX-License-Identifier: GPL-2.0-only
"""What the programs are compiled with."""

from dataclasses import dataclass, field

from fdscope.probes.kernel.limits import allocates_in_programs


def _room(entries: int) -> int:
    """Less where the kernel allocates all of it at the start."""
    return entries if allocates_in_programs() else entries // 16


@dataclass(frozen=True, slots=True)
class Settings:
    """The sizes of the maps, and what is measured besides the bytes."""

    counter_entries: int = 32768
    """Room for (process, fd type, door, errno) combinations."""
    process_entries: int = 16384
    pending_entries: int = 16384
    """Room for threads inside a call."""
    watched_processes: int = field(default_factory=lambda: _room(8192))
    """Room for processes whose files are watched."""
    watched_files: int = field(default_factory=lambda: _room(131_072))
    """Room for their files, and for what each does."""
    latency: bool = False
    stacks_every: int = 0
    """One stack is sampled of so many operations of the socket layer on a CPU; 0 for none."""
    stacks_socket: int = 0
    """Inode number of the one socket whose stacks are sampled; 0 for all."""
    journal: bool = False
    """Unusual events are written to the ring buffer ``events``."""
    spotlight: bool = False
    """Processes can be watched, and their files listed; compiling takes half as long again."""
    origins: bool = False
    """With ``spotlight``: where watched processes open descriptors can be asked for."""
    origin_entries: int = field(default_factory=lambda: _room(1024))
    """Room for call stacks that open descriptors: some 8 KB each."""
    opened_fds: int = field(default_factory=lambda: _room(65_536))
    """Room for the numbers of the descriptors that they have opened."""
    exclude_tgid: int | None = None
    """A process that is left out."""
    avoid: tuple[str, ...] = ()
    """Functions and tracepoints that are not hooked: they were found not to fire."""
    cache: str = ""
    """Directory in which compiled programs are kept, see ``probes.attach.cache``; "" for none."""
