# SPDX-License-Identifier: GPL-2.0-only
"""The device layer: the devices' own counters, read on demand.

Network devices are those of the exporter's own network namespace. The bytes belong to no process:
headers, retransmissions, read-ahead and write-back are in them, and no process is guessed.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Generic, TypeVar

from fdscope.probes.text import printable

_SECTOR_BYTES = 512
"""Bytes of a sector in /proc/diskstats, whatever the device's own sectors are."""
_LOOPBACK = "772"
"""ARPHRD_LOOPBACK of include/uapi/linux/if_arp.h."""


MAX_DEVICES = 256
OTHER = "(other devices)"
"""No device name has a space."""


def device_number(device: int) -> str:
    """MAJOR:MINOR of the kernel's own numbers; empty for 0."""
    return f"{device >> 20}:{device & 0xFFFFF}" if device else ""


@lru_cache(maxsize=256)
def block_device(device: int, sys: Path = Path("/sys")) -> str:
    """The name of a block device, such as ``sda1``; empty if the number is of none."""
    with suppress(OSError):
        return printable((sys / "dev/block" / device_number(device)).readlink().name)
    return ""


@dataclass(frozen=True, slots=True)
class NetworkDevice:
    """Bytes of a network device since it came up, link headers included."""

    name: str
    kind: str
    """``loopback``, ``nic`` (on a device of a bus) or ``virtual``."""
    received: int
    sent: int

    @property
    def labels(self) -> tuple[str, str]:
        """Label values, in the catalog's order."""
        return self.name, self.kind

    @property
    def counts(self) -> tuple[int, int]:
        """Bytes (received, sent) or (read, written)."""
        return self.received, self.sent


@dataclass(frozen=True, slots=True)
class BlockDevice:
    """Bytes of a whole block device since it came up."""

    name: str
    read: int
    written: int

    @property
    def labels(self) -> tuple[str]:
        """Label values, in the catalog's order."""
        return (self.name,)

    @property
    def counts(self) -> tuple[int, int]:
        """Bytes (received, sent) or (read, written)."""
        return self.read, self.written


Device = TypeVar("Device", bound=NetworkDevice | BlockDevice)


class Bounded(Generic[Device]):
    """At most ``limit`` devices; the growth of further ones is summed as ``(other devices)``.

    The busiest get series first. A device keeps its series until it is removed; one without
    waits for a free one. So no counter goes down.
    """

    def __init__(self, limit: int = MAX_DEVICES) -> None:
        self._limit = limit
        self._own: set[tuple[str, ...]] = set()
        self._summed: dict[tuple[str, ...], tuple[int, int]] = {}
        """Devices without series, with their counts at the last reading."""
        self._sums: dict[tuple[str, ...], tuple[int, int]] = {}

    def update(self, found: Iterable[Device]) -> dict[tuple[str, ...], tuple[int, int]]:
        """Add a reading; the counts by label values. Names that print the same are summed."""
        counts: dict[tuple[str, ...], tuple[int, int]] = {}
        for device in found:
            labels: tuple[str, ...] = device.labels
            counts[labels] = _plus(counts.get(labels, (0, 0)), device.counts)
        self._own.intersection_update(counts)
        summed = {}
        for labels, count in sorted(counts.items(), key=lambda item: -sum(item[1])):
            if labels not in self._summed and len(self._own) < self._limit:
                self._own.add(labels)
            if labels not in self._own:
                before = self._summed.get(labels, (0, 0))
                grown = (n - earlier if n >= earlier else n
                         for n, earlier in zip(count, before, strict=True))  # fmt: skip
                other = (OTHER, *labels[1:])
                self._sums[other] = _plus(self._sums.get(other, (0, 0)), tuple(grown))
                summed[labels] = count
        self._summed = summed
        return {labels: counts[labels] for labels in counts if labels in self._own} | self._sums


def _plus(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, int]:
    first, second = (a + b for a, b in zip(one, other, strict=True))
    return first, second


def _kind(device: Path) -> str:
    try:
        if (device / "type").read_text().strip() == _LOOPBACK:
            return "loopback"
    except OSError:  # gone since, or sysfs is that of another network namespace
        return "loopback" if device.name == "lo" else "virtual"
    return "nic" if (device / "device").exists() else "virtual"


def network_devices(
    proc: Path = Path("/proc"), sys: Path = Path("/sys")
) -> tuple[NetworkDevice, ...]:
    """All network devices; OSError if /proc or /sys cannot be read."""
    devices = []
    # As bytes: some characters of a name would count as line ends, or spaces, in a string.
    for line in (proc / "self/net/dev").read_bytes().split(b"\n")[2:-1]:
        name, _, counters = line.strip().rpartition(b":")
        numbers = counters.split()
        kind = _kind(sys / "class/net" / os.fsdecode(name))
        devices.append(NetworkDevice(printable(name), kind, int(numbers[0]), int(numbers[8])))
    return tuple(devices)


def _has_medium(device: Path) -> bool:
    try:
        return (device / "size").read_text().strip() != "0"
    except OSError:
        return False


def block_devices(proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> tuple[BlockDevice, ...]:
    """All whole block devices of a size above 0; OSError if /proc or /sys cannot be read.

    Partitions have no directory in /sys/block; loop devices without a file are of size 0.
    """
    devices = []
    for line in (proc / "diskstats").read_bytes().split(b"\n")[:-1]:
        _, _, name, _, _, sectors_read, _, _, _, sectors_written, *_ = line.split()
        if _has_medium(sys / "block" / os.fsdecode(name).replace("/", "!")):
            read, written = int(sectors_read) * _SECTOR_BYTES, int(sectors_written) * _SECTOR_BYTES
            devices.append(BlockDevice(printable(name), read, written))
    return tuple(devices)
