# SPDX-License-Identifier: GPL-2.0-only
# ruff: noqa: T201 - it prints for a person
"""The addresses that ``make run`` prints."""

import os
import sys
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
    """Print some queries, then the addresses to open, the live page first."""
    graph = f"http://127.0.0.1:{prometheus}/graph"
    link = urllib.parse.urlencode({"g0.expr": QUERIES[0], "g0.tab": 0, "g0.range_input": "15m"})
    say("all programs run; Prometheus scrapes every 5 s. Queries for it:")
    print(*(f"  {query}" for query in QUERIES), sep="\n")
    print(f"The first as a graph: {graph}?{link}\nData and logs: {data}")
    print("Every user of this machine can open the page, with its last hour (--web.details).\n")
    addresses = {
        "live page": f"http://127.0.0.1:{exporter}/",
        "metrics": f"http://127.0.0.1:{exporter}/metrics",
    }
    if grafana is not None:
        addresses["dashboards"] = f"http://127.0.0.1:{grafana}{grafana_server.HOME}"
    addresses |= {"Prometheus": graph, "alerts": f"http://127.0.0.1:{prometheus}/alerts"}
    if alertmanager is not None:
        addresses["sent alerts"] = f"http://127.0.0.1:{alertmanager}/"
    for name, address in addresses.items():
        print(_bold(f"  {name:<11} {address}"))
    print("\nCtrl-C ends all.", flush=True)


def _bold(text: str) -> str:
    """The text in bold on a terminal, unchanged elsewhere."""
    is_plain = not sys.stdout.isatty() or os.environ.get("TERM", "dumb") == "dumb"
    return text if is_plain else f"\x1b[1m{text}\x1b[0m"
