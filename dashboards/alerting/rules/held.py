# SPDX-License-Identifier: GPL-2.0-only
"""Alerts on what open descriptors hold."""

from fdscope.dashboards.alerting.model import UNUSUAL, Alert
from fdscope.dashboards.alerting.settings import Settings
from fdscope.dashboards.promql.selectors import earlier, select
from fdscope.exporter.catalog import held


def alerts(settings: Settings) -> tuple[Alert, ...]:
    """The alerts on deleted files."""
    limits = settings.deleted_files
    there = select(held.DELETED_BYTES, limits.window)
    before = earlier(select(held.DELETED_BYTES), limits.window)
    return (
        Alert(
            "FdscopeDeletedFilesHold",
            "warning",
            f"min_over_time({there}) >= {limits.min_bytes}\nand {before}",
            "A program holds the space of files that were deleted.",
            "{{ $labels.process }}{{ with $labels.pid }} (pid {{ . }}){{ end }} on"
            f" {{{{ $labels.instance }}}} has held for {limits.window} at least"
            " {{ $value | humanize1024 }}B on {{ $labels.device }} in open files without a name:"
            " the space is free when it closes them.",
            UNUSUAL,
            held.DELETED_BYTES.label_names,
        ),
    )
