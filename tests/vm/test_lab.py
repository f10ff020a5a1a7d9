# SPDX-License-Identifier: GPL-2.0-only
"""Tests of the lab's own parts that need no guest."""

import io
import json
import stat
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.vm import archive, bzimage, cells, machine, modules, requirements, results, suite, table
from tests.vm.cache import Cache
from tests.vm.cpio import BLOCK, CpioWriter

HEADER = 110


def align(offset: int) -> int:
    """Round up to the alignment of cpio's parts, in bytes."""
    return (offset + 3) // 4 * 4


def read_cpio(data: bytes) -> dict[str, tuple[int, bytes]]:
    """Read a newc archive: for each name its mode and its content."""
    entries: dict[str, tuple[int, bytes]] = {}
    offset = 0
    while "TRAILER!!!" not in entries:
        digits = data[offset + 6 : offset + HEADER]
        fields = [int(digits[at : at + 8], 16) for at in range(0, 104, 8)]
        name_end = offset + HEADER + fields[11]
        name = data[offset + HEADER : name_end - 1].decode()
        start = align(name_end)
        entries[name] = (fields[1], data[start : start + fields[6]])
        offset = align(start + fields[6])
    return entries


def write_cpio(tree: Path) -> bytes:
    """Archive a tree in memory."""
    stream = io.BytesIO()
    writer = CpioWriter(stream)
    writer.tree(tree, keep=lambda name: not name.endswith(".skip"))
    writer.file("opt/deep/added", b"abc", 0o755)
    writer.close()
    return stream.getvalue()


def test_cpio_round_trip(tmp_path: Path) -> None:
    """Files, links and the parents of added files come back; refused names do not."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/one").write_bytes(b"12345")
    (tmp_path / "etc/two.skip").touch()
    (tmp_path / "link").symlink_to("etc/one")
    data = write_cpio(tmp_path)
    found = read_cpio(data)
    assert found["etc/one"][1] == b"12345"
    assert found["link"] == (stat.S_IFLNK | 0o777, b"etc/one")
    assert found["opt/deep"][0] == stat.S_IFDIR | 0o755
    assert found["opt/deep/added"] == (stat.S_IFREG | 0o755, b"abc")
    assert "etc/two.skip" not in found
    assert len(data) % BLOCK == 0
    assert data == write_cpio(tmp_path)


def test_cache_rebuilds_when_inputs_change(tmp_path: Path) -> None:
    """Equal inputs build once; new inputs build anew and drop the old folder."""
    cache = Cache(tmp_path)
    built: list[Path] = []
    first = cache.built("kernels", "a", {"version": 1}, built.append)
    assert cache.built("kernels", "a", {"version": 1}, built.append) == first
    second = cache.built("kernels", "a", {"version": 2}, built.append)
    assert (len(built), first.exists(), second.exists()) == (2, False, True)


def test_scratch_folders_of_killed_labs_go(tmp_path: Path) -> None:
    """What a dead process left is removed, what is in use stays."""
    (tmp_path / "tmp/999999999-x").mkdir(parents=True)
    cache = Cache(tmp_path)
    with cache.scratch() as first, cache.scratch() as second:
        assert set((tmp_path / "tmp").iterdir()) == {first, second}


def test_requirements_follow_groups(tmp_path: Path) -> None:
    """The test group and what it includes are installed; distribution packages are not."""
    (tmp_path / "pyproject.toml").write_text(
        '[project]\ndependencies = ["numpy>=1", "Prometheus_Client>=0.20"]\n'
        '[dependency-groups]\nbase = ["psutil"]\n'
        'test = [{include-group = "base"}, "pytest>=8"]\n'
    )
    found = requirements.guest_requirements(tmp_path)
    assert found == ["Prometheus_Client>=0.20", "hypothesis", "psutil", "pytest>=8"]


def test_chosen_modules_bring_their_dependencies() -> None:
    """Names match with - and _ alike, and what they need comes along."""
    listing = "k/tcp_diag.ko.xz: k/inet-diag.ko.xz\nk/inet-diag.ko.xz:\nk/e1000.ko.xz:\n"
    assert modules.chosen(listing, ("tcp_diag",)) == {"k/tcp_diag.ko.xz", "k/inet-diag.ko.xz"}
    assert modules.module_name("k/inet-diag.ko.xz") == "inet_diag"


def test_only_zstd_images_are_unpacked() -> None:
    """The payload of a bzImage is found by its header; other images are left alone."""
    image = bytearray(4096)
    image[bzimage.BOOT_MAGIC_AT : bzimage.BOOT_MAGIC_AT + 4] = bzimage.BOOT_MAGIC
    image[bzimage.SETUP_SECTORS_AT] = 1
    image[bzimage.PAYLOAD_AT : bzimage.PAYLOAD_AT + 8] = b"\x10\0\0\0\x0c\0\0\0"
    image[1040:1044] = bzimage.ZSTD_MAGIC
    assert bzimage.zstd_payload(bytes(image)) == bzimage.ZSTD_MAGIC + bytes(4)
    assert bzimage.zstd_payload(bytes(4096)) is None


def test_exit_line_is_the_only_word_that_counts() -> None:
    """No line means no status, whatever else was printed."""
    assert machine.exit_status("all passed\nEXIT 0\n") is None
    assert machine.exit_status("@@UP 1.5\nx\n@@EXIT 7\n") == 7
    assert results.boot_seconds("@@UP 1.5\n") == pytest.approx(1.5)


def test_reports_come_back_flat(tmp_path: Path) -> None:
    """A name in a guest's archive cannot lead out of the folder."""
    with tarfile.open(tmp_path / "reports.tar", "w") as reports:
        member = tarfile.TarInfo("../../evil.json")
        member.size = 2
        reports.addfile(member, io.BytesIO(b"{}"))
    folder = tmp_path / "cell"
    folder.mkdir()
    assert results.unpack_reports(tmp_path / "reports.tar", folder) == ["evil.json"]
    assert (folder / "evil.json").read_text() == "{}"


@pytest.mark.parametrize(
    ("script", "word"),
    [
        ('[ "$FDSCOPE_ATTACH_MODE" = kprobe ]', "passed"),
        ("exit 3", "failed (3)"),
        ("sleep 9", "ended by its time limit"),
    ],
)
def test_a_guests_script_tells_how_its_command_ended(script: str, word: str) -> None:
    """The mode reaches the command, and its status the lab."""
    text = suite.guest_script(cells.CELLS[0], "kprobe", 1, script)
    done = subprocess.run(["/bin/sh", "-c", text], check=False)
    assert results.describe_status(done.returncode) == word


def test_security_updates_belong_to_stable_suites() -> None:
    """Backports and rolling suites have no security archive of their own."""
    place = archive.Archive("http://main", "http://security", Path("/keys.gpg"))
    assert len(place.sources("trixie")) == len(["main", "security"])
    assert [line.split()[-2] for line in place.sources("trixie-backports")] == ["trixie-backports"]
    assert "check-valid-until=no" in place.sources("sid")[0]


def test_cells_have_names_of_their_own() -> None:
    """A name is a folder and a word on the command line."""
    names = [cell.name for cell in cells.CELLS]
    assert len(names) == len(set(names))


def test_table_shows_hooks_doors_and_what_never_ended(tmp_path: Path) -> None:
    """Every mode gets a line, and so does one that never booted."""
    hook = {"function": "vfs_read", "layer": "file", "state": "failed", "fired": False}
    report = {
        "hooks": [hook | {"why": "no BTF"}],
        "doors": [{"door": "splice", "fd_type": "fifo", "ok": True}],
    }
    blank = results.Result("6.12", "fentry", passed=True, why="passed", kernel="6.12.1", bcc="0.31")
    for result in (
        blank,
        replace(blank, mode="kprobe", passed=False, why="failed (1)"),
        results.Result("5.10", "fentry", passed=False, why="the guest died"),
    ):
        folder = tmp_path / f"{result.cell}-{result.mode}"
        folder.mkdir()
        result.write(folder)
    (tmp_path / "6.12-fentry/support-fentry.json").write_text(json.dumps(report))
    problems = (
        "",
        '<skipped type="pytest.skip" message="no IPv6"/>',
        '<skipped type="pytest.xfail" message="runs were skipped"/>',
        '<failure message="assert 1 == 2"/>',
    )
    tests = "".join(
        f'<testcase classname="tests.kernel.test_x">{why}</testcase>' for why in problems
    )
    suite = f"<testsuites><testsuite>{tests}</testsuite></testsuites>"
    (tmp_path / "6.12-kprobe/pytest.xml").write_text(suite)
    text = table.render(tmp_path)
    assert "| 5.10 |  |  |  | fentry | the guest died |" in text
    assert "| 6.12 | 6.12.1 | 0.31 |  | fentry | passed | 0 of 1 | 0 of 1 | 1 of 1 |" in text
    counts = "failed (1), 1 of 4; 1 expected to fail; 1 failure; 1 skipped"
    assert f"| 6.12 | 6.12.1 | 0.31 |  | kprobe | {counts} |" in text
    assert "| vfs_read | no BTF | 6.12 fentry |" in text
    assert "| test_x | skipped | no IPv6 | 6.12 kprobe |" in text
    assert "| test_x | failure | assert 1 == 2 | 6.12 kprobe |" in text


def test_table_has_one_column_for_all_that_agree(tmp_path: Path) -> None:
    """A cell is named without its modes if all of them are in the column."""
    door = {"door": "splice", "fd_type": "fifo", "ok": True}
    for cell, mode, ok in (
        ("6.12", "fentry", True),
        ("6.12", "kprobe", True),
        ("5.10", "fentry", True),
        ("5.10", "kprobe", False),
    ):
        folder = tmp_path / f"{cell}-{mode}"
        folder.mkdir()
        results.Result(cell, mode, passed=ok, why="passed").write(folder)
        report = {"hooks": [], "doors": [door | {"ok": ok}, door]}
        (folder / f"support-{mode}.json").write_text(json.dumps(report))
    text = table.render(tmp_path)
    assert "| door | fd type | 6.12<br>5.10 fentry | 5.10 kprobe |" in text
    assert "| splice | fifo | exact | **off** |" in text
