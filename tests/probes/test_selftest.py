# SPDX-License-Identifier: GPL-2.0-only
"""The next attach mode after one whose hooks do not fire."""

from fdscope.probes.attach.settings import Settings
from fdscope.probes.schema.taxonomy import Mode
from fdscope.probes.selftest.run import Row, next_try

MODES = [Mode.FENTRY, Mode.KPROBE, Mode.TRACEPOINT]


def row(file_bytes: int, socket_bytes: int | None, door: str = "read_write") -> Row:
    ok = file_bytes == 100 and socket_bytes in (None, 100)
    return Row("case", door, "tcp", "read", 100, file_bytes, socket_bytes, ok)


def test_all_exact() -> None:
    assert next_try([row(100, 100)], Mode.FENTRY, MODES, Settings()) is None


def test_the_file_layer_does_not_fire() -> None:
    instead = next_try([row(0, 100)], Mode.FENTRY, MODES, Settings())
    assert instead == ([Mode.KPROBE, Mode.TRACEPOINT], Settings())
    assert next_try([row(0, 100)], Mode.TRACEPOINT, MODES, Settings()) is None


def test_the_socket_layer_does_not_fire() -> None:
    rows = [row(100, 0), row(100, None)]
    instead = next_try(rows, Mode.KPROBE, MODES, Settings())
    assert instead is not None
    modes, settings = instead
    assert modes == [Mode.KPROBE, Mode.TRACEPOINT]
    assert "sock_send_length" in settings.avoid
    assert next_try(rows, Mode.KPROBE, modes, settings) is None


def test_one_wrong_door_is_no_reason_to_give_up_a_mode() -> None:
    assert next_try([row(100, 100), row(0, None, "aio")], Mode.FENTRY, MODES, Settings()) is None
