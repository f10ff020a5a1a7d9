# SPDX-License-Identifier: GPL-2.0-only
"""Profiles: learned, told once, kept, edited, bounded."""

import json

import pytest

from fdscope.exporter.journal.profiles import Profiles, ProfilesError, habit
from fdscope.probes.schema.slots import code_of
from fdscope.probes.schema.taxonomy import Account, Connection, Door, FdType, Scope

READ = code_of(Account.FILE_READ, FdType.REGULAR, Door.READ_WRITE)
SENDFILE = code_of(Account.FILE_WRITE, FdType.TCP, Door.SENDFILE)
REMOTE = code_of(Account.SOCKET_SEND, FdType.TCP, Scope.REMOTE)
CONNECT = code_of(Account.CONNECTION, FdType.TCP, Connection.CONNECT_REMOTE)
FAILED = code_of(Account.FILE_READ, FdType.TTY, Door.READ_WRITE, errno=5)
NGINX, SHELL = ("nginx", "nginx.service"), ("sh", "")


def test_habits() -> None:
    assert habit(READ) == "regular door read_write"
    assert habit(SENDFILE) == "tcp door sendfile"
    assert habit(REMOTE) == "tcp scope remote"
    assert habit(CONNECT) == "tcp connect remote"
    assert habit(FAILED) is None
    assert habit(code_of(Account.FD_OPENED, FdType.TCP, 1)) is None


def test_what_is_new_is_told_once() -> None:
    profiles = Profiles(100)
    assert profiles.meet(NGINX, [READ], 0) == []
    assert profiles.meet(NGINX, [READ, SENDFILE], 99) == []
    assert profiles.meet(NGINX, [READ, REMOTE, CONNECT], 100) == [
        "tcp connect remote",
        "tcp scope remote",
    ]
    assert profiles.meet(NGINX, [REMOTE, CONNECT], 200) == []
    # Another unit, and a name that was not there before, learn first.
    assert profiles.meet(("nginx", "other.service"), [REMOTE], 200) == []
    assert profiles.meet(SHELL, [REMOTE], 200) == []


def test_a_file_to_read_edit_and_carry_over() -> None:
    profiles = Profiles(100)
    profiles.meet(NGINX, [READ, SENDFILE], 0)
    assert profiles.changed
    text = profiles.text()
    assert not profiles.changed
    assert json.loads(text) == {
        "version": 1,
        "profiles": [
            {
                "name": "nginx",
                "unit": "nginx.service",
                "since": 0,
                "habits": ["regular door read_write", "tcp door sendfile"],
            }
        ],
    }
    other = Profiles(100)
    other.load(text.replace("tcp door sendfile", "tcp scope remote"))
    assert other.meet(NGINX, [READ, REMOTE], 1000) == []
    assert other.meet(NGINX, [SENDFILE], 1000) == ["tcp door sendfile"]


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", "null", '{"version": 2, "profiles": []}', '{"version": 1}',
        '{"version": 1, "profiles": [{}]}', '{"version": 1, "profiles": 7}',
        '{"version":1,"profiles":[{"name":1,"unit":"","since":0,"habits":[]}]}',
        '{"version":1,"profiles":[{"name":"","unit":"","since":"x","habits":[]}]}', "[" * 100_000,
    ],
)  # fmt: skip
def test_files_that_cannot_be_used(text: str) -> None:
    profiles = Profiles(100)
    profiles.meet(NGINX, [READ], 0)
    with pytest.raises(ProfilesError):
        profiles.load(text)
    assert len(profiles) == 1


def test_names_that_others_choose_are_bounded() -> None:
    profiles = Profiles(100, most=10)
    profiles.meet(NGINX, [READ], 0)
    for number in range(1000):
        profiles.meet((f"name-{number}", ""), [READ], 200)
    assert len(profiles) == 10
    # What has learned for long enough stays.
    assert profiles.meet(NGINX, [SENDFILE], 200) == ["tcp door sendfile"]
