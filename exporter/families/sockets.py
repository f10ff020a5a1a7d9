# SPDX-License-Identifier: GPL-2.0-only
"""TCP sockets by state, and queues of listening sockets, as metric families."""

from collections import Counter
from collections.abc import Iterator, Mapping

from prometheus_client import Metric as Family

from fdscope.exporter.accounts.census import Taken
from fdscope.exporter.accounts.processes import Owner
from fdscope.exporter.catalog import sockets as catalog
from fdscope.exporter.families.build import table
from fdscope.probes.schema.snapshot import ProcessKey
from fdscope.probes.schema.taxonomy import TcpState


def socket_families(taken: Taken, owners: Mapping[ProcessKey, Owner]) -> Iterator[Family]:
    """What the sockets of processes hold, by process, and by name where processes are summed."""
    states: Counter[tuple[Owner, TcpState]] = Counter()
    waiting: Counter[Owner] = Counter()
    drops: Counter[Owner] = Counter()
    ratios: dict[Owner, float] = {}
    for key, found in taken.processes.items():
        if not found.total:
            continue
        owner = owners[key]
        for state, count in found.tcp.items():
            states[owner, state] += count
        if listening := found.listening:
            waiting[owner] += listening.waiting
            drops[owner] += listening.drops
            ratios[owner] = max(listening.fullest, ratios.get(owner, 0.0))
    yield table(catalog.TCP_SOCKETS, (((*o[:3], s.label), n) for (o, s), n in states.items()))
    yield table(catalog.LISTEN_WAITING, ((o[:3], n) for o, n in waiting.items()))
    yield table(catalog.LISTEN_RATIO, ((o[:3], ratio) for o, ratio in ratios.items()))
    yield table(catalog.LISTEN_DROPS, ((o[:3], n) for o, n in drops.items()))
