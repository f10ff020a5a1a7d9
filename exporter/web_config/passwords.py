# SPDX-License-Identifier: GPL-2.0-only
"""Basic authentication against bcrypt hashes, at a bounded cost."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import bcrypt

MAX_CHECKS = 8
"""Most passwords that are checked or wait; more are refused."""
MAX_CHECKS_PER_PEER = 4
MAX_BYTES = 72
"""Bytes of a password that bcrypt uses."""


class BusyError(Exception):
    """Too many password checks are waiting."""


class Passwords:
    """Checks credentials, one hash at a time; the last good ones of each user are remembered."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self._good: dict[str, bytes] = {}
        self._under_test: Counter[str] = Counter()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="password")

    async def accepts(self, users: Mapping[str, bytes], authorization: str, peer: str = "") -> bool:
        """True if the header has a user's name and password.

        BusyError past ``MAX_CHECKS``, or ``MAX_CHECKS_PER_PEER`` of this peer.
        """
        name, password = _credentials(authorization)
        if password is None:
            return False
        expected = users.get(name)
        digest = hmac.digest(self._secret, (expected or b"") + b"\0" + password, hashlib.sha256)
        if expected and hmac.compare_digest(self._good.get(name, b""), digest):
            return True
        if self._under_test.total() >= MAX_CHECKS or self._under_test[peer] >= MAX_CHECKS_PER_PEER:
            raise BusyError
        self._under_test[peer] += 1
        try:
            # An unknown name takes as long as a known one: some hash is tested.
            tested = expected or next(iter(users.values()))
            loop = asyncio.get_running_loop()
            matches = await loop.run_in_executor(self._pool, _matches, password, tested)
        finally:
            self._under_test -= Counter((peer,))
        if not expected or not matches:
            return False
        self._good = {user: known for user, known in self._good.items() if user in users}
        self._good[name] = digest
        return True

    def close(self) -> None:
        """Stop checking."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _credentials(authorization: str) -> tuple[str, bytes | None]:
    """(name, password) of a header; the password is None if it has none."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return "", None
    try:
        name, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return name.decode(), password if colon else None
    except (binascii.Error, UnicodeDecodeError):
        return "", None


def _matches(password: bytes, expected: bytes) -> bool:
    """Runs in the pool's thread."""
    try:
        return bcrypt.checkpw(password[:MAX_BYTES], expected)
    except ValueError:  # a NUL byte in the password
        return False
