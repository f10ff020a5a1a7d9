# SPDX-License-Identifier: GPL-2.0-only
"""The names of units as metric families."""

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import Metric as Family

from fdscope.exporter.accounts.unit_names import UnitInfo
from fdscope.exporter.catalog import units as catalog
from fdscope.exporter.families.build import gauge


def unit_families(
    infos: Iterable[UnitInfo], left_out: int, lookups: Mapping[str, int] | None
) -> Iterator[Family]:
    """Names of units, how many units have none for lack of room, and the lookups, if any."""
    yield gauge(catalog.UNIT_INFO, ((info, 1) for info in infos))
    yield gauge(catalog.UNITS_WITHOUT_INFO, [((), left_out)])
    if lookups is not None:
        results = catalog.CONTAINER_LOOKUPS.labels[0].values
        yield gauge(
            catalog.CONTAINER_LOOKUPS, (((result,), lookups.get(result, 0)) for result in results)
        )
