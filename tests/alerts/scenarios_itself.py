# SPDX-License-Identifier: GPL-2.0-only
"""fdscope itself: down, silent, wrong, losing, falling back."""

from fdscope.exporter.catalog import fds, health, layers
from tests.alerts.scenario import Alarm, Scenario, Series, series, up

TCP = {"fd_type": "tcp", "direction": "received"}
CASE = {"door": "splice", "fd_type": "tcp", "direction": "read", "layer": "file"}
HOOK = {"layer": "socket", "function": "sock_send_length", "mode": "fentry"}


def warning(alert: str, **labels: str) -> Alarm:
    return Alarm(alert, "warning", labels)


def _alive() -> tuple[Scenario, ...]:
    down = Alarm("FdscopeExporterDown", "critical", {})
    silent = Alarm("FdscopeExporterSilent", "critical", {})

    def run(about: str, alert: str, *told: Series, fires: tuple[Alarm, ...] = ()) -> Scenario:
        return Scenario(about, alert, 60, told, fires, healthy=False)

    reads = {"process": "init", "pid": "1", "fd_type": "regular", "door": "read_write"}
    return (
        run("no answer", "FdscopeExporterDown", up("1x50 0x10"), fires=(down,)),
        run("one scrape failed", "FdscopeExporterDown", up("1x58 0 1x5"),
            series(layers.FILE_READS, "0+9x60", **reads)),
        run("its counters stand still", "FdscopeExporterSilent", up("1x60"),
            series(layers.FILE_READS, "0+9x20 180x40", **reads), fires=(silent,)),
        run("it has none", "FdscopeExporterSilent", up("1x60"), fires=(silent,)),
        run("only reads", "FdscopeExporterSilent", up("1x60"),
            series(layers.FILE_READS, "0+9x60", **reads)),
        run("it is down, which is another alert", "FdscopeExporterSilent", up("0x60"),
            fires=(down,)),
        run("it began anew", "FdscopeExporterSilent", up("1x60"),
            series(layers.FILE_READS, "0+9x50 0+9x10", **reads)),
    )  # fmt: skip


def _figures() -> tuple[Scenario, ...]:
    def told(alert: str, about: str, *told: Series, fires: bool, **labels: str) -> Scenario:
        name = f"Fdscope{alert}"
        return Scenario(about, name, 30, told, (warning(name, **labels),) if fires else ())

    big, small = f"0x20 0+{2**20}x10", "0x20 0+100x10"
    moved = series(layers.LEDGER_SOCKET_BYTES, f"0+{2**27}x30", **TCP)
    little = series(layers.LEDGER_SOCKET_BYTES, "0+1000x30", **TCP)
    observed = health.SELFTEST_OBSERVED_BYTES
    expected = series(health.SELFTEST_EXPECTED_BYTES, "303x30", **CASE)
    return (
        told("LedgerResidual", "a hundredth of all", moved,
             series(layers.LEDGER_RESIDUAL_BYTES, big, **TCP), fires=True, **TCP),
        told("LedgerResidual", "none", moved,
             series(layers.LEDGER_RESIDUAL_BYTES, "0x30", **TCP), fires=False),
        told("LedgerResidual", "a large share of little", little,
             series(layers.LEDGER_RESIDUAL_BYTES, small, **TCP), fires=False),
        told("LedgerResidual", "from before", moved,
             series(layers.LEDGER_RESIDUAL_BYTES, f"{2**30}x30", **TCP), fires=False),
        told("SelftestMismatch", "101 less", expected, series(observed, "202x30", **CASE),
             fires=True, **CASE),
        told("SelftestMismatch", "exact", expected, series(observed, "303x30", **CASE),
             fires=False),
        told("LostUpdates", "three", series(health.LOST_UPDATES, "0x20 3x10", reason="calls_full"),
             fires=True, reason="calls_full"),
        told("LostUpdates", "before this Prometheus",
             series(health.LOST_UPDATES, "3x30", reason="calls_full"), fires=False),
        told("ScrapeErrors", "one", series(health.SCRAPE_ERRORS, "0x20 1x10", part="maps"),
             fires=True, part="maps"),
        told("ScrapeErrors", "none", series(health.SCRAPE_ERRORS, "0x30", part="maps"),
             fires=False),
        *(
            told("MapNearlyFull", about,
                 series(health.MAP_ENTRIES, f"{used}x30", map="pending"),
                 series(health.MAP_CAPACITY, "100x30", map="pending"), fires=fires,
                 **({"map": "pending"} if fires else {}))
            for about, used, fires in (("95 %", 95, True), ("half", 50, False))
        ),
        told("CensusStale", "ten minutes old", series(fds.CENSUS_AGE_SECONDS, "0+60x30"),
             fires=True),
        told("CensusStale", "fresh", series(fds.CENSUS_AGE_SECONDS, "15x30"), fires=False),
    )  # fmt: skip


def _missed() -> tuple[Scenario, ...]:
    def missed(about: str, values: str, *fires: Alarm) -> Scenario:
        told = series(health.PROBE_MISSED_RUNS, values, program="on_sys_exit")
        return Scenario(about, "FdscopeMissedRuns", 30, (told,), fires)

    return (
        missed("one in twenty", "0+6x30", Alarm("FdscopeMissedRuns", "info", {})),
        missed("one in all", "0x20 1x10"),
        missed("none", "0x30"),
    )


def _probes() -> tuple[Scenario, ...]:
    alert = "FdscopeProbesFellBack"
    restart = series(health.LOST_UPDATES, "0x120", reason="counters_full")
    busy = series(layers.FILE_READS, "0+60x120", process="init", pid="1", fd_type="regular")

    every_mode = ("fentry", "kprobe", "tracepoint")
    usual = {"fentry": "1x120", "kprobe": "2x120", "tracepoint": "3x120"}
    preemptible = {"fentry": "2x120", "kprobe": "1x120", "tracepoint": "3x120"}
    upgrade = {"fentry": "1x60 2x60", "kprobe": "2x60 1x60", "tracepoint": "3x120"}
    downgrade = {"fentry": "2x60 1x60", "kprobe": "1x60 2x60", "tracepoint": "3x120"}

    def modes(about: str, ranks: dict[str, str], before: str, now: str, fires: bool) -> Scenario:
        used = {mode: f"{int(mode == before)}x60 {int(mode == now)}x60" for mode in every_mode}
        told = (
            *(series(health.ATTACH_MODE, text, mode=mode) for mode, text in used.items()),
            *(series(health.ATTACH_MODE_RANK, text, mode=mode) for mode, text in ranks.items()),
            *(restart, busy, up("1x120")),
        )
        alarms = (warning(alert, mode=now),) if fires else ()
        return Scenario(about, alert, 100, told, alarms, healthy=False)

    return (
        modes("from fentry to kprobe", usual, "fentry", "kprobe", fires=True),
        modes("from kprobe to tracepoint", usual, "kprobe", "tracepoint", fires=True),
        modes("from tracepoint to fentry", usual, "tracepoint", "fentry", fires=False),
        modes("tracepoint from the first", usual, "tracepoint", "tracepoint", fires=False),
        modes("from kprobe to fentry where tasks preempt the kernel", preemptible,
              "kprobe", "fentry", fires=True),
        modes("from fentry to tracepoint where tasks preempt the kernel", preemptible,
              "fentry", "tracepoint", fires=True),
        modes("from fentry to kprobe where tasks preempt the kernel", preemptible,
              "fentry", "kprobe", fires=False),
        modes("a new kernel that tasks preempt takes kprobe", upgrade,
              "fentry", "kprobe", fires=False),
        modes("a new kernel that tasks preempt has no kprobes", upgrade,
              "fentry", "fentry", fires=False),
        modes("a new kernel that tasks preempt has only tracepoints", upgrade,
              "fentry", "tracepoint", fires=True),
        modes("the kernel from before takes fentry again", downgrade,
              "kprobe", "fentry", fires=False),
        modes("the kernel from before takes neither", downgrade,
              "kprobe", "tracepoint", fires=True),
        Scenario("a hook that was attached", alert, 100,
                 (series(health.PROBE_ATTACHED, "1x60 0x60", **HOOK),), (warning(alert, **HOOK),)),
        Scenario("a hook that this kernel never had", alert, 100,
                 (series(health.PROBE_ATTACHED, "0x120", **HOOK),)),
        Scenario("all attached", alert, 100,
                 (series(health.PROBE_ATTACHED, "1x120", **HOOK),)),
    )  # fmt: skip


SCENARIOS = (*_alive(), *_figures(), *_missed(), *_probes())
