# SPDX-License-Identifier: GPL-2.0-only
"""Call chains: cut to the functions between door and socket layer, and bounded."""

from pathlib import Path

import pytest

from fdscope.exporter.accounts.stacks import OTHER, BoundedChains, Chain, rows, text
from fdscope.probes.kernel.kallsyms import Symbols
from fdscope.probes.read.stacks import UNKNOWN_PATH, path
from fdscope.probes.schema.taxonomy import Account, FdType

SEND = Account.SOCKET_SEND


@pytest.mark.parametrize(
    ("stack", "cut"),
    [
        (
            ["", "bpf_trace_run3", "__traceiter_sock_send_length", "sock_write_iter", "vfs_write",
             "ksys_write", "__x64_sys_write", "x64_sys_call", "do_syscall_64", "entry_SYSCALL_64"],
            "ksys_write > vfs_write > sock_write_iter",
        ),
        (["bpf_trampoline_64", "inet_recvmsg", "sock_recvmsg", "", "ret_from_fork"],
         "? > sock_recvmsg > inet_recvmsg"),
        (["bpf_trace_run3", "call_trace_sock_send_length.constprop.0", "sock_write_iter",
          "vfs_write", "bpf_trampoline_64", "ksys_write", "bpf_trampoline_65", "__x64_sys_write"],
         "ksys_write > vfs_write > sock_write_iter"),
        (["bpf_trace_run3", "do_syscall_64"], UNKNOWN_PATH),
        (["", "", ""], "? > ? > ?"),
        ([], UNKNOWN_PATH),
    ],
)  # fmt: skip
def test_path(stack: list[str], cut: str) -> None:
    assert path(stack) == cut


def test_nearest_symbol(tmp_path: Path) -> None:
    file = tmp_path / "kallsyms"
    file.write_text(
        "0000000000001000 T first\n0000000000003000 t third.isra.0\n"
        "0000000000002000 t second\t[module]\n"
    )
    symbols = Symbols(file)
    found = symbols.names([0x1000, 0x2FFF, 0x3001, 0xFFF])
    assert found == {0x1000: "first", 0x2FFF: "second", 0x3001: "third", 0xFFF: ""}
    symbols.close()


def test_hidden_symbols(tmp_path: Path) -> None:
    """Without the right to see them, the kernel shows all addresses as 0."""
    file = tmp_path / "kallsyms"
    file.write_text("0000000000000000 T first\n0000000000000000 T second\n")
    symbols = Symbols(file)
    assert symbols.names([0x1000]) == {0x1000: ""}
    symbols.close()


def test_series_are_bounded_and_never_go_down() -> None:
    bounded = BoundedChains(limit=2)
    first = {(FdType.TCP, SEND, f"chain{n}"): n for n in (1, 2, 3)}
    assert bounded.update(first) == {
        Chain(FdType.TCP, "sent", "chain3"): 3,
        Chain(FdType.TCP, "sent", "chain2"): 2,
        Chain(FdType.TCP, "sent", OTHER): 1,
    }
    second = first | {(FdType.TCP, SEND, "chain1"): 100, (FdType.TCP, SEND, "chain4"): 5}
    assert bounded.update(second) == {
        Chain(FdType.TCP, "sent", "chain3"): 3,
        Chain(FdType.TCP, "sent", "chain2"): 2,
        Chain(FdType.TCP, "sent", OTHER): 105,
    }


def test_text_and_json() -> None:
    samples = {
        (FdType.TCP, SEND, "ksys_write > vfs_write"): 7,
        (FdType.TCP, SEND, "__sys_sendto"): 9,
        (FdType.TCP, Account.SOCKET_PEEK, "__sys_recvfrom"): 1,
    }
    shown = " ".join(text(samples).split())
    assert shown == "tcp, sent 9 __sys_sendto 7 ksys_write > vfs_write"
    assert rows(samples)[1] == {
        "fd_type": "tcp", "direction": "sent", "path": ["ksys_write", "vfs_write"], "samples": 7,
    }  # fmt: skip
