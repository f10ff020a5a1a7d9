# SPDX-License-Identifier: GPL-2.0-only
"""The fd types that each process name used, and the alert on one that is new to it."""

from fdscope.dashboards.alerting.model import UNUSUAL, Alert, Record
from fdscope.dashboards.alerting.settings import Settings
from fdscope.dashboards.promql.selectors import differs, earlier, keep, select, unlike
from fdscope.exporter.catalog import fds

_KEPT = ("process", "fd_type")

# Fds that fork copies may be closed by the exec that gives the process its name.
USED = Record(
    "instance_process_fd_type:fdscope_fds:group",
    keep("group", fds.FDS_OPENED, _KEPT, select(fds.FDS_OPENED, birth=differs("fork")))
    + " or "
    + keep("group", fds.OPEN_FDS, _KEPT, select(fds.OPEN_FDS)),
    _KEPT,
)
KNOWN = Record(
    "instance_process:fdscope_fds:group",
    keep("group", USED, ("process",), select(USED)),
    ("process",),
)


def rules(settings: Settings) -> tuple[Record | Alert, ...]:
    """The record of used fd types, and the alert on new ones."""
    history = settings.history
    before = earlier(select(USED, history.length), history.recent)
    known = earlier(select(KNOWN, history.length), history.settle)
    alert = Alert(
        "FdscopeNewFdType",
        "info",
        f"""\
{select(USED, process=unlike(settings.allowed.new_fd_type))}
unless present_over_time({before})
and on (job, instance, process) present_over_time({known})""",
        "A program uses a kind of file descriptor that it never used before.",
        "{{ $labels.process }} on {{ $labels.instance }} has been known for more than"
        f" {history.settle} and used a {{{{ $labels.fd_type }}}} for the first time in the last"
        f" {history.recent}.",
        UNUSUAL,
        _KEPT,
    )
    return USED, KNOWN, alert
