# SPDX-License-Identifier: GPL-2.0-only
"""Scenarios within one machine: unix sockets, pipes, terminals, and what is no file."""

from tests.scorecard.model import OTHER_FAMILIES, Scenario

_BELOW_THE_TRANSPORT = (
    Scenario("ICMP (ping socket)", ("frames", "icmp", 200, "84"), scope="loopback"),
    Scenario("ICMP over IPv6 (ping socket)", ("frames", "icmp6", 200, "84"), scope="loopback"),
    Scenario("raw socket, ICMP", ("frames", "raw-icmp", 200, "84")),
    Scenario("raw socket, ICMP over IPv6", ("frames", "raw-icmp6", 200, "84")),
    Scenario("raw socket, a free protocol", ("frames", "raw", 200, "500")),
    Scenario("packet socket, frames", ("frames", "packet", 500, "700")),
    Scenario("packet socket, frames without link header", ("frames", "packet-dgram", 500, "700")),
    Scenario("packet socket, frames on a veth", ("frames", "packet", 500, "700", "{veth_link}")),
)

_UNIX = (
    Scenario("unix stream", ("stream", "unix_stream", "{scratch}/s", "both", 3_000_000, "8192"),
             scope="local"),
    Scenario("unix stream by read and write",
             ("stream", "unix_stream", "{scratch}/s", "both", 500_000, "1000", "-u", "write")),
    Scenario("unix datagrams", ("datagram", "unix_dgram", "{scratch}/d", 3000, "512"),
             scope="local"),
    Scenario("unix datagrams by sendmmsg and recvmmsg",
             ("datagram", "unix_dgram", "{scratch}/d", 800, "512", "-u", "sendmmsg")),
    Scenario("unix seqpacket", ("datagram", "unix_seqpacket", "{scratch}/q", 3000, "512"),
             scope="local"),
    Scenario("fd passed over unix stream", ("local", "pass-stream", 200_000)),
    Scenario("fd passed over unix datagram", ("local", "pass-dgram", 200_000)),
    Scenario("fd passed over unix seqpacket", ("local", "pass-seqpacket", 200_000)),
)  # fmt: skip

_PIPES = (
    Scenario("pipe", ("local", "pipe", 4_000_000)),
    Scenario("FIFO", ("local", "fifo", 1_000_000, "{scratch}/fifo")),
    Scenario("tty", ("local", "tty", 50_000)),
    Scenario("tty with echo", ("local", "tty-echo", 6000)),
)

_NO_FILES = (
    Scenario("eventfd", ("special", "eventfd", 1000)),
    Scenario("timerfd", ("special", "timerfd", 300)),
    Scenario("signalfd", ("special", "signalfd", 500)),
    Scenario("inotify", ("special", "inotify", 300, "{scratch}/watched")),
    Scenario("fanotify", ("special", "fanotify", 300, "{scratch}/marked")),
    Scenario("netlink", ("special", "netlink", 100)),
    Scenario("AF_ALG", ("special", "alg", 200), blind=(OTHER_FAMILIES,)),
    Scenario("memfd", ("special", "memfd", 500)),
    Scenario("character device", ("files", "character", 2_000_000, "/dev/zero")),
    Scenario("directory list", ("special", "directory", 100)),
    Scenario("POSIX message queue", ("special", "queue", 300)),
)

LOCAL: tuple[Scenario, ...] = (*_BELOW_THE_TRANSPORT, *_UNIX, *_PIPES, *_NO_FILES)
