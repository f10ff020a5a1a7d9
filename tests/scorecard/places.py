# SPDX-License-Identifier: GPL-2.0-only
"""Places of workloads: filesystems and a network namespace, made and removed."""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

_IMAGE_BYTES = 48 << 20
_MODULES = ("loop", "ext4", "overlay", "veth", "sctp", "vsock_loopback", "af_packet", "algif_hash")
"""Modules to load; what the kernel does not have shows as not possible."""

Made = Mapping[str, str]
"""Name in the scenarios to path, address or name."""


class MissingError(Exception):
    """The place cannot be made here; the text says why."""


class Places(dict[str, str]):
    """The places that were made; MissingError for others."""

    def __init__(self) -> None:
        super().__init__()
        self.missing: dict[str, str] = {}
        """Name of a maker to the reason why it made nothing."""

    def __missing__(self, name: str) -> str:
        raise MissingError(self.missing.get(name.partition("_")[0], f"no {name} here"))


def _command(*words: str) -> None:
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise MissingError(f"{words[0]} is not installed") from error
    if done.returncode:
        raise MissingError(f"{' '.join(words)}: {done.stderr.strip()}")


@contextlib.contextmanager
def _mounted(options: tuple[str, ...], what: str, at: Path) -> Iterator[None]:
    at.mkdir(exist_ok=True)
    _command("mount", *options, what, str(at))
    try:
        yield
    finally:
        _command("umount", str(at))


@contextlib.contextmanager
def tmpfs(base: Path) -> Iterator[Made]:
    """A filesystem in memory."""
    with _mounted(("-t", "tmpfs"), "tmpfs", base / "tmpfs"):
        yield {"tmpfs": str(base / "tmpfs")}


@contextlib.contextmanager
def ext4(base: Path) -> Iterator[Made]:
    """A filesystem on a loop device, and the device itself is another place."""
    for name in ("ext4", "block"):
        with (base / f"{name}.image").open("wb") as image:
            image.truncate(_IMAGE_BYTES)
    _command("mkfs.ext4", "-q", str(base / "ext4.image"))
    device = subprocess.run(
        ["losetup", "--find", "--show", str(base / "block.image")],
        capture_output=True,
        text=True,
        check=False,
    )
    if device.returncode:
        raise MissingError(device.stderr.strip())
    block = device.stdout.strip()
    try:
        with _mounted(("-o", "loop"), str(base / "ext4.image"), base / "ext4"):
            yield {"ext4": str(base / "ext4"), "ext4_block": block}
    finally:
        _command("losetup", "--detach", block)


@contextlib.contextmanager
def overlay(base: Path) -> Iterator[Made]:
    """Two directories of a filesystem in memory, as one."""
    with _mounted(("-t", "tmpfs"), "tmpfs", base / "layers"):
        lower, upper, work = (base / "layers" / name for name in ("lower", "upper", "work"))
        for directory in (lower, upper, work):
            directory.mkdir()
        (lower / "below").write_bytes(bytes(100_000))
        options = f"lowerdir={lower},upperdir={upper},workdir={work}"
        with _mounted(("-t", "overlay", "-o", options), "overlay", base / "overlay"):
            yield {"overlay": str(base / "overlay")}


@contextlib.contextmanager
def veth(_base: Path) -> Iterator[Made]:
    """A network namespace at the other end of a virtual cable."""
    number = os.getpid() % 250
    name, ours, theirs = f"fdscope-score-{number}", f"fdsc{number}a", f"fdsc{number}b"
    addresses = (
        (f"10.203.{number}.1/24", f"10.203.{number}.2/24"),
        (f"fd07:203:{number}::1/64", f"fd07:203:{number}::2/64"),
    )
    _command("ip", "netns", "add", name)
    try:
        _command("ip", "link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", name)
        for here, there in addresses:
            nodad = ("nodad",) if ":" in here else ()
            _command("ip", "address", "add", here, "dev", ours, *nodad)
            _command("ip", "-n", name, "address", "add", there, "dev", theirs, *nodad)
        _command("ip", "link", "set", ours, "up")
        _command("ip", "-n", name, "link", "set", theirs, "up")
        _command("ip", "-n", name, "link", "set", "lo", "up")
        far, far6 = (there.partition("/")[0] for _, there in addresses)
        yield {"veth": name, "veth_address": far, "veth_address6": far6, "veth_link": ours}
    finally:
        _command("ip", "netns", "delete", name)


MAKERS: tuple[Callable[[Path], contextlib.AbstractContextManager[Made]], ...] = (
    tmpfs,
    ext4,
    overlay,
    veth,
)


@contextlib.contextmanager
def places() -> Iterator[Places]:
    """All places that can be made here, and why the others cannot."""
    for module in _MODULES:
        with contextlib.suppress(FileNotFoundError):
            subprocess.run(["modprobe", "-q", module], capture_output=True, check=False)
    with contextlib.suppress(OSError):
        Path("/proc/sys/net/ipv4/ping_group_range").write_text("0 0")
    made = Places()
    with contextlib.ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fdscope-score-")))
        # The workloads' own paths in it stay short: a unix address has 108 bytes.
        made["scratch"] = str(base)
        os.chmod(base, 0o755)  # noqa: PTH101, S103 a process of a user namespace goes there
        for maker in MAKERS:
            try:
                made.update(stack.enter_context(maker(base)))
            except MissingError as error:
                made.missing[maker.__name__] = str(error)
        yield made
