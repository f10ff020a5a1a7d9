# SPDX-License-Identifier: GPL-2.0-only
"""Every account has a metric, and every counter with an owner shows an account."""

import pytest

from fdscope.exporter.catalog import CATALOG
from fdscope.exporter.catalog.model import OWNER, Kind
from fdscope.exporter.catalog.slots import OF_FDS, OF_LAYERS, metrics_of
from fdscope.probes.schema.slots import code_of, slot
from fdscope.probes.schema.taxonomy import Account, FdType


@pytest.mark.parametrize("account", Account)
def test_each_account_has_a_metric(account: Account) -> None:
    try:
        metrics = metrics_of(slot(code_of(account, FdType.TCP, 0)))
    except KeyError:
        pytest.fail(f"add {account.name} to exporter/catalog/slots.py")
    assert any(metrics)


def test_each_counter_with_an_owner_shows_an_account() -> None:
    counters = {
        m.name for m in CATALOG if m.labels[: len(OWNER)] == OWNER and m.kind is Kind.COUNTER
    }
    shown = {metric.name for metric in (*OF_LAYERS, *OF_FDS)}
    assert counters == shown, "exporter/catalog/slots.py says which account a metric shows"
