# SPDX-License-Identifier: GPL-2.0-only
"""Open fds: leaks, limits, stdio, new fd types."""

from fdscope.exporter.catalog import fds, held, sockets
from tests.alerts.scenario import MINUTES_OF_A_DAY, Alarm, Scenario, Series, series

WEB = {"process": "webd", "pid": "7", "unit": "web.service"}
SHELL = {"process": "bash", "pid": "9", "unit": "session-1.scope"}


def web(count: str, limit: int, minutes: int) -> tuple[Series, Series]:
    return (
        series(fds.OPEN_FDS, count, **WEB, fd_type="tcp"),
        series(fds.MAX_FDS, f"{limit}x{minutes}", **WEB),
    )


LEAK = Alarm("FdscopeFdLeak", "warning", WEB)
NEAR = Alarm("FdscopeFdLimitNear", "critical", WEB)


def _leaks() -> tuple[Scenario, ...]:
    def leak(about: str, count: str, limit: int = 1024, *fires: Alarm) -> Scenario:
        return Scenario(about, "FdscopeFdLeak", 60, web(count, limit, 60), fires)

    return (
        leak("five more every minute", "100+5x60", 1024, LEAK),
        leak("far below a high limit", "100+3x60", 1_000_000),
        leak("more connections, then as many for good", "70x20 70+20x10 270x40"),
        leak("up and down with the load", "100 200 300 200 " * 16),
        leak("it grew, and gave all back", "100+10x40 500-20x20"),
        Scenario(
            "it started just now, and opened a lot",
            "FdscopeFdLeak",
            20,
            web("_x10 100+40x5 300x10", 1024, 20),
        ),
    )


def _limits() -> tuple[Scenario, ...]:
    worst = {"process": "webd"}

    def near(about: str, told: tuple[Series, ...], *fires: Alarm) -> Scenario:
        return Scenario(about, "FdscopeFdLimitNear", 15, told, fires)

    return (
        near("95 %", web("950x15", 1000, 15), NEAR),
        near("half", web("500x15", 1000, 15)),
        near("just for a moment", web("500x5 950x2 500x9", 1000, 15)),
        near("more than the limit: it was lowered afterwards", web("5x15", 4, 15)),
        near("a small limit, set on purpose", web("4x15", 4, 15)),
        near(
            "no series of its own",
            (series(fds.FD_LIMIT_RATIO, "0.97x15", **worst),),
            Alarm("FdscopeFdLimitNear", "critical", worst),
        ),
        near(
            "once, with a series of its own",
            (*web("950x15", 1000, 15), series(fds.FD_LIMIT_RATIO, "0.95x15", **worst)),
            NEAR,
        ),
        near(
            "50 workers, each with few",
            tuple(
                told
                for pid in range(50)
                for told in (
                    series(fds.OPEN_FDS, "100x15", **WEB | {"pid": str(pid)}, fd_type="tcp"),
                    series(fds.MAX_FDS, "1024x15", **WEB | {"pid": str(pid)}),
                )
            ),
        ),
    )


def _soon() -> tuple[Scenario, ...]:
    def soon(about: str, count: str, *fires: Alarm) -> Scenario:
        return Scenario(about, "FdscopeFdLimitSoon", 14, web(count, 1024, 20), fires)

    return (
        soon("one more every second", "100+60x20", Alarm("FdscopeFdLimitSoon", "critical", WEB)),
        soon("a pool that is full since three minutes", "100+60x11 760x9"),
        soon("one more every second, far from the limit", "_x8 100+60x12"),
    )


def _refused() -> tuple[Scenario, ...]:
    owner = {"process": "webd", "unit": "web.service"}

    def refused(about: str, told: tuple[Series, ...], *fires: Alarm) -> Scenario:
        return Scenario(about, "FdscopeFdRefused", 22, told, fires)

    def count(values: str, errno: str = "EMFILE", pid: str = "") -> Series:
        return series(
            fds.FD_REFUSALS, values, **owner, pid=pid, birth="accept", errno=errno
        )  # fmt: skip

    def alarm(errno: str) -> Alarm:
        return Alarm("FdscopeFdRefused", "critical", {**owner, "errno": errno})

    return (
        refused("the first one", (count("_x20 1x10"),), alarm("EMFILE")),
        refused("by the host", (count("3x20 4x10", "ENFILE"),), alarm("ENFILE")),
        refused("of a process that lives", (count("_x20 9x10", pid="7"),), alarm("EMFILE")),
        refused("no fd is open under the number", (count("0+9x30", "EBADF"),)),
        refused("ten minutes ago", (count("_x12 3x20"),)),
        refused("before this Prometheus", (count("3x30"),)),
        refused("a small limit, set on purpose", (count("_x20 1x10"), web("4x30", 4, 30)[1])),
    )


def _restarts() -> tuple[Scenario, ...]:
    owner = {"process": "webd", "unit": "web.service"}

    def lives(number: int, growth: int) -> tuple[Series, ...]:
        """Processes of ten minutes, one after the other."""
        told: list[Series] = []
        for n in range(number):
            before = f"_x{10 * n} " if n else ""
            own = {**owner, "pid": str(n)}
            end = "stale" if n < number - 1 else ""
            told += [
                series(
                    fds.OPEN_FDS, f"{before}40+{growth}x9 {end}", **own, fd_type="tcp"
                ),
                series(fds.MAX_FDS, f"{before}1024x9 {end}", **own),
            ]  # fmt: skip
        return tuple(told)

    refused = series(
        fds.FD_REFUSALS, "_x9 1x10 2x20", **owner, pid="", birth="open", errno="EMFILE"
    )
    alarm = Alarm("FdscopeFdLeakRestarts", "warning", owner)

    def restarts(about: str, told: tuple[Series, ...], *fires: Alarm) -> Scenario:
        return Scenario(about, "FdscopeFdLeakRestarts", 26, told, fires)

    return (
        restarts("for the third time", (*lives(3, 100), refused), alarm),
        restarts("for the first time", (*lives(1, 100), refused)),
        restarts("its processes end with many open, but none is refused", lives(3, 100)),
        restarts("its processes end with few open", (*lives(3, 10), refused)),
    )


def _sockets() -> tuple[Scenario, ...]:
    def stays(about: str, alert: str, state: str, count: str, fires: bool = False) -> Scenario:
        told = series(sockets.TCP_SOCKETS, count, **WEB, state=state)
        alarm = Alarm(alert, "warning", WEB | {"state": state})
        return Scenario(about, alert, 60, (told,), (alarm,) if fires else ())

    def queue(about: str, ratio: str, drops: str, fires: bool = False) -> Scenario:
        alert = "FdscopeListenQueueFull"
        told = (
            series(sockets.LISTEN_RATIO, ratio, **WEB),
            series(sockets.LISTEN_DROPS, drops, **WEB),
        )
        alarms = (Alarm(alert, "warning", WEB),) if fires else ()
        return Scenario(about, alert, 20, told, alarms)

    close_wait, syn_recv = "FdscopeCloseWaitStays", "FdscopeSynRecvStays"
    return (
        stays("more and more", close_wait, "close_wait", "0+1x60", fires=True),
        stays("a few, for good", close_wait, "close_wait", "6x60"),
        stays("many, then closed, again and again", close_wait, "close_wait", "40x9 0 " * 7),
        stays("many for ten minutes", close_wait, "close_wait", "_x50 40x20"),
        stays("many connections in use", close_wait, "established", "4000x60"),
        stays("a flood", syn_recv, "syn_recv", "0x40 900x20", fires=True),
        stays("a burst of clients", syn_recv, "syn_recv", "0x57 900 0x9"),
        queue("full for minutes", "0.1x10 1.1x10", "0x20", fires=True),
        queue("it drops, and is not full at the scrapes", "0.6x30", "0x10 0+3x20", fires=True),
        queue("full at one scrape", "0.1x17 1.1 0.1x9", "0x30"),
        queue("it dropped long ago", "0.6x30", "9x30"),
        queue("it drops with an empty queue: a filter", "0x30", "0+1x30"),
    )


def _held() -> tuple[Scenario, ...]:
    def deleted(about: str, values: str, fires: bool = False) -> Scenario:
        alert = "FdscopeDeletedFilesHold"
        told = (series(held.DELETED_BYTES, values, **WEB, device="vda1"),)
        alarm = Alarm(alert, "warning", WEB | {"device": "vda1"})
        return Scenario(about, alert, 90, told, (alarm,) if fires else ())

    return (
        deleted("a log that was rotated away", "_x20 2000000000x80", fires=True),
        deleted("it is written on", "2000000000+100000000x100", fires=True),
        deleted("small files", "10000000x100"),
        deleted("for some minutes", "_x60 2000000000x40"),
        deleted("temporary files that come and go", "2000000000x29 0 " * 4),
    )


def _host() -> tuple[Scenario, ...]:
    def files(about: str, used: str, *fires: Alarm) -> Scenario:
        told = series(fds.HOST_FILES, used), series(fds.HOST_MAX_FILES, "1000x15")
        return Scenario(about, "FdscopeHostFilesNearLimit", 15, told, fires)

    return (
        files("90 %", "900x15", Alarm("FdscopeHostFilesNearLimit", "critical", {})),
        files("70 %", "700x15"),
    )


def _stdio() -> tuple[Scenario, ...]:
    def stdio(about: str, fd_type: str, owner: dict[str, str], *fires: Alarm) -> Scenario:
        told = tuple(series(fds.STDIO_FDS, "1x5", **owner, fd=n, fd_type=fd_type) for n in "012")
        return Scenario(about, "FdscopeShellStdioIsSocket", 3, told, fires)

    alarm = Alarm("FdscopeShellStdioIsSocket", "critical", SHELL | {"fd_type": "tcp"})
    return (
        stdio("a shell on TCP", "tcp", SHELL, alarm),
        stdio("a shell at a terminal", "tty", SHELL),
        stdio("a shell whose output goes to the journal", "unix_stream", SHELL),
        stdio("no shell", "tcp", WEB),
        stdio("a script of inetd", "tcp", SHELL | {"unit": "inetd.service"}),
        stdio(
            "a script of socket activation",
            "tcp",
            SHELL | {"unit": "echo@3-127.0.0.1:7-127.0.0.1:51234.service"},
        ),
        stdio("a worker of PHP", "tcp", WEB | {"process": "php-fpm8.2"}),
    )


def _new_types() -> tuple[Scenario, ...]:
    old = MINUTES_OF_A_DAY + 240

    def used(about: str, told: tuple[Series, ...], *fires: Alarm, at: int = old) -> Scenario:
        return Scenario(about, "FdscopeNewFdType", at, told, fires)

    tcp = series(fds.FDS_OPENED, f"5x{old}", **WEB, fd_type="tcp", birth="socket")
    memfd = WEB | {"fd_type": "memfd", "birth": "open"}
    labels = {"process": "webd", "fd_type": "memfd"}
    return (
        used(
            "a memfd, after a day with TCP",
            (tcp, series(fds.FDS_OPENED, f"_x{old - 30} 1x30", **memfd)),
            Alarm("FdscopeNewFdType", "info", labels),
        ),
        used(
            "seen by the census only",
            (tcp, series(fds.OPEN_FDS, f"_x{old - 30} 1x30", **WEB, fd_type="memfd")),
            Alarm("FdscopeNewFdType", "info", labels),
        ),
        used("hours later", (tcp, series(fds.FDS_OPENED, f"_x{old - 180} 1x180", **memfd))),
        used(
            "it did so yesterday, and the exporter began anew",
            (tcp, series(fds.FDS_OPENED, f"_x100 1x60 _x{old - 190} 1x30", **memfd)),
        ),
        used("a new program", (series(fds.FDS_OPENED, f"_x{old - 30} 1x30", **memfd),)),
        used("a new host", (tcp, series(fds.FDS_OPENED, "_x30 1x30", **memfd)), at=60),
    )


SCENARIOS = (
    *_leaks(),
    *_limits(),
    *_soon(),
    *_refused(),
    *_restarts(),
    *_sockets(),
    *_held(),
    *_host(),
    *_stdio(),
    *_new_types(),
)
