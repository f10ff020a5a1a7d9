# SPDX-License-Identifier: GPL-2.0-only
"""Bytes compared with the last hour and the days before, and errors."""

from fdscope.exporter.catalog import layers
from tests.alerts.scenario import MINUTES_OF_A_DAY, Alarm, Scenario, Series, series

COPY = {"process": "copier", "unit": "copy.service", "fd_type": "regular"}
DAY = MINUTES_OF_A_DAY
AT = DAY + 200
MIB = 2**20
A_LITTLE, A_LOT = MIB * 60, 200 * MIB * 60
"""Bytes a minute: 1 and 200 MiB/s."""


def copied(values: str, pid: str = "5") -> Series:
    return series(layers.FILE_WRITTEN_BYTES, values, **COPY, pid=pid, door="read_write")


def phases(*parts: tuple[int, int]) -> str:
    """A counter's values, one a minute, of phases of (minutes, growth a minute)."""
    text, value = [], 0
    for minutes, growth in parts:
        text.append(f"{value}+{growth}x{minutes - 1}")
        value += growth * minutes
    return " ".join(text)


def alarm(name: str) -> Alarm:
    labels = {"process": "copier", "fd_type": "regular", "direction": "written"}
    return Alarm(name, "info", labels)


SPIKE, COLLAPSE = alarm("FdscopeIoSpike"), alarm("FdscopeIoCollapse")


def _flows() -> tuple[Scenario, ...]:
    def flow(about: str, alert: str, told: Series, *fires: Alarm, at: int = AT) -> Scenario:
        return Scenario(about, f"FdscopeIo{alert}", at, (told,), fires)

    steady = (AT - 20, A_LITTLE)
    return (
        flow("200 times as much", "Spike", copied(phases(steady, (21, A_LOT))), SPIKE),
        flow("idle before", "Spike", copied(phases((AT - 20, 0), (21, A_LOT))), SPIKE),
        flow(
            "as yesterday at this time",
            "Spike",
            copied(phases((180, A_LITTLE), (30, A_LOT), (DAY - 30, A_LITTLE), (21, A_LOT))),
        ),
        flow("for a moment", "Spike", copied(phases((AT - 4, A_LITTLE), (5, A_LOT)))),
        flow("small, if many times more", "Spike", copied(phases((AT - 20, 60), (21, A_LITTLE)))),
        flow("for hours by now", "Spike", copied(phases((AT - 180, A_LITTLE), (181, A_LOT)))),
        flow("a new host", "Spike", copied(phases((100, A_LITTLE), (21, A_LOT))), at=120),
        flow("a new program", "Spike", copied(f"_x{AT - 20} " + phases((21, A_LOT)))),
        flow(
            "it began anew, its counter too",
            "Spike",
            copied(f"{phases((AT - 20, A_LITTLE))} {phases((21, A_LITTLE))}"),
        ),
        flow(
            "to nothing, which never was so",
            "Collapse",
            copied(phases((AT - 20, A_LOT), (21, 0))),
            COLLAPSE,
        ),
        flow(
            "as yesterday at this time",
            "Collapse",
            copied(phases((150, A_LOT), (80, 0), (DAY - 50, A_LOT), (21, 0))),
        ),
        flow("half of it", "Collapse", copied(phases((AT - 20, A_LOT), (21, A_LOT // 2)))),
        flow("a new host", "Collapse", copied(phases((100, A_LOT), (21, 0))), at=120),
        Scenario(
            "its work is taken over by another process of the name",
            "FdscopeIoCollapse",
            AT,
            (
                copied(phases((AT - 20, A_LOT)) + " _x21"),
                copied(f"_x{AT - 21} " + phases((22, A_LOT)), pid="6"),
            ),
        ),
    )  # fmt: skip


def _errors() -> tuple[Scenario, ...]:
    def failing(about: str, errno: str, pace: int, *fires: Alarm, done: int = 300) -> Scenario:
        labels = COPY | {"pid": "5", "door": "read_write"}
        told = (
            series(layers.FILE_ERRORS, f"0+{pace}x30", **labels, errno=errno),
            series(layers.FILE_READS, f"0+{done}x30", **labels),
        )
        return Scenario(about, "FdscopeErrorRatioHigh", 25, told, fires)

    labels = {"process": "copier", "fd_type": "regular"}
    fires = Alarm("FdscopeErrorRatioHigh", "warning", labels)
    return (
        failing("half of all: no room on the device", "ENOSPC", 300, fires),
        failing("all", "EIO", 300, fires, done=0),
        failing("try again is no failure", "EAGAIN", 300),
        failing("the peer has gone", "ECONNRESET", 300),
        failing("one in twenty", "EIO", 15),
        failing("all, but seldom", "EIO", 1, done=0),
    )


SCENARIOS = (*_flows(), *_errors())
