# SPDX-License-Identifier: GPL-2.0-only
"""Every account is counted in every attach mode."""

import pytest

from fdscope.probes.attach.source import BPF_DIR, PROGRAMS, joined
from fdscope.probes.hooks.syscalls import SYSCALLS
from fdscope.probes.schema.taxonomy import Account, Mode


@pytest.mark.parametrize("mode", Mode)
def test_each_account_is_counted(mode: Mode) -> None:
    text = joined(PROGRAMS[mode]) + (BPF_DIR / "core/fd_type.h").read_text()
    counted = {account for account in Account if f"ACCOUNT_{account.name}" in text}
    if mode is Mode.TRACEPOINT:
        counted |= {call.reads_as for call in SYSCALLS.values()}
    missing = {account.name for account in set(Account) - counted}
    assert not missing, f"count it in probes/bpf, or in probes/hooks/syscalls.py: {mode.value} mode"
