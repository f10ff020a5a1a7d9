# SPDX-License-Identifier: GPL-2.0-only
# ruff: noqa: T201 - it prints for a person
"""Where to look once ``make run`` has started all."""

import urllib.parse
from pathlib import Path

import grafana_server
from children import say

QUERIES = (
    "topk(10, sum by (process, fd_type) (rate(fdscope_file_read_bytes_total[1m])))",
    "topk(10, sum by (process, fd_type) (rate(fdscope_file_written_bytes_total[1m])))",
    "sum by (process, fd_type, scope) (rate(fdscope_socket_sent_bytes_total[1m]))",
)


def announce(
    data: Path, exporter: int, prometheus: int, alertmanager: int | None, grafana: int | None
) -> None:
    """Print where to look."""
    graph = f"http://127.0.0.1:{prometheus}/graph"
    link = urllib.parse.urlencode({"g0.expr": QUERIES[0], "g0.tab": 0, "g0.range_input": "15m"})
    say("look at it live (Prometheus scrapes it every 5 s); open")
    print(f"  live page   http://127.0.0.1:{exporter}/")
    if grafana is not None:
        print(f"  dashboards  http://127.0.0.1:{grafana}{grafana_server.HOME}")
    print(f"  metrics     http://127.0.0.1:{exporter}/metrics\n  Prometheus  {graph}")
    print(f"  alerts      http://127.0.0.1:{prometheus}/alerts")
    if alertmanager is not None:
        print(f"  and sent    http://127.0.0.1:{alertmanager}/ (Alertmanager)")
    print(f"  a graph     {graph}?{link}\nor paste there:")
    print(*(f"  {query}" for query in QUERIES), sep="\n")
    print(f"Data and logs: {data}. Ctrl-C ends all.", flush=True)
