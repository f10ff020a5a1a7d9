# SPDX-License-Identifier: GPL-2.0-only
"""Guest userlands: a Debian release with its BCC and Python, as one cpio archive."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.vm.apt import Suite
from tests.vm.cache import source_hash
from tests.vm.cells import AMD64
from tests.vm.command import LabError, run
from tests.vm.cpio import CpioWriter

MERGED_USR_HOOK = "/usr/share/mmdebstrap/hooks/merged-usr"
SITE = "opt/site"
PACKAGES = (
    "base-files",
    "base-passwd",
    "bash",
    "bpftool",
    "coreutils",
    "dash",
    "e2fsprogs",
    "findutils",
    "grep",
    "iproute2",
    "kmod",
    "libc-bin",
    "mount",
    "procps",
    "python3",
    "python3-bpfcc",
    "python3-numpy",
    "sed",
    "util-linux",
)
VERSIONED = ("libc6", "python3", "python3-bpfcc", "python3-numpy")
DROPPED = re.compile(
    r"(usr/share/(doc|man|locale|info|zoneinfo|lintian|bash-completion|i18n)"
    r"|usr/include|var/cache|var/lib/(apt|dpkg)|usr/lib/python3/dist-packages/numpy/.*/tests)(/|$)"
)
PLATFORMS = ("manylinux2014", "manylinux_2_17", "manylinux_2_28", "manylinux_2_34")
PATHS = "/opt/fdscope\n/opt/site\n"
USERS = "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/bin/sh\n"
GROUPS = "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n"


@dataclass(frozen=True, slots=True)
class Root:
    """A guest userland: its archive and the BCC in it."""

    archive: Path
    bcc: str


def bcc_version(suite: Suite) -> str:
    """Return the upstream version of a suite's BCC, such as 0.31.0."""
    return suite.package("python3-bpfcc").version.partition("+")[0]


def prepare_root(suite: Suite, requirements: Sequence[str]) -> Root:
    """Return the suite's userland from the cache, building it (as root) if needed."""
    suite.refresh()
    inputs = {
        "packages": [suite.package(name).pin for name in VERSIONED],
        "requirements": list(requirements),
        "recipe": source_hash(Path(__file__)),
    }

    def build(folder: Path) -> None:
        with suite.progress.step(suite.name, f"building userland ({suite.arch.debian})"):
            _build(suite, requirements, folder / "root.cpio")

    folder = suite.cache.built("roots", f"{suite.name}-{suite.arch.debian}", inputs, build)
    return Root(folder / "root.cpio", bcc_version(suite))


def _build(suite: Suite, requirements: Sequence[str], target: Path) -> None:
    if os.geteuid() != 0:
        message = "building a guest userland needs root: run the lab once as root"
        raise LabError(message)
    with suite.cache.scratch() as work:
        tree = work / "tree"
        tree.mkdir(mode=0o755)
        _bootstrap(suite, tree)
        _finish(tree, suite.arch.triplet)
        _install_site(suite, tree, requirements)
        if suite.arch == AMD64:
            _run_inside(tree)
        _pack(tree, target)


def _bootstrap(suite: Suite, tree: Path) -> None:
    hooks = [f"--hook-dir={MERGED_USR_HOOK}"] if suite.name == "bookworm" else []
    run(
        [
            "mmdebstrap",
            "--mode=root",
            "--variant=extract",
            "--skip=check/qemu",
            f"--arch={suite.arch.debian}",
            '--aptopt=Apt::Install-Recommends "false"',
            f"--include={','.join(PACKAGES)}",
            *hooks,
            suite.name,
            tree,
            *suite.archive.sources(suite.name),
        ],
        what=f"building the userland of {suite.name}",
    )


def _finish(tree: Path, triplet: str) -> None:
    """Do the work of the packages' scripts, which are not run."""
    (tree / "etc/passwd").write_text(USERS)
    (tree / "etc/group").write_text(GROUPS)
    (tree / "etc/hostname").write_text("fdscope\n")
    (tree / "etc/hosts").write_text("127.0.0.1 localhost fdscope\n::1 localhost\n")
    (tree / "usr/lib/python3/dist-packages/fdscope.pth").write_text(PATHS)
    libraries = tree / "usr/lib" / triplet
    for name, folder in (("libblas.so.3", "blas"), ("liblapack.so.3", "lapack")):
        if not (libraries / name).exists():
            (libraries / name).symlink_to(f"{folder}/{name}")


def _install_site(suite: Suite, tree: Path, requirements: Sequence[str]) -> None:
    """Install the Python packages for the guest's Python, as wheels, below /opt/site."""
    python = suite.package("python3").version
    version = ".".join(python.split(".")[:2])
    platforms = [f"--platform={name}_{suite.arch.machine}" for name in PLATFORMS]
    run(
        [
            "pip3",
            "install",
            "--quiet",
            "--no-compile",
            "--disable-pip-version-check",
            "--root-user-action=ignore",
            f"--target={tree / SITE}",
            f"--python-version={version}",
            "--only-binary=:all:",
            "--implementation=cp",
            *platforms,
            *requirements,
        ],
        what=f"fetching Python packages for Python {version}",
    )


def _run_inside(tree: Path) -> None:
    """Index the libraries and compile the Python files, with the guest's own programs.

    The compiled files are not checked against their sources, whose times an
    initramfs may not keep.
    """
    run(["chroot", tree, "ldconfig"], what="indexing the guest's libraries")
    mode = "--invalidation-mode=unchecked-hash"
    compile_all = ["python3", "-m", "compileall", "-q", "-j2", mode, "/usr/lib/python3", f"/{SITE}"]
    standard = next(tree.glob("usr/lib/python3.*"))
    run(["chroot", tree, *compile_all, f"/usr/lib/{standard.name}"], what="compiling Python files")


def _pack(tree: Path, target: Path) -> None:
    with target.open("wb") as stream:
        archive = CpioWriter(stream)
        archive.tree(tree, keep=lambda name: DROPPED.match(name) is None)
        for name in ("dev/console", "dev/null"):
            minor = {"dev/console": (5, 1), "dev/null": (1, 3)}[name]
            archive.entry(name, 0o020666, device=minor)
        archive.close()
