# SPDX-License-Identifier: GPL-2.0-only
"""Alerts on TCP connections that stay in a state that should pass, and on full listen queues."""

from dataclasses import dataclass

from fdscope.dashboards.alerting.model import UNUSUAL, Alert
from fdscope.dashboards.alerting.settings import Settings, Staying
from fdscope.dashboards.promql.selectors import earlier, select
from fdscope.exporter.catalog import TcpState, sockets
from fdscope.exporter.catalog.model import OWNER

_OWNER = tuple(label.name for label in OWNER)
_WHO = (
    "{{ $labels.process }}{{ with $labels.pid }} (pid {{ . }}){{ end }} on {{ $labels.instance }}"
)


@dataclass(frozen=True, slots=True)
class _Stay:
    """A state that should pass, and what it means that it does not."""

    name: str
    state: TcpState
    summary: str
    description: str


_CLOSE_WAIT = _Stay(
    "FdscopeCloseWaitStays",
    TcpState.CLOSE_WAIT,
    "A program does not close connections that their peers have closed.",
    "TCP sockets in CLOSE_WAIT: the peers have closed, this program has not. Each holds an fd.",
)
_SYN_RECV = _Stay(
    "FdscopeSynRecvStays",
    TcpState.SYN_RECV,
    "Handshakes with a listening socket do not end.",
    "handshakes in SYN_RECV at its listening sockets: the answers of this host do not arrive, or"
    " nobody wants them (a SYN flood).",
)


def alerts(settings: Settings) -> tuple[Alert, ...]:
    """The alerts on TCP sockets."""
    return (
        _stays(_CLOSE_WAIT, settings.close_wait),
        _stays(_SYN_RECV, settings.syn_recv),
        _full(settings),
    )


def _stays(stay: _Stay, limits: Staying) -> Alert:
    state = {"state": stay.state.label}
    there = select(sockets.TCP_SOCKETS, limits.window, **state)
    before = earlier(select(sockets.TCP_SOCKETS, **state), limits.window)
    return Alert(
        stay.name,
        "warning",
        f"min_over_time({there}) >= {limits.min_sockets}\nand {before}",
        stay.summary,
        f"{_WHO} has had {{{{ $value }}}} or more for {limits.window} {stay.description}",
        UNUSUAL,
        sockets.TCP_SOCKETS.label_names,
    )


def _full(settings: Settings) -> Alert:
    queue = settings.listen_queue
    drops = f"delta({select(sockets.LISTEN_DROPS, queue.window)})"
    return Alert(
        "FdscopeListenQueueFull",
        "warning",
        f"""\
{sockets.LISTEN_RATIO.name} >= 1
or {sockets.LISTEN_RATIO.name} > {queue.ratio:g} and {drops} > 0""",
        "A listening socket drops connections: its queue is full.",
        f"{_WHO} accepts more slowly than clients connect: the fullest queue of its listening"
        " sockets is at {{ $value | humanizePercentage }} of its backlog. What comes beyond is"
        " dropped, and clients try again after seconds.",
        UNUSUAL,
        _OWNER,
        queue.hold,
    )
