# SPDX-License-Identifier: GPL-2.0-only
"""The real command with a session and a collector that need no kernel.

``python -m tests.exporter.fake WISHES ARGUMENTS...``: it prints on standard output what is
done to them, and fails where the wishes say so.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import cast

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector as ClientCollector

from fdscope.exporter.accounts.losses import Losses
from fdscope.exporter.cli import main
from fdscope.exporter.collector import Collector
from fdscope.exporter.containers.reader import Reader
from fdscope.exporter.preconditions import RunError
from fdscope.exporter.run import Parts, run_exporter
from fdscope.exporter.settings.options import Options
from fdscope.probes.attach.report import HookStatus, Refused, Report, State
from fdscope.probes.attach.settings import Settings
from fdscope.probes.read.session import Session
from fdscope.probes.schema.taxonomy import Mode
from fdscope.probes.selftest.run import Row

HOOK = HookStatus("sys_exit", "file", "tracepoint", "", State.ATTACHED)
REPORT = Report(
    mode="tracepoint",
    refused=[Refused("fentry", "refused\nlong log")],
    hooks=[HOOK, replace(HOOK, function="vfs_x", state=State.FAILED, why="no such thing")],
)


def tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class FakeSession:
    mode = Mode.TRACEPOINT
    report = REPORT

    def close(self) -> None:
        tell("detached")


class FakeCollector(ClientCollector):
    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("fdscope_test", "Help.", 1)

    def ready(self) -> None:
        pass

    def attachments(self) -> Sequence[HookStatus]:
        return REPORT.hooks

    def losses(self) -> Losses:
        return Losses({}, {})

    selftest_rows: Sequence[Row] = ()

    def close(self) -> None:
        tell("collector closed")


def parts(wishes: str) -> Parts:
    def check() -> None:
        if "no-capability" in wishes:
            raise RunError("not root")

        if "contained" in wishes:
            raise RunError("in a container")

    def check_user(user: str) -> None:
        if "no-user" in wishes:
            raise RunError(f"cannot become {user}")

    def attach(
        modes: Sequence[Mode], settings: Settings, progress: Callable[[str], None]
    ) -> tuple[Session, list[Row]]:
        tell(f"attaching {','.join(mode.value for mode in modes)}, {settings}")
        progress("compiling")
        if "attach-fails" in wishes:
            raise RunError("no probe could be attached: why\nRun `fdscope doctor`")
        if "attach-hangs" in wishes:
            time.sleep(60)
        if "attach-slow" in wishes:
            time.sleep(1)
        if "tells-environment" in wishes:
            tell(f"environment: {sorted(os.environ)}")
        return cast(Session, FakeSession()), []

    def collector(
        _attached: tuple[Session, Sequence[Row]],
        _version: str,
        options: Options,
        _names: Reader | None,
    ) -> Collector:
        tell(f"collector of {options.max_series}")
        if "collector-fails" in wishes:
            raise RunError("the collector failed")
        return cast(Collector, FakeCollector())

    def drop_privileges(user: str) -> None:
        tell(f"privileges of {user!r}")

    return Parts(check, check_user, attach, drop_privileges, collector, lambda *_: None)


if __name__ == "__main__":
    run_exporter.__defaults__ = (parts(sys.argv.pop(1)),)
    sys.exit(main.main())
