# SPDX-License-Identifier: GPL-2.0-only
"""What the sockets of processes hold at a census: connections by state, queues of listeners."""

from fdscope.exporter.catalog.model import OWNER, Kind, Label, Metric
from fdscope.probes.schema.taxonomy import TcpState

STATE = Label("state", "of the TCP connection", tuple(m.label for m in TcpState), ambiguous=True)

TCP_SOCKETS = Metric(
    "fdscope_tcp_sockets",
    Kind.GAUGE,
    "Fds of TCP sockets by state at the last census. syn_recv has the handshakes of listening"
    " sockets, which have no fd yet; time_wait has none either.",
    (*OWNER, STATE),
)
LISTEN_WAITING = Metric(
    "fdscope_listen_waiting_connections",
    Kind.GAUGE,
    "Connections that wait for accept at the listening TCP sockets.",
    OWNER,
)
LISTEN_RATIO = Metric(
    "fdscope_listen_queue_ratio",
    Kind.GAUGE,
    "Connections that wait for accept divided by the backlog, of the listening TCP socket with the"
    " fullest queue; at 1 and above new connections are dropped.",
    OWNER,
)
LISTEN_DROPS = Metric(
    "fdscope_listen_drops",
    Kind.GAUGE,
    "Connections and handshakes that the listening TCP sockets have dropped since they were made,"
    " mostly because a queue was full.",
    OWNER,
)
