# SPDX-License-Identifier: GPL-2.0-only
"""Text from outside, made printable: the one way in for names that somebody else can choose."""


def printable(raw: bytes | str) -> str:
    r"""Valid, printable Unicode from any bytes, or from any string of Python's.

    Bytes that are not UTF-8 (also as the surrogates of ``os.fsdecode()``) and control characters
    become ``\xNN``; other characters that do not print, such as marks that change the direction
    of writing, become ``\uNNNN``. All else stays as it is, a backslash too: systemd writes units
    such as ``dev-disk-by\x2duuid.device``.
    """
    text = raw.decode("utf-8", "surrogateescape") if isinstance(raw, bytes) else raw
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(ord(c)) for c in text)


def _escaped(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8: surrogateescape
        code -= 0xDC00
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
