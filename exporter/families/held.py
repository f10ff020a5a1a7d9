# SPDX-License-Identifier: GPL-2.0-only
"""Bytes in queues, deleted files and memory of open descriptors, as metric families."""

from collections import Counter
from collections.abc import Iterator, Mapping

from prometheus_client import Metric as Family

from fdscope.exporter.accounts.census import Taken
from fdscope.exporter.accounts.devices import block_device, device_number
from fdscope.exporter.accounts.processes import Owner
from fdscope.exporter.catalog import held as catalog
from fdscope.exporter.families.build import table
from fdscope.probes.read.census import EMPTY, NONE_DELETED, Deleted, Queue
from fdscope.probes.schema.snapshot import ProcessKey
from fdscope.probes.schema.taxonomy import FdType

_OTHER_DEVICES = "other"


def held_families(taken: Taken, owners: Mapping[ProcessKey, Owner]) -> Iterator[Family]:
    """What the descriptors of processes hold, by process, or by name where these are summed."""
    queues: dict[tuple[Owner, FdType], Queue] = {}
    deleted: dict[tuple[Owner, int], Deleted] = {}
    memory: Counter[Owner] = Counter()
    for key, found in taken.processes.items():
        if not found.total:
            continue
        owner = owners[key]
        for fd_type, queue in found.queues.items():
            queues[owner, fd_type] = queue.plus(queues.get((owner, fd_type), EMPTY))
        for device, files in found.deleted.items():
            deleted[owner, device] = files.plus(deleted.get((owner, device), NONE_DELETED))
        if found.memfd_bytes:
            memory[owner] += found.memfd_bytes
    rows = [((*owner[:3], of.label), queue) for (owner, of), queue in queues.items()]
    yield table(catalog.UNREAD, ((labels, q.unread) for labels, q in rows if q.unread))
    yield table(catalog.UNSENT, ((labels, q.unsent) for labels, q in rows if q.unsent))
    yield table(catalog.MOST_UNREAD, ((labels, q.most_unread) for labels, q in rows if q.unread))
    yield table(catalog.MOST_UNSENT, ((labels, q.most_unsent) for labels, q in rows if q.unsent))
    names = {device: _name(device) for _, device in deleted}
    files_of = [((*owner[:3], names[device]), n) for (owner, device), n in deleted.items()]
    yield table(catalog.DELETED_FDS, ((labels, n.files) for labels, n in files_of))
    yield table(catalog.DELETED_BYTES, ((labels, n.bytes) for labels, n in files_of))
    yield table(catalog.MEMFD_BYTES, ((owner[:3], n) for owner, n in memory.items()))


def _name(device: int) -> str:
    return (block_device(device) or device_number(device)) if device else _OTHER_DEVICES
