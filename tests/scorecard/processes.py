# SPDX-License-Identifier: GPL-2.0-only
"""Scenarios of attribution: processes that start and end, threads, containers, 32-bit programs."""

from tests.scorecard.model import COPY_FILE_RANGE, Scenario

PROCESSES: tuple[Scenario, ...] = (
    Scenario("short-lived processes", ("processes", "short-lived", 600)),
    Scenario("fork in the middle", ("processes", "fork", 300)),
    Scenario("exec in the middle", ("processes", "exec", 300)),
    Scenario("threads with different names", ("processes", "threads", 500)),
    Scenario("fd closed while another thread waits on it", ("processes", "close-in-use", 60)),
    Scenario("container (pid, mount, network, user namespaces)", ("processes", "container", 200)),
    Scenario(
        "32-bit program, files",
        ("program_i386", "files", 200, "{tmpfs}"),
        blind=(COPY_FILE_RANGE,),
    ),
    Scenario("32-bit program, sockets", ("program_i386", "sockets", 200, "-")),
    Scenario("32-bit program, socketcall", ("program_i386", "old", 200, "-")),
)
