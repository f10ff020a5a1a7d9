# SPDX-License-Identifier: GPL-2.0-only
"""Options: defaults, the order of sources, and the message for each mistake."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pytest

from fdscope.exporter.settings import config
from fdscope.exporter.settings.addresses import Address, UnixAddress
from fdscope.exporter.settings.options import Options
from fdscope.exporter.settings.strict import ConfigError
from fdscope.probes.attach import cache
from fdscope.probes.kernel.preemption import best_first
from fdscope.probes.schema.taxonomy import Mode


def load(
    flags: Sequence[str] = (), toml: str | bytes | None = None, where: Path | None = None,
    **environment: str,
) -> Options:  # fmt: skip
    """Options as the command gets them; ``toml`` becomes the default file in ``where``."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    config.add_arguments(parser)
    file = (where or Path("/nonexistent")) / "fdscope.toml"
    if toml is not None:
        file.write_bytes(toml.encode() if isinstance(toml, str) else toml)
    return config.load(vars(parser.parse_args(flags)), environment, file)


def test_defaults() -> None:
    assert load() == Options(
        listen_addresses=(Address("127.0.0.1", 20253),),
        systemd_socket=False,
        unix_socket_mode=0o660,
        unix_socket_group=None,
        telemetry_path="/metrics",
        web_config_file=None,
        details=False,
        history_megabytes=64,
        log_level="info",
        log_format="auto",
        modes=best_first(),
        latency=False,
        stacks=False,
        stacks_every=100,
        counter_entries=32768,
        process_entries=16384,
        cache=str(cache.directory() or ""),
        control_socket="auto",
        control_group=None,
        exclude_self=False,
        nice=-10,
        privileges_user="",
        max_series=1000,
        budget=20_000,
        read_state=False,
        selftest_interval=0,
        journal=True,
        journal_file=None,
        journal_file_bytes=16 << 20,
        journal_files=4,
        journal_stdout=False,
        journal_journald=False,
        journal_state=None,
        journal_learn_hours=168,
        journal_unit_limit=120,
        journal_runbooks="file:///usr/share/doc/fdscope/runbooks",
    )


def test_every_option_can_be_a_flag() -> None:
    options = load(
        [
            "--web.listen-address=[::1]:1", "--web.listen-address=:0",
            "--web.listen-address=:0", "--web.listen-address=unix:/run/x//m.sock",
            "--web.systemd-socket", "--web.unix-socket-mode=600", "--web.unix-socket-group=root",
            "--web.telemetry-path=/a/b.c",
            "--web.config.file=web.yml", "--log.level=debug", "--log.format=json",
            "--probe.mode=kprobe", "--probe.latency", "--probe.stacks", "--probe.stacks-every=7",
            "--probe.counter-entries=512", "--probe.process-entries=256", "--probe.cache=off",
            "--exclude-self", "--control.socket=/run/x//c.sock", "--control.group=root",
            "--process.max-series=0", "--metrics.max-series=5000", "--privileges.user=nobody",
            "--scheduling.nice=-1",
            "--web.details", "--web.history=5",
            "--units.read-state", "--selftest.interval=3600",
            "--no-journal.enabled", "--journal.file=/run/x/events", "--journal.file-size=1",
            "--journal.files=0", "--journal.stdout", "--journal.journald=on",
            "--journal.state=/run/x", "--journal.learn-hours=0",
            "--journal.unit-limit=7", "--journal.runbooks=https://example.org/runbooks/",
        ]
    )  # fmt: skip
    assert options == Options(
        listen_addresses=(Address("::1", 1), Address("", 0), UnixAddress("/run/x/m.sock")),
        systemd_socket=True,
        unix_socket_mode=0o600,
        unix_socket_group=0,
        telemetry_path="/a/b.c",
        web_config_file=Path("web.yml"),
        details=True,
        history_megabytes=5,
        log_level="debug",
        log_format="json",
        modes=(Mode.KPROBE,),
        latency=True,
        stacks=True,
        stacks_every=7,
        counter_entries=512,
        process_entries=256,
        cache="",
        control_socket="/run/x/c.sock",
        control_group=0,
        exclude_self=True,
        nice=-1,
        privileges_user="nobody",
        max_series=0,
        budget=5000,
        read_state=True,
        selftest_interval=3600,
        journal=False,
        journal_file=Path("/run/x/events"),
        journal_file_bytes=1 << 20,
        journal_files=0,
        journal_stdout=True,
        journal_journald=True,
        journal_state=Path("/run/x"),
        journal_learn_hours=0,
        journal_unit_limit=7,
        journal_runbooks="https://example.org/runbooks",
    )


def test_every_option_can_stand_in_the_file(tmp_path: Path) -> None:
    text = """
        exclude-self = true
        web.listen-address = ["localhost:9100"]
        web.systemd-socket = true
        web.unix-socket-mode = "0666"
        web.unix-socket-group = "7"
        web.telemetry-path = "/m"
        web.config.file = "/etc/web.yml"
        web.details = true
        web.history = 0
        log.level = "error"
        log.format = "systemd"
        privileges.user = "nobody"
        scheduling.nice = -1
        [probe]
        mode = "fentry"
        latency = true
        stacks = true
        stacks-every = 7
        counter-entries = 1024
        process-entries = 2048
        cache = "/var/cache/other"
        [control]
        socket = "off"
        group = "7"
        [process]
        max-series = 7
        [units]
        read-state = true
        [selftest]
        interval = 60
        [journal]
        enabled = false
        file = "/run/x/events"
        file-size = 1
        files = 0
        stdout = true
        journald = "on"
        state = "/run/x"
        learn-hours = 0
        unit-limit = 7
        runbooks = "https://example.org/runbooks"
    """
    assert load(toml=text, where=tmp_path) == Options(
        listen_addresses=(Address("localhost", 9100),),
        systemd_socket=True,
        unix_socket_mode=0o666,
        unix_socket_group=7,
        telemetry_path="/m",
        web_config_file=Path("/etc/web.yml"),
        details=True,
        history_megabytes=0,
        log_level="error",
        log_format="systemd",
        modes=(Mode.FENTRY,),
        latency=True,
        stacks=True,
        stacks_every=7,
        counter_entries=1024,
        process_entries=2048,
        cache="/var/cache/other",
        control_socket="",
        control_group=7,
        exclude_self=True,
        nice=-1,
        privileges_user="nobody",
        max_series=7,
        budget=20_000,
        read_state=True,
        selftest_interval=60,
        journal=False,
        journal_file=Path("/run/x/events"),
        journal_file_bytes=1 << 20,
        journal_files=0,
        journal_stdout=True,
        journal_journald=True,
        journal_state=Path("/run/x"),
        journal_learn_hours=0,
        journal_unit_limit=7,
        journal_runbooks="https://example.org/runbooks",
    )


def test_flag_wins_over_file_over_environment(tmp_path: Path) -> None:
    file = '[probe]\nmode = "kprobe"'
    assert load(FDSCOPE_ATTACH_MODE="fentry").modes == (Mode.FENTRY,)
    assert load(FDSCOPE_ATTACH_MODE="").modes == best_first()
    assert load(toml=file, where=tmp_path, FDSCOPE_ATTACH_MODE="fentry").modes == (Mode.KPROBE,)
    assert load(["--probe.mode=tracepoint"], file, tmp_path).modes == (Mode.TRACEPOINT,)


def test_a_flag_can_turn_off_what_the_file_turns_on(tmp_path: Path) -> None:
    assert not load(["--no-exclude-self"], "exclude-self = true", tmp_path).exclude_self


def test_named_file_is_read_instead_of_the_default(tmp_path: Path) -> None:
    named = tmp_path / "other.toml"
    named.write_text("[process]\nmax-series = 5")
    options = load([f"--config.file={named}"], "exclude-self = true", tmp_path)
    assert (options.max_series, options.exclude_self) == (5, False)


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("[web\n", "line 1"),
        ("\na = = 2", "line 2, column 5"),
        (b"exclude-self = \xff", "not UTF-8 text: byte 15"),
        ("[web]\nlisten_address = []", r"unknown key web\.listen_address; did you mean web\.l"),
        ("[probe]\nmod = 'auto'", r"did you mean probe\.mode\?"),
        ("zzz = 1", r"unknown key zzz; known: web\.listen-address"),
        ("[wbe]", r"unknown key wbe"),
        ("web = 3", r"unknown key web"),
        ("[exclude-self]", r"exclude-self must be true or false, not \{\}"),
        ("[web]\nlisten-address = ':1'", "must be a list of strings, not ':1'"),
        ("[web]\nlisten-address = [1]", "must be a list of strings"),
        ("[web]\nlisten-address = []", "at least one address"),
        ("[process]\nmax-series = true", "must be a whole number, not True"),
        ("[process]\nmax-series = 1.5", "must be a whole number"),
        ("[probe]\nlatency = 1", "must be true or false"),
        ("[probe]\nmode = 'ebpf'", r"probe\.mode: 'ebpf' is not one of auto, fentry, kprobe"),
    ],
)
def test_mistakes_in_the_file(tmp_path: Path, toml: str | bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load(toml=toml, where=tmp_path)
    assert str(tmp_path / "fdscope.toml") in str(caught.value)


def test_empty_tables_that_are_known_change_nothing(tmp_path: Path) -> None:
    assert load(toml="[web]\n[probe]", where=tmp_path) == load()


def test_mistake_in_the_environment() -> None:
    with pytest.raises(ConfigError, match=r"^FDSCOPE_ATTACH_MODE: 'x' is not one of"):
        load(FDSCOPE_ATTACH_MODE="x")


def test_named_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*gone: No such file"):
        load([f"--config.file={tmp_path / 'gone'}"])


def test_default_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "fdscope.toml").mkdir()
    with pytest.raises(ConfigError, match=r"cannot read .*Is a directory"):
        load(where=tmp_path)
