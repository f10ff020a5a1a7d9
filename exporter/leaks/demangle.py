# SPDX-License-Identifier: GPL-2.0-only
"""Names of functions as their authors wrote them.

Only what is easy to read off: nested names of C++ and Rust, without arguments and templates. The
libraries that know all of it read what a hostile program can choose, and have had faults.
"""

import re

from fdscope.probes.text import printable

_RUST_HASH = re.compile(rb"h[0-9a-f]{16}\Z")
_RUST_ESCAPES = (
    (b"$LT$", b"<"), (b"$GT$", b">"), (b"$RF$", b"&"), (b"$BP$", b"*"), (b"$C$", b","),
    (b"$u20$", b" "), (b"$u7b$", b"{"), (b"$u7d$", b"}"), (b"$LP$", b"("), (b"$RP$", b")"),
    (b"$u27$", b"'"), (b"$u5b$", b"["), (b"$u5d$", b"]"), (b"..", b"::"),
)  # fmt: skip
_MOST_PARTS = 32


def readable(name: bytes) -> str:
    """The name of a function for people; a name that is not understood stays as it is."""
    parts = _parts(name)
    if not parts:
        return printable(name)
    if len(parts) > 1 and _RUST_HASH.fullmatch(parts[-1]):
        parts = [_unescaped(part) for part in parts[:-1]]
    return printable(b"::".join(parts))


def _unescaped(part: bytes) -> bytes:
    for escape, meaning in _RUST_ESCAPES:
        part = part.replace(escape, meaning)
    return part.removeprefix(b"_") if part.startswith(b"_<") else part


def _parts(name: bytes) -> list[bytes]:
    """The components of a mangled name, outermost first; none if it is not one of these."""
    if not name.startswith(b"_Z"):
        return []
    at, parts = 2, []
    nested = name[at : at + 1] == b"N"
    if nested:
        at += 1
        while name[at : at + 1] in (b"K", b"V", b"r"):
            at += 1
    if name[at : at + 2] == b"St":
        parts.append(b"std")
        at += 2
    while len(parts) < _MOST_PARTS:
        found = re.compile(rb"L?([1-9][0-9]{0,3})").match(name, at)
        if not found:
            break
        end = found.end() + int(found[1])
        if end > len(name):
            return []
        parts.append(name[found.end() : end])
        at = end
        if not nested:
            break
    if nested and name[at : at + 2] in (b"C1", b"C2", b"C3"):
        parts.append(parts[-1])
    elif nested and name[at : at + 2] in (b"D0", b"D1", b"D2"):
        parts.append(b"~" + parts[-1])
    return parts if parts != [b"std"] else []
