# SPDX-License-Identifier: GPL-2.0-only
"""Single events of processes that may have ended since."""

from fdscope.exporter.catalog import Metric, fds, health, layers
from tests.alerts.scenario import MINUTES_OF_A_DAY, Alarm, Scenario, Series, series, up

UNIT = "session-1.scope"
NC = {"process": "sh", "unit": UNIT, "fd_type": "tcp"}
SNIFFER = {"process": "snoop", "unit": UNIT, "fd_type": "packet"}
STEALER = {"process": "stealer", "unit": UNIT, "method": "pidfd_getfd"}
OLD = MINUTES_OF_A_DAY + 120


def _events(
    alert: str, severity: str, metric: Metric, labels: dict[str, str], detail: dict[str, str],
    friends: tuple[dict[str, str], ...],
) -> tuple[Scenario, ...]:  # fmt: skip
    """Scenarios for every counter of events."""
    fires = (Alarm(alert, severity, labels),)

    def event(about: str, *told: Series, fires: tuple[Alarm, ...] = ()) -> Scenario:
        return Scenario(about, alert, 40, told, fires)

    def count(values: str, **more: str) -> Series:
        return series(metric, values, **{**labels, **detail, **more})

    return (
        event("the first one, by a process that has ended", count("_x35 3x5", pid=""), fires=fires),
        event("one more than before", count("2x35 3x5", pid=""), fires=fires),
        event("by a process that lives", count("_x35 3x5", pid="77"), fires=fires),
        event("after a restart of the exporter", count("4x20 stale _x14 1x5", pid=""), fires=fires),
        event("long ago", count("_x10 3x30", pid="")),
        event("before Prometheus knew the exporter", count("3x40", pid="")),
        event(
            "the process ended: its count moves to the sum of the ended",
            count("2x34 stale", pid="77"),
            count("_x35 2x5", pid="", ended="100"),
        ),
        event(
            "one more ended: the sum of the ended begins a new series",
            count("1x34 stale", pid="78"),
            count("2x34 stale", pid="", ended="100"),
            count("_x35 3x5", pid="", ended="200"),
        ),
        *(event(f"by {friend}", count("_x35 3x5", pid="", **friend)) for friend in friends),
        Scenario("a new host", alert, 5, (count("3x5", pid=""),)),
        Scenario(
            "the exporter was away for a while",
            alert,
            40,
            (
                count("3x20 stale _x4 3x15", pid=""),
                series(health.LOST_UPDATES, "0x20 stale _x4 0x15", reason="counters_full"),
                up("1x20 0x4 1x15"),
                *_busy("0+60x20 stale _x4 0+60x15"),
            ),
            healthy=False,
        ),
    )


def _busy(values: str) -> tuple[Series, ...]:
    return tuple(
        series(metric, values, process="init", pid="1", fd_type="regular")
        for metric in (layers.FILE_READS, layers.FILE_WRITES)
    )


def _passed() -> tuple[Scenario, ...]:
    labels = {"process": "odd", "fd_type": "tcp", "direction": "received"}
    received = labels | {"pid": "", "unit": UNIT}
    alarm = Alarm("FdscopeFdPassedToStranger", "warning", labels)

    def passed(about: str, *told: Series, at: int = OLD, fires: tuple[Alarm, ...] = ()) -> Scenario:
        return Scenario(about, "FdscopeFdPassedToStranger", at, told, fires)

    first = f"_x{OLD - 5} 1x5"
    sent, bus = received | {"direction": "sent"}, received | {"process": "dbus-daemon"}
    return (
        passed("a first time", series(fds.FDS_PASSED, first, **received), fires=(alarm,)),
        passed("it does so every day", series(fds.FDS_PASSED, f"0+1x{OLD}", **received)),
        passed(
            "among processes of one name",
            series(fds.FDS_PASSED, first, **received),
            series(fds.FDS_PASSED, first, **sent),
        ),
        passed("sending is no receiving", series(fds.FDS_PASSED, first, **sent)),
        passed("to the bus", series(fds.FDS_PASSED, first, **bus)),
        passed("a new host", series(fds.FDS_PASSED, "_x55 1x5", **received), at=60),
    )  # fmt: skip


SCENARIOS = (
    *_events(
        "FdscopeShellStdioBecameSocket", "critical", fds.STDIO_SOCKET_EVENTS, NC, {"fd": "0"},
        ({"process": "webd"}, {"process": "socat"}, {"unit": "inetd.service"},
         {"fd_type": "unix_stream"}),
    ),
    *_events(
        "FdscopePacketSocketOpened", "warning", fds.FDS_OPENED, SNIFFER, {"birth": "socket"},
        ({"process": "tcpdump"}, {"process": "systemd-network"}, {"fd_type": "tcp"}),
    ),
    *_events(
        "FdscopeDebugAccess", "warning", fds.DEBUG_ACCESSES, STEALER, {},
        ({"process": "gdb"}, {"process": "strace"}),
    ),
    *_passed(),
)  # fmt: skip
