# SPDX-License-Identifier: GPL-2.0-only
"""The preflight of a mode agrees with the result of attaching."""

import subprocess
import sys
from pathlib import Path

import pytest

from fdscope.probes.attach import kprobe_events, preflight
from fdscope.probes.kernel.btf import Btf, BtfError
from fdscope.probes.read.session import Session
from fdscope.probes.schema.taxonomy import Mode
from tests.paths import ROOT


@pytest.fixture
def btf() -> Btf | None:
    try:
        return Btf.read()
    except BtfError:
        return None


def test_the_mode_in_use_is_not_refused(session: Session, btf: Btf | None) -> None:
    assert preflight.why_not(session.mode, btf) == ""


def test_what_was_refused_has_its_reason(session: Session, btf: Btf | None) -> None:
    for refused in session.report.refused:
        assert len(refused.why) > len("not possible"), refused
        assert preflight.why_not(Mode(refused.mode), btf) in ("", refused.why)


def test_fentry_needs_btf() -> None:
    assert "CONFIG_DEBUG_INFO_BTF" in preflight.why_not(Mode.FENTRY, None)


PARANOID = Path("/proc/sys/kernel/perf_event_paranoid")


@pytest.mark.skipif(int(PARANOID.read_text()) < 2, reason="here anybody may")
def test_kprobes_need_a_capability() -> None:
    code = "from fdscope.probes.attach import kprobe_events; print(kprobe_events.may_attach())"
    without = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-c", code]
    told = subprocess.run(without, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert (told, kprobe_events.may_attach()) == ("False\n", True)
