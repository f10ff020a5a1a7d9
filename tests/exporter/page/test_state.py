# SPDX-License-Identifier: GPL-2.0-only
"""From families to the state of the page."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fdscope.exporter.accounts.ledger import Residuals, ledger
from fdscope.exporter.accounts.processes import Owner
from fdscope.exporter.catalog import fds, health, layers
from fdscope.exporter.catalog import storage as catalog
from fdscope.exporter.catalog.model import OTHER
from fdscope.exporter.families.build import gauge
from fdscope.exporter.families.layers import ledger_families
from fdscope.exporter.families.owned import process_families
from fdscope.exporter.families.storage import block_families, network_families
from fdscope.exporter.http.exposition import LeftOut
from fdscope.exporter.page.state import (
    FLOW_PROCESSES,
    Balance,
    Device,
    Flow,
    Process,
    disk_filesystems,
    protocol,
    state,
)
from fdscope.exporter.page.sums import ENDED_PID, Reading, changes, read
from fdscope.probes.schema.slots import code_of
from fdscope.probes.schema.snapshot import Amount
from fdscope.probes.schema.taxonomy import Account, Door, FdType, Scope

DISK = frozenset({"ext4"})


READ_TCP = code_of(Account.FILE_READ, FdType.TCP, Door.SOCKET_CALL)
WRITE_TCP = code_of(Account.FILE_WRITE, FdType.TCP, Door.READ_WRITE)
READ_FILE = code_of(Account.FILE_READ, FdType.REGULAR, Door.SENDFILE)
RECEIVE_TCP = code_of(Account.SOCKET_RECEIVE, FdType.TCP, Scope.LOOPBACK)
SEND_TCP = code_of(Account.SOCKET_SEND, FdType.TCP, Scope.REMOTE)


def reading(at: float, totals: dict[Owner, dict[int, int]], extra: Any = ()) -> Reading:
    """Families of a scrape with these bytes."""
    amounts = {
        owner: {slot: Amount(1, count) for slot, count in of.items()}
        for owner, of in totals.items()
    }
    lines = ledger(amounts.values())
    families = [
        *process_families(amounts), *ledger_families(lines, Residuals().update(lines)), *extra
    ]  # fmt: skip
    return read(families, at, LeftOut())


def owner(name: str, pid: str = "1", ended: str = "") -> Owner:
    return Owner(name, pid, "", ended)


def test_rates_are_differences_over_time_and_totals_are_all() -> None:
    before = reading(100.0, {owner("nginx"): {READ_TCP: 1000, WRITE_TCP: 50}})
    now = reading(110.0, {owner("nginx"): {READ_TCP: 3000, WRITE_TCP: 50}})
    shown = state(now, before, DISK)
    assert shown.rate
    assert shown.rate.flows == [Flow("nginx", "socket_call", "tcp", read=200, written=0)]
    assert shown.total.flows == [
        Flow("nginx", "read_write", "tcp", read=0, written=50),
        Flow("nginx", "socket_call", "tcp", read=3000, written=0),
    ]
    assert shown.seconds == 10.0


def test_one_reading_has_no_rate() -> None:
    now = reading(100.0, {owner("nginx"): {READ_TCP: 3000}})
    assert state(now, None, DISK).rate is None


def test_the_end_of_a_process_is_no_traffic() -> None:
    before = reading(0.0, {owner("cat", "7"): {READ_TCP: 10_000}, owner("cat", "8"): {READ_TCP: 0}})
    now = reading(
        10.0, {owner("cat", "", "12"): {READ_TCP: 10_000}, owner("cat", "8"): {READ_TCP: 500}}
    )
    rate = state(now, before, DISK).rate
    assert rate
    assert [flow.read for flow in rate.flows] == [50]
    assert [(row.pid, row.read) for row in rate.processes] == [("8", {"tcp": 50})]
    assert {key[1] for key in now.sums[layers.FILE_READ_BYTES]} == {ENDED_PID, "8"}


def test_small_processes_are_summed_and_nothing_is_lost() -> None:
    totals = {owner(f"p{number:02}"): {READ_TCP: 100 + number} for number in range(30)}
    flows = state(reading(1.0, totals), None, DISK).total.flows
    assert len(flows) == FLOW_PROCESSES + 1
    assert flows[0].process == OTHER
    assert sum(flow.read for flow in flows) == sum(100 + number for number in range(30))


def test_the_table_has_the_first_of_every_fd_type() -> None:
    totals = {owner(f"p{number}"): {READ_TCP: 1000 + number} for number in range(40)}
    totals[owner("logger")] = {READ_FILE: 1}
    rows = state(reading(1.0, totals), None, DISK).total.processes
    assert rows[0].process == "p39"
    assert rows[-1] == Process(
        "logger", "1", unit="", open=None, read={"regular": 1}, written={"regular": 0}
    )


def test_what_is_behind_the_file() -> None:
    totals = {owner("nginx"): {READ_TCP: 9, RECEIVE_TCP: 9, SEND_TCP: 4, READ_FILE: 30}}
    files = gauge(
        catalog.FILESYSTEM_READ_BYTES,
        [(("ext4", "regular"), 20), (("tmpfs", "regular"), 10), (("sockfs", "tcp"), 9)],
    )
    behind = state(reading(1.0, totals, [files]), None, DISK).total.behind
    assert [(row.fd_type, row.name, row.device, row.read) for row in behind] == [
        ("tcp", "tcp loopback", "loopback", 9),
        ("tcp", "tcp remote", "network", 0),
        ("regular", "ext4", "disk", 20),
        ("regular", "tmpfs", "", 10),
    ]


def test_where_the_peer_is_is_said_of_sockets_that_have_one_elsewhere() -> None:
    kinds = [("unix_stream", "local"), ("packet", "unknown"), ("udp", "unknown"), ("udp", "remote")]
    names = [protocol(fd_type, scope) for fd_type, scope in kinds]
    assert names == ["unix_stream", "packet", "udp, peer unknown", "udp remote"]


def test_devices_open_fds_and_losses() -> None:
    extra = [
        *network_families({("lo", "loopback"): (7, 8)}),
        *block_families({("vda",): (100, 200)}),
        gauge(fds.OPEN_FDS, [(("nginx", "1", "", "tcp"), 3), (("nginx", "1", "", "regular"), 2)]),
        gauge(health.LOST_UPDATES, [(("counters_full",), 5)]),
    ]
    shown = state(reading(1.0, {owner("nginx"): {READ_TCP: 1}}, extra), None, DISK)
    assert shown.total.devices == [
        Device("vda", "block", read=100, written=200),
        Device("lo", "loopback", read=7, written=8),
    ]
    assert shown.open == {"tcp": 3, "regular": 2}
    assert shown.total.processes[0].open == 5
    assert shown.lost == {"counters_full": 5}


def test_the_ledger_has_both_sides() -> None:
    totals = {owner("nginx"): {READ_TCP: 9, RECEIVE_TCP: 9, READ_FILE: 30}}
    shown = state(reading(1.0, totals), None, DISK)
    assert shown.sees_sockets
    assert shown.total.ledger == [
        Balance("tcp", "received", {"socket_call": 9}, socket=9, kernel=0, blind=0, residual=0)
    ]


def test_maps_that_could_not_be_read_are_told() -> None:
    empty = read([], 1.0, LeftOut())
    shown = state(empty, None, DISK)
    assert (shown.readable, shown.sees_sockets, shown.total.flows) == (False, False, [])


def test_names_of_any_kind_survive_json() -> None:
    name = '</script><b>"\\x00'
    shown = state(reading(1.0, {owner(name): {READ_TCP: 1}}), None, DISK)
    again = json.loads(json.dumps(asdict(shown)))
    assert again["total"]["flows"][0]["process"] == name


def test_a_counter_that_did_not_grow_is_left_out() -> None:
    now = reading(1.0, {owner("a"): {READ_TCP: 5}})
    assert changes(layers.FILE_READ_BYTES, ("process",), now, now) == {}


def test_filesystems_on_a_disk(tmp_path: Path) -> None:
    listing = tmp_path / "filesystems"
    listing.write_text("nodev\tsysfs\nnodev\tbtrfs\n\text4\n\tvfat\n")
    assert disk_filesystems(listing) == {"ext4", "vfat", "btrfs", "overlay", "zfs"}
