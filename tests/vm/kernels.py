# SPDX-License-Identifier: GPL-2.0-only
"""Distribution kernels: found by their meta package, unpacked, made ready to boot."""

import json
from dataclasses import dataclass
from pathlib import Path

from tests.vm import bzimage, modules
from tests.vm.apt import Package, Suite
from tests.vm.cache import source_hash
from tests.vm.command import LabError, run
from tests.vm.cpio import CpioWriter

IMAGE_PARTS = r"linux-(image|base|binary|modules)-\d"
HEADER_PARTS = r"linux-(headers|kbuild)-\d"
RECIPE = (Path(__file__), Path(bzimage.__file__), Path(modules.__file__))


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel ready to boot, and the archives that belong into its initramfs."""

    release: str
    image: Path
    archives: tuple[Path, ...]


def image_packages(suite: Suite, flavour: str) -> list[Package]:
    """Return the packages that a suite's kernel of this flavour (cloud, rt) consists of."""
    return suite.closure(f"linux-image-{flavour}-{suite.arch.debian}", IMAGE_PARTS)


def header_packages(suite: Suite, flavour: str) -> list[Package]:
    """Return the packages with the headers of that kernel."""
    return suite.closure(f"linux-headers-{flavour}-{suite.arch.debian}", HEADER_PARTS)


def kernel_version(suite: Suite, flavour: str) -> str:
    """Return the version of the kernel that a suite offers, such as 6.12.95-1."""
    return suite.package(f"linux-image-{flavour}-{suite.arch.debian}").version


def prepare_kernel(suite: Suite, flavour: str, *, headers: bool) -> Kernel:
    """Return the suite's kernel from the cache, fetching and unpacking it if needed."""
    suite.refresh()
    packages = image_packages(suite, flavour)
    if headers:
        packages += header_packages(suite, flavour)
    inputs = {"packages": [package.pin for package in packages], "recipe": source_hash(*RECIPE)}
    name = f"{suite.name}-{flavour}-{suite.arch.debian}{'-headers' if headers else ''}"

    def build(folder: Path) -> None:
        with suite.progress.step(suite.name, f"building kernel {packages[0].version}"):
            _build(suite, packages, folder)

    folder = suite.cache.built("kernels", name, inputs, build)
    release = json.loads((folder / "release.json").read_text())
    return Kernel(str(release), folder / "image", (folder / "extra.cpio",))


def _build(suite: Suite, packages: list[Package], folder: Path) -> None:
    with suite.cache.scratch() as work:
        tree = work / "tree"
        for package in suite.download(packages, work):
            run(["dpkg-deb", "-x", package, tree], what=f"unpacking {package.name}")
        _merge_usr(tree)
        image = _image(tree)
        release = _release(tree)
        bzimage.unpack_image(image, folder / "image")
        modules.prune(tree, release)
        _pack(tree, folder / "extra.cpio")
    (folder / "release.json").write_text(json.dumps(release))


def _merge_usr(tree: Path) -> None:
    """Move lib below usr, where the guests have it, and leave a link for depmod."""
    if (tree / "lib").is_dir():
        run(["cp", "-al", tree / "lib", tree / "usr"], what="moving the modules below usr")
        run(["rm", "-r", tree / "lib"], what="moving the modules below usr")
    (tree / "lib").symlink_to("usr/lib")


def _image(tree: Path) -> Path:
    found = [*tree.glob("boot/vmlinuz-*"), *tree.glob("usr/lib/modules/*/vmlinuz")]
    if len(found) != 1:
        message = f"expected one kernel image in the packages, found {found}"
        raise LabError(message)
    return found[0]


def _release(tree: Path) -> str:
    found = [path.name for path in tree.glob("usr/lib/modules/*") if (path / "kernel").is_dir()]
    if len(found) != 1:
        message = f"expected one module tree in the packages, found {found}"
        raise LabError(message)
    return found[0]


def _pack(tree: Path, target: Path) -> None:
    """Write modules, headers and configuration; documentation and boot files stay out."""
    wanted = ("usr/lib/", "usr/src/")
    with target.open("wb") as stream:
        archive = CpioWriter(stream)
        archive.tree(tree, keep=lambda name: name.startswith(wanted))
        archive.close()
