# SPDX-License-Identifier: GPL-2.0-only
"""The numbers of system calls, and the calls that are followed."""

import os
import platform
from pathlib import Path

import pytest

from fdscope.probes.hooks import syscalls
from fdscope.probes.selftest.raw_calls import call


def test_each_call_that_is_followed_has_a_number() -> None:
    numbered = {name for numbers in syscalls.NUMBERS.values() for name in numbers}
    numbered |= syscalls.SOCKETCALLS.keys()
    followed = syscalls.SYSCALLS.keys() | syscalls.FD_CALLS.keys()
    assert not followed - numbered, "add its number in probes/hooks/syscalls.py"


@pytest.mark.parametrize("machine", syscalls.NUMBERS)
def test_no_number_is_given_twice(machine: str) -> None:
    numbers = list(syscalls.NUMBERS[machine].values())
    assert len(set(numbers)) == len(numbers)
    assert max(numbers) < syscalls.COMPAT_SLOTS


def test_a_call_by_its_number() -> None:
    assert syscalls.number("read") == syscalls.NUMBERS[platform.machine()]["read"]
    fd = call("epoll_create1", os.O_CLOEXEC)
    assert str(Path(f"/proc/self/fd/{fd}").readlink()) == "anon_inode:[eventpoll]"
    os.close(fd)
    with pytest.raises(KeyError):
        syscalls.number("no_such_call")
