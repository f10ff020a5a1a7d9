# SPDX-License-Identifier: GPL-2.0-only
"""Unpacks the ELF image inside an x86 bzImage, which QEMU boots without decompression.

Layout: Documentation/arch/x86/boot.rst of the Linux source.
"""

import struct
from pathlib import Path

from tests.vm.command import run

BOOT_MAGIC = b"HdrS"
BOOT_MAGIC_AT = 0x202
SETUP_SECTORS_AT = 0x1F1
PAYLOAD_AT = 0x248
SECTOR = 512
SIZE_SUFFIX = 4
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


def zstd_payload(image: bytes) -> bytes | None:
    """Return the zstd stream in a bzImage; None if it is packed otherwise, or no bzImage."""
    if image[BOOT_MAGIC_AT : BOOT_MAGIC_AT + len(BOOT_MAGIC)] != BOOT_MAGIC:
        return None
    offset, length = struct.unpack_from("<II", image, PAYLOAD_AT)
    start = (image[SETUP_SECTORS_AT] + 1) * SECTOR + offset
    payload = image[start : start + length - SIZE_SUFFIX]
    return payload if payload.startswith(ZSTD_MAGIC) else None


def unpack_image(source: Path, target: Path) -> None:
    """Write to `target` the image that QEMU boots: the unpacked kernel, else the image as it is."""
    image = source.read_bytes()
    payload = zstd_payload(image)
    if payload is None:
        target.write_bytes(image)
        return
    packed = target.with_suffix(".zst")
    packed.write_bytes(payload)
    run(["zstd", "-q", "-d", "--rm", packed, "-o", target], what="unpacking the kernel")
