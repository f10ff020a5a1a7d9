# SPDX-License-Identifier: GPL-2.0-only
"""The option table: its help, and the check of each value."""

import argparse
from pathlib import Path

import pytest

from fdscope.exporter.settings import addresses, config, options
from fdscope.exporter.settings.options import Options
from fdscope.exporter.settings.strict import ConfigError


def load_flag(flag: str) -> Options:
    """Options as the command gets them from this one flag."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    config.add_arguments(parser)
    return config.load(vars(parser.parse_args([flag])), {}, Path("/nonexistent"))


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--web.listen-address=20253", "is not HOST:PORT"),
        ("--web.listen-address=http://localhost:1", "is not HOST:PORT"),
        ("--web.listen-address=a b:1", "is not HOST:PORT"),
        ("--web.listen-address=localhost:", "no port from 0 to 65535"),
        ("--web.listen-address=localhost:65536", "no port from 0 to 65535"),
        ("--web.listen-address=localhost:http", "no port from 0 to 65535"),
        ("--web.listen-address=localhost:٣", "no port from 0 to 65535"),
        ("--web.listen-address=::1:9100", "stands in brackets"),
        ("--web.listen-address=[::1:9100", "stands in brackets"),
        ("--web.listen-address=[localhost]:9100", "localhost"),
        ("--web.telemetry-path=metrics", "does not start with /"),
        ("--web.telemetry-path=", "does not start with /"),
        ("--web.telemetry-path=/", "another page"),
        ("--web.telemetry-path=/-/ready", "another page"),
        ("--web.telemetry-path=/a?b", "not a plain path"),
        ("--web.telemetry-path=/a/../b", "not a plain path"),
        ("--web.telemetry-path=//a", "not a plain path"),
        ("--log.level=loud", "not one of debug, info, warning, error"),
        ("--probe.counter-entries=0", "0 is not from 256 to"),
        ("--probe.counter-entries=many", "must be a whole number, not 'many'"),
        ("--process.max-series=-1", "-1 is not from 0 to"),
        ("--selftest.interval=5", "5 is not from 60 to"),
        ("--process.max-series=9999999999999999999999", "must be a whole number"),
    ],
)
def test_mistakes_in_flags(flag: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_flag(flag)
    assert str(caught.value).startswith(flag.partition("=")[0])


def test_table_is_complete_and_told_in_the_help() -> None:
    parser = argparse.ArgumentParser()
    config.add_arguments(parser)
    text = parser.format_help()
    assert [option.field for option in options.OPTIONS] == list(Options.__dataclass_fields__)
    for option in options.OPTIONS:
        assert f"--{option.flag}" in text
    assert "clock read" in text
    assert "FDSCOPE_ATTACH_MODE" in text


@pytest.mark.parametrize("text", ["127.0.0.1:20253", "[::1]:20253", ":20253", "[fe80::1%lo]:1"])
def test_addresses_read_as_they_are_written(text: str) -> None:
    assert str(addresses.address(text)) == text
