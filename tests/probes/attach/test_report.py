# SPDX-License-Identifier: GPL-2.0-only
"""The report of the loader reaches its parent as it was."""

import json
from dataclasses import asdict

from fdscope.probes.attach.report import HookStatus, Refused, Report, State
from fdscope.probes.schema.taxonomy import Door, Layer, Mode

HOOK = HookStatus.of("do_splice", Layer.FILE, Mode.KPROBE, Door.SPLICE, State.FAILED, "refused")


def test_it_is_read_back() -> None:
    report = Report(
        mode="kprobe",
        hooks=(HOOK, HookStatus.of("task_rename", Layer.PROCESS, Mode.TRACEPOINT, None)),
        refused=(Refused("fentry", "no BTF"),),
        programs=["on_task_rename"],
        open_files=3,
    )
    again = Report.from_json(report.to_json())
    assert again == report
    assert [hook.is_attached for hook in again.hooks] == [False, True]


def test_the_keys_of_a_hook_are_those_of_the_commands() -> None:
    assert json.loads(json.dumps(asdict(HOOK))) == {
        "function": "do_splice",
        "layer": "file",
        "mode": "kprobe",
        "door": "splice",
        "state": "failed",
        "why": "refused",
    }
