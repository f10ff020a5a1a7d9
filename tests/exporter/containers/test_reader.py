# SPDX-License-Identifier: GPL-2.0-only
"""The process that reads the state of runtimes: its rights, its answers, its end."""

import os
import pwd
import signal
import time
from pathlib import Path

import pytest

from fdscope.exporter import privileges
from fdscope.exporter.containers.names import Names, Query, Result
from fdscope.exporter.containers.reader import Reader, reading
from tests.exporter.containers import state

FOUND = Names("shop-web-1", "nginx:1.27", "", "", "", "shop", "web", "docker")
pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="not root: no state of root's can be made")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """State that only root may read, in folders that everybody may enter."""
    state.docker(tmp_path / "var/lib/docker").parent.chmod(0o700)
    return tmp_path


def answer(reader: Reader, query: Query) -> tuple[str, Result, Names]:
    assert reader.ask(query)
    deadline = time.monotonic() + 30
    while not (answers := list(reader.answers())):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return answers[0]


def the_child() -> int:
    (pid,) = Path("/proc/thread-self/children").read_text().split()
    return int(pid)


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_it_keeps_one_right_and_no_descriptor(root: Path) -> None:
    held = int(status(os.getpid())["CapPrm"], 16)
    if not held >> privileges.CAPABILITIES["CAP_DAC_READ_SEARCH"] & 1:
        pytest.skip("this process has no CAP_DAC_READ_SEARCH")
    with reading("nobody", root) as reader:
        assert reader
        assert answer(reader, Query(state.DOCKER)) == (state.DOCKER, Result.FOUND, FOUND)
        child = the_child()
        told = status(child)
        assert int(told["CapEff"], 16) == int(told["CapPrm"], 16) == 1 << 2
        assert int(told["CapInh"], 16) == int(told["CapAmb"], 16) == 0
        assert told["NoNewPrivs"] == "1"
        assert set(told["Uid"].split()) == {str(pwd.getpwnam("nobody").pw_uid)}
        numbers = {int(each.name) for each in Path(f"/proc/{child}/fd").iterdir()}
        assert len(numbers - {0, 1, 2}) == 1
    assert not Path(f"/proc/{child}").exists()


def test_without_the_right_it_reports_what_it_may_not_read(root: Path) -> None:
    """In a child of ours, which gives that right up for good."""
    theirs, ours = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            privileges.drop("nobody", ())
            with reading("", root) as reader:
                assert reader
                _, result, names = answer(reader, Query(state.DOCKER, "docker"))
                os.write(ours, f"{result.value} {names == Names()}".encode())
        finally:
            os._exit(0)
    os.close(ours)
    with os.fdopen(theirs) as told:
        assert told.read() == "denied True"
    os.waitpid(pid, 0)


def test_questions_that_are_no_container_get_no_answer(root: Path) -> None:
    with reading("nobody", root) as reader:
        assert reader
        for query in (Query("../" * 20), Query(state.DOCKER, user="../x"), Query("")):
            assert reader.ask(query)
        assert answer(reader, Query("9" * 64, "docker"))[1] is Result.MISSING


def test_a_reader_that_is_busy_is_not_waited_for(root: Path) -> None:
    with reading("nobody", root) as reader:
        assert reader
        os.kill(the_child(), signal.SIGSTOP)
        asked = 0
        while reader.ask(Query(state.DOCKER)):
            asked += 1
            assert asked < 100_000
        assert list(reader.answers()) == []
        os.kill(the_child(), signal.SIGCONT)


def test_a_reader_that_has_ended(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    with reading("nobody", root) as reader:
        assert reader
        os.kill(the_child(), signal.SIGKILL)
        deadline = time.monotonic() + 30
        while not reader.has_failed and time.monotonic() < deadline:
            assert list(reader.answers()) == []
        assert not reader.ask(Query(state.DOCKER))
        assert list(reader.answers()) == []
        assert caplog.text.count("has ended") == 1
