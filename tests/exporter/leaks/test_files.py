# SPDX-License-Identifier: GPL-2.0-only
"""Files of programs: symbols, unwind information, perf maps. And hostile ones."""

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdscope.exporter.leaks import demangle, lines
from fdscope.exporter.leaks.elf import Elf, ElfError
from fdscope.exporter.leaks.go import GoTable
from fdscope.exporter.leaks.image import Image, PerfMap
from fdscope.exporter.leaks.unwind import FrameTable, unwind
from fdscope.probes.schema.files import Registers

PROGRAM = Path(sys.executable).resolve()


@pytest.fixture
def image() -> Iterator[Image]:
    own = Image(os.getpid())
    yield own
    own.close()


def test_functions_of_this_process(image: Image) -> None:
    """An address inside a known function of the C library has its name."""
    import ctypes

    library = ctypes.CDLL(None)
    for name in ("getpid", "sched_yield", "fork"):
        address = ctypes.cast(getattr(library, name), ctypes.c_void_p).value
        assert address
        frame = image.frame(address + 4)
        assert name in frame.function, frame
        assert frame.inside == 4
        assert image.rules(address + 4) is not None
    assert image.frame(1).module == "[unknown]"
    assert not image.is_code(1)


def test_what_is_no_program(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no program" * 100)
    (tmp_path / "short").write_bytes(b"\x7fELF\x02\x01")
    os.mkfifo(tmp_path / "pipe")
    for name in ("text", "short", "pipe"):
        fd = os.open(tmp_path / name, os.O_RDONLY | os.O_NONBLOCK)
        with pytest.raises(ElfError):
            Elf(fd)
        os.close(fd)


def everything(fd: int, seed: random.Random) -> None:
    """Use all that a file can have; ElfError is the only answer to one that is wrong."""
    try:
        elf = Elf(fd)
        functions = elf.functions
        if functions is not None:
            functions.at(seed.randrange(1 << 24))
        assert elf.build_id is not None
        elf.symbol(b"_PyRuntime")
        table = FrameTable(elf)
        for _ in range(20):
            table.rules(seed.randrange(1 << 24))
    except ElfError:
        pass
    try:
        table_of_go = GoTable(Elf(fd))
        for _ in range(20):
            table_of_go.at(seed.randrange(1 << 24))
    except ElfError:
        pass


@pytest.mark.parametrize("seed", range(60))
def test_files_with_wrong_bytes(tmp_path: Path, seed: int) -> None:
    """Numbers of the headers, and of all tables, replaced by others; and a file that is cut."""
    chance = random.Random(seed)  # noqa: S311 - the same each time
    source = next(path for path in (Path("/bin/ls"), PROGRAM) if path.exists())
    data = bytearray(source.read_bytes()[: 4 << 20])
    places = range(64 + 56 * 13) if seed % 2 else range(len(data))
    for _ in range(40):
        at = chance.choice(places)
        data[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF))
    data[:6] = b"\x7fELF\x02\x01"
    if seed % 5 == 0:
        data = data[: chance.randrange(len(data))]
    path = tmp_path / "program"
    path.write_bytes(data)
    fd = os.open(path, os.O_RDONLY)
    try:
        everything(fd, chance)
    finally:
        os.close(fd)


def test_a_stack_that_is_garbage(image: Image) -> None:
    chance = random.Random(1)  # noqa: S311 - the same each time
    starts = [mapping.start for mapping, _ in image.files()]
    for _ in range(200):
        registers = Registers(
            chance.choice(starts) + chance.randrange(4096), 1 << 20, chance.randrange(1 << 21), 0,
            tuple(chance.randrange(1 << 64) for _ in range(5)),
        )  # fmt: skip
        stack = unwind(image, registers, chance.randbytes(4096), [chance.randrange(1 << 64)])
        assert len(stack.addresses) <= 128


def test_perf_map() -> None:
    text = b"""\
1000 10 first
2000 20 second with spaces
1000 8 first again
nonsense
zz 10 no number
3000
4000 10 \xff\x1b[31m
"""
    of = PerfMap.of_text(text)
    assert of.at(0x1004) == "first again"
    assert of.at(0x1009) is None
    assert of.at(0x201F) == "second with spaces"
    assert of.at(0x2020) is None
    assert of.at(0) is None
    assert "\x1b" not in (of.at(0x4000) or "\x1b")


@pytest.fixture
def process() -> "Iterator[subprocess.Popen[bytes]]":
    child = subprocess.Popen(["sleep", "60"])
    yield child
    child.kill()
    child.wait()


def test_perf_map_of_another(process: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
    """Not through a link, not of another user, and no pipe; else it is read."""
    place = Path("/tmp", f"perf-{process.pid}.map")  # noqa: S108 - where programs write it
    secret = tmp_path / "secret"
    secret.write_text("1000 10 secret\n")
    proc = os.open(f"/proc/{process.pid}", os.O_PATH)
    user = os.geteuid()
    try:
        assert "there is no" in PerfMap.of_process(proc, user).why_not
        place.symlink_to(secret)
        found = PerfMap.of_process(proc, user)
        assert found.at(0x1000) is None
        assert found.why_not
        place.unlink()
        os.mkfifo(place)
        assert "no regular file" in PerfMap.of_process(proc, user).why_not
        place.unlink()
        place.write_text("1000 10 mine\n")
        assert PerfMap.of_process(proc, user).at(0x1000) == "mine"
        assert "another user" in PerfMap.of_process(proc, user + 1).why_not
    finally:
        place.unlink(missing_ok=True)
        os.close(proc)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"main", "main"),
        (b"_ZN4node2fs4OpenERKN2v820FunctionCallbackInfoINS1_5ValueEEE", "node::fs::Open"),
        (b"_ZN3FooC2Ev", "Foo::Foo"),
        (b"_ZN3FooD1Ev", "Foo::~Foo"),
        (b"_Z3barv", "bar"),
        (b"_ZSt4sortv", "std::sort"),
        (b"_ZN6server4open17h0123456789abcdefE", "server::open"),
        (b"_ZN50_$LT$T$u20$as$u20$core..convert..Into$LT$U$GT$$GT$4into17h0123456789abcdefE",
         "<T as core::convert::Into<U>>::into"),
        (b"_ZN99999999x", "_ZN99999999x"),
        (b"_Z", "_Z"),
        (b"_ZN1", "_ZN1"),
        (b"a\x1b[0m\xff", "a\\x1b[0m\\xff"),
    ],
)  # fmt: skip
def test_names_of_functions(name: bytes, shown: str) -> None:
    assert demangle.readable(name) == shown


@pytest.mark.skipif(not shutil.which("addr2line"), reason="addr2line is not installed")
@pytest.mark.skipif(not shutil.which("gcc"), reason="there is no compiler here")
def test_lines_of_source(tmp_path: Path) -> None:
    source = tmp_path / "program.c"
    source.write_text("#include <unistd.h>\nint main(void)\n{\n\treturn pause();\n}\n")
    subprocess.run(["gcc", "-g", "-o", "program", source.name], cwd=tmp_path, check=True)
    with subprocess.Popen([tmp_path / "program"]) as child:
        while Path(f"/proc/{child.pid}/comm").read_text() != "program\n":
            time.sleep(0.01)
        image = Image(child.pid)
        try:
            while (elf := image.program()) is None:
                image.refresh()
            functions = elf[1].functions
            assert functions
            named = zip(functions.starts.tolist(), functions.names.tolist(), strict=True)
            (main,) = (at for at, name in named if functions.text[name:].startswith(b"main\0"))
            frame = image.frame(elf[0] + main + 5)
            assert frame.function == "main"
            found = lines.with_lines(image, [frame])
            assert found[frame].source.endswith("program.c:4") or found[frame].source.endswith(":3")
        finally:
            image.close()
            child.kill()
