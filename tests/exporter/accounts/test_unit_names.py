# SPDX-License-Identifier: GPL-2.0-only
"""Names of the units that have series: bounded, and asked for no more often than needed."""

import os
from itertools import pairwise
from pathlib import Path

import pytest

from fdscope.exporter.accounts.unit_names import UnitInfo, UnitNames
from fdscope.exporter.accounts.units import NOWHERE, Place, Runtime, place_in
from fdscope.exporter.containers.names import Names, Query, Result
from fdscope.exporter.containers.runtimes import Runtimes
from tests.exporter.containers import state

DOCKER = Place(state.DOCKER[:12], Runtime.DOCKER, state.DOCKER)


class Looking:
    """Looks in the state on disk at once; it answers when the next answers are asked for."""

    def __init__(self, root: Path) -> None:
        self._runtimes = Runtimes(root, owner=os.getuid())
        self._answers: list[tuple[str, Result, Names]] = []
        self.asked: list[Query] = []
        self.room = 1000

    def ask(self, query: Query) -> bool:
        if len(self._answers) >= self.room:
            return False
        self.asked.append(query)
        self._answers.append((query.container_id, *self._runtimes.look(query)))
        return True

    def answers(self) -> list[tuple[str, Result, Names]]:
        answers, self._answers = self._answers, []
        return answers


@pytest.fixture
def looking(tmp_path: Path) -> Looking:
    return Looking(tmp_path)


def infos(names: UnitNames, *units: str, room: int = 100, now: float = 0.0) -> list[UnitInfo]:
    return list(names.update(units, room, now))


def info(unit: str, **labels: str) -> UnitInfo:
    return UnitInfo(**(dict.fromkeys(UnitInfo._fields, "") | {"unit": unit} | labels))


def test_what_paths_say_without_a_reader() -> None:
    places = {"": NOWHERE}
    for path in (
        "system.slice/ssh.service",
        "user.slice/user-7.slice/user@7.service/a.service",
        "machine.slice/systemd-nspawn@web.service/system.slice/b.service",
        f"kubepods/pod{state.POD_UID}/{state.CRI_O}",
    ):
        place = NOWHERE
        for name in path.split("/"):
            place = place_in(place, name.encode())
        places[place.unit] = place
    names = UnitNames(places.__getitem__, None)
    assert set(infos(names, *places)) == {
        info(""),
        info("ssh.service", runtime="systemd"),
        info("user@7.service/a.service", runtime="systemd", user="7"),
        info("systemd-nspawn@web.service/b.service", runtime="nspawn", container="web"),
        info(state.CRI_O[:12], container_id=state.CRI_O, pod_uid=state.POD_UID),
    }


def test_names_come_with_the_answer(tmp_path: Path, looking: Looking) -> None:
    state.everything(tmp_path)
    names = UnitNames({DOCKER.unit: DOCKER}.__getitem__, looking)
    known = {"runtime": "docker", "container_id": state.DOCKER}
    assert infos(names, DOCKER.unit) == [info(DOCKER.unit, **known)]
    assert infos(names, DOCKER.unit, now=1) == [
        info(
            DOCKER.unit,
            container="shop-web-1",
            image="nginx:1.27",
            compose_project="shop",
            compose_service="web",
            **known,
        )
    ]
    assert names.lookups == {"found": 1}
    assert len(looking.asked) == 1


def test_a_container_is_looked_for_again_later_and_later(tmp_path: Path, looking: Looking) -> None:
    names = UnitNames({DOCKER.unit: DOCKER}.__getitem__, looking)
    times = [now for now in range(1000) if _asks(names, looking, now)]
    assert times[:5] == [0, 6, 17, 38, 79]
    assert all(later - earlier <= 301 for earlier, later in pairwise(times))
    state.everything(tmp_path)
    infos(names, DOCKER.unit, now=2000)
    assert infos(names, DOCKER.unit, now=2001)[0].container == "shop-web-1"
    state.docker(tmp_path / "var/lib/docker", Image="nginx:1.28")
    infos(names, DOCKER.unit, now=2302)
    assert infos(names, DOCKER.unit, now=2303)[0].image == "nginx:1.28", "it can change"


def _asks(names: UnitNames, looking: Looking, now: float) -> bool:
    before = len(looking.asked)
    infos(names, DOCKER.unit, now=now)
    return len(looking.asked) > before


def test_what_has_no_series_any_more_is_forgotten(tmp_path: Path, looking: Looking) -> None:
    state.everything(tmp_path)
    names = UnitNames({DOCKER.unit: DOCKER, "": NOWHERE}.__getitem__, looking)
    infos(names, DOCKER.unit)
    assert infos(names, "", now=1) == [info("")]
    infos(names, DOCKER.unit, now=2)
    assert len(looking.asked) == 2


def test_units_beyond_the_room_are_counted(looking: Looking) -> None:
    services = {f"{number:03}.service": Place(f"{number:03}.service") for number in range(50)}
    names = UnitNames((services | {DOCKER.unit: DOCKER}).__getitem__, looking)
    shown = infos(names, *services, room=10)
    assert len(shown) == names.shown == 10
    assert names.left_out == 40
    again = infos(names, DOCKER.unit, *services, room=11)
    assert set(shown) < set(again), "what is shown stays"
    assert DOCKER.unit in {each.unit for each in again}, "containers come before services"
    assert names.left_out == 40
    assert infos(names, *services, room=0) == []
    assert names.left_out == 50


def test_a_storm_of_containers_is_asked_for_by_and_by(looking: Looking) -> None:
    places = {
        f"{number:012x}": Place(f"{number:012x}", Runtime.DOCKER, f"{number:012x}" + "a" * 52)
        for number in range(500)
    }
    names = UnitNames(places.__getitem__, looking)
    infos(names, *places, room=1000)
    assert len(looking.asked) == 64
    looking.room = 10
    infos(names, *places, room=1000, now=1)
    assert len(looking.asked) == 74, "the reader is busy"
    infos(names, *places, room=1000, now=2)
    assert len({query.container_id for query in looking.asked}) == len(looking.asked) == 84
