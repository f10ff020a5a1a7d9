# SPDX-License-Identifier: GPL-2.0-only
"""Scenarios of the network: connections, messages, addresses, namespaces."""

from tests.scorecard.model import OTHER_FAMILIES, Scenario

SCTP, MPTCP = "132", "262"

_STREAMS = (
    Scenario("TCP up", ("stream", "tcp", "127.0.0.1", "up", 4_000_000, "16384"), scope="loopback"),
    Scenario("TCP down", ("stream", "tcp", "127.0.0.1", "down", 4_000_000, "16384")),
    Scenario("TCP both ways at once", ("stream", "tcp", "127.0.0.1", "both", 4_000_000, "16384")),
    Scenario("TCP by read and write", ("stream", "tcp", "127.0.0.1", "both", 900_000, "4096",
             "-u", "write")),
    Scenario("TCP by readv and writev", ("stream", "tcp", "127.0.0.1", "both", 900_000, "4096",
             "-u", "writev")),
    Scenario("TCP by sendmsg and recvmsg", ("stream", "tcp", "127.0.0.1", "both", 900_000, "4096",
             "-u", "sendmsg")),
    Scenario("TCP over IPv6", ("stream", "tcp", "::1", "both", 900_000, "4096"),
             scope="loopback"),
    Scenario("TCP flood of single bytes", ("stream", "tcp", "127.0.0.1", "up", 20_000, "1")),
    Scenario("TCP slow drip", ("stream", "tcp", "127.0.0.1", "up", 40, "1", "-d", "25")),
    Scenario("TCP many small connections", ("stream", "tcp", "127.0.0.1", "both", "37", "37",
             "-n", 400)),
    Scenario("TCP parallel bursts", ("stream", "tcp", "127.0.0.1", "both", 200_000, "4096",
             "-c", "8", "-n", "3")),
    Scenario("TCP across a veth into a network namespace",
             ("stream", "tcp", "{veth_address}", "both", 2_000_000, "16384", "-N", "{veth}"),
             scope="remote"),
    Scenario("TCP over IPv6 across a veth",
             ("stream", "tcp", "{veth_address6}", "both", 500_000, "16384", "-N", "{veth}"),
             scope="remote"),
    Scenario("MPTCP", ("stream", "tcp", "127.0.0.1", "both", 500_000, "4096", "-p", MPTCP)),
    Scenario("SCTP", ("stream", "sctp", "127.0.0.1", "both", 500_000, "1024", "-p", SCTP)),
    Scenario("SCTP over IPv6", ("stream", "sctp", "::1", "up", 100_000, "1024", "-p", SCTP)),
    Scenario("vsock", ("stream", "vsock", "vsock", "both", 500_000, "4096"),
             blind=(OTHER_FAMILIES,)),
)  # fmt: skip

_MESSAGES = (
    Scenario("UDP", ("datagram", "udp", "127.0.0.1", 3000, "512"), scope="loopback"),
    Scenario("UDP over IPv6", ("datagram", "udp", "::1", 3000, "512"), scope="loopback"),
    Scenario("UDP flood of single bytes", ("datagram", "udp", "127.0.0.1", 30_000, "1")),
    Scenario("UDP by read and write", ("datagram", "udp", "127.0.0.1", 1000, "512",
             "-u", "write")),
    Scenario("UDP by sendmmsg and recvmmsg", ("datagram", "udp", "127.0.0.1", 2000, "512",
             "-u", "sendmmsg")),
    Scenario("UDP read with MSG_TRUNC", ("datagram", "udp", "127.0.0.1", 500, "512", "-b", "100")),
    Scenario("UDP across a veth into a network namespace",
             ("datagram", "udp", "{veth_address}", 2000, "512", "-N", "{veth}"), scope="remote"),
)  # fmt: skip

NETWORK: tuple[Scenario, ...] = (*_STREAMS, *_MESSAGES)
