# SPDX-License-Identifier: GPL-2.0-only
"""The device layer, from the running kernel's own files and from small ones with every case."""

import socket
from pathlib import Path

from prometheus_client.exposition import generate_latest

from fdscope.exporter.accounts.devices import (
    OTHER,
    BlockDevice,
    Bounded,
    NetworkDevice,
    block_devices,
    network_devices,
)
from fdscope.exporter.families import storage as families
from tests.exporter.families.test_families import registry_of

NET = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs
    lo: 100 1 0 0 0 0 0 0 100 1 0 0 0 0 0 0
  eth0:3985352585 85254 0 0 0 0 0 0 4348035 50613 0 0 0 0 0 0
 veth1: 7 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0
"""
DISKS = """\
   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
 254       0 vda 868942 57789 16 1885509 222216 167313 32 359250 0 130088 2270766 1 20 8 22 4 3
 254       1 vda1 8 0 8 0 0 0 0 0 0 0 0 0 0 0 0 0 0
"""


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_kinds_of_network_devices(tmp_path: Path) -> None:
    write(tmp_path / "proc/self/net/dev", NET)
    write(tmp_path / "sys/class/net/lo/type", "772\n")
    write(tmp_path / "sys/class/net/eth0/type", "1\n")
    write(tmp_path / "sys/class/net/eth0/device/vendor", "0x1af4\n")
    write(tmp_path / "sys/class/net/veth1/type", "1\n")
    assert network_devices(tmp_path / "proc", tmp_path / "sys") == (
        NetworkDevice("lo", "loopback", 100, 100),
        NetworkDevice("eth0", "nic", 3985352585, 4348035),
        NetworkDevice("veth1", "virtual", 7, 9),
    )


def test_kinds_without_sysfs(tmp_path: Path) -> None:
    write(tmp_path / "self/net/dev", NET)
    kinds = [device.kind for device in network_devices(tmp_path, tmp_path / "none")]
    assert kinds == ["loopback", "virtual", "virtual"]


def test_whole_disks_with_a_medium(tmp_path: Path) -> None:
    write(tmp_path / "proc/diskstats", DISKS)
    write(tmp_path / "sys/block/loop0/size", "0\n")
    write(tmp_path / "sys/block/vda/size", "4096\n")
    disks = block_devices(tmp_path / "proc", tmp_path / "sys")
    assert disks == (BlockDevice("vda", 16 * 512, 32 * 512),)


def test_loopback_of_this_kernel_counts_what_is_sent() -> None:
    def received() -> int:
        return sum(d.received for d in network_devices() if d.kind == "loopback")

    before = received()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        one.sendto(bytes(10_000), one.getsockname())
    assert received() - before >= 10_000


def test_families() -> None:
    registry = registry_of(
        families.network_families(
            Bounded[NetworkDevice]().update([NetworkDevice("eth0", "nic", 5, 6)])
        ),
        families.block_families(Bounded[BlockDevice]().update([BlockDevice("vda", 7, 8)])),
    )
    samples = {
        line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")
    }
    assert samples == {
        'fdscope_network_device_received_bytes_total{device="eth0",kind="nic"} 5.0',
        'fdscope_network_device_sent_bytes_total{device="eth0",kind="nic"} 6.0',
        'fdscope_block_device_read_bytes_total{device="vda"} 7.0',
        'fdscope_block_device_written_bytes_total{device="vda"} 8.0',
    }


def device(number: int, received: int) -> NetworkDevice:
    return NetworkDevice(f"veth{number}", "virtual", received, 0)


def test_devices_without_end_are_summed_and_no_sum_goes_down() -> None:
    bounded = Bounded[NetworkDevice](limit=2)
    other = (OTHER, "virtual")
    assert bounded.update([device(1, 5), device(2, 50), device(3, 500), device(4, 1)]) == {
        ("veth2", "virtual"): (50, 0), ("veth3", "virtual"): (500, 0), other: (6, 0),
    }  # fmt: skip
    # A summed device that is gone keeps its bytes in the sum; one that returned starts at 0.
    assert bounded.update([device(2, 51), device(3, 500), device(4, 3)])[other] == (8, 0)
    assert bounded.update([device(2, 51), device(3, 500), device(4, 2)])[other] == (10, 0)
    # The next device gets the free series: what was summed so far stays summed.
    assert bounded.update([device(3, 501), device(4, 4), device(5, 7)]) == {
        ("veth3", "virtual"): (501, 0), ("veth5", "virtual"): (7, 0), other: (12, 0),
    }  # fmt: skip


def test_names_of_devices_may_be_anything(tmp_path: Path) -> None:
    net = tmp_path / "proc/self/net"
    net.mkdir(parents=True)
    names = [b"\xff\xfe", b"a\x1cb", b"\xc2\x85c", b"d:1"]
    head = b"Inter-|   Receive\n face |bytes\n"
    lines = b"".join(b"  %s: 5 0 0 0 0 0 0 0 6 0 0 0 0 0 0 0\n" % name for name in names)
    (net / "dev").write_bytes(head + lines)
    found = [d.name for d in network_devices(tmp_path / "proc", tmp_path / "sys")]
    assert found == ["\\xff\\xfe", "a\\x1cb", "\\x85c", "d:1"]


def test_names_that_look_the_same_are_one_series() -> None:
    twins = [NetworkDevice("a\\x01", "nic", n, n) for n in (1, 2)]
    assert Bounded[NetworkDevice]().update(twins) == {("a\\x01", "nic"): (3, 3)}
