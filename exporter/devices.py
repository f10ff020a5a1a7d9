# SPDX-License-Identifier: GPL-2.0-only
"""The device layer: what the devices themselves count, read when it is asked for.

Network devices are those of the exporter's own network namespace. Nothing here tells which process
the bytes were for: headers, retransmissions, read-ahead and write-back are nobody's, and nobody is
guessed.
"""

from dataclasses import dataclass
from pathlib import Path

_SECTOR_BYTES = 512
"""Of /proc/diskstats, whatever the device's own sectors are."""
_LOOPBACK = "772"
"""ARPHRD_LOOPBACK of include/uapi/linux/if_arp.h."""


@dataclass(frozen=True, slots=True)
class NetworkDevice:
    """Bytes of a network device since it came up, link headers included."""

    name: str
    kind: str
    """``loopback``, ``nic`` (a device of a bus stands behind it) or ``virtual``."""
    received: int
    sent: int


@dataclass(frozen=True, slots=True)
class BlockDevice:
    """Bytes of a whole block device since it came up."""

    name: str
    read: int
    written: int


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
    """All network devices; OSError if the kernel does not tell."""
    devices = []
    for line in (proc / "self/net/dev").read_text().splitlines()[2:]:
        name, _, counters = line.strip().rpartition(":")
        numbers = counters.split()
        kind = _kind(sys / "class/net" / name)
        devices.append(NetworkDevice(name, kind, int(numbers[0]), int(numbers[8])))
    return tuple(devices)


def _has_medium(device: Path) -> bool:
    try:
        return (device / "size").read_text().strip() != "0"
    except OSError:
        return False


def block_devices(proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> tuple[BlockDevice, ...]:
    """All whole block devices that hold anything; OSError if the kernel does not tell.

    Partitions have no directory in /sys/block; loop devices without a file are of size 0.
    """
    devices = []
    for line in (proc / "diskstats").read_text().splitlines():
        _, _, name, _, _, sectors_read, _, _, _, sectors_written, *_ = line.split()
        if _has_medium(sys / "block" / name.replace("/", "!")):
            read, written = int(sectors_read), int(sectors_written)
            devices.append(BlockDevice(name, read * _SECTOR_BYTES, written * _SECTOR_BYTES))
    return tuple(devices)
