# SPDX-License-Identifier: GPL-2.0-only
"""The content of the Debian package."""

from pathlib import Path

from fdscope.exporter.generate.example_config import example
from fdscope.exporter.settings import config
from fdscope.exporter.settings.options import OPTIONS
from tests.paths import DEPLOY


def test_the_configuration_file_is_that_of_the_option_table() -> None:
    written = (DEPLOY / "service/fdscope.toml").read_text()
    assert written == example(), (
        "run: python -m fdscope.exporter.generate.example_config > deploy/service/fdscope.toml"
    )


def test_its_lines_are_the_defaults(tmp_path: Path) -> None:
    without = config.load({}, {}, tmp_path / "none")
    lines = example().splitlines()
    assert config.load({"config.file": DEPLOY / "service/fdscope.toml"}, {}) == without
    enabled = [line[1:] if line[:1] == "#" and line[:2] != "# " else line for line in lines]
    file = tmp_path / "fdscope.toml"
    file.write_text("\n".join(enabled))
    assert config.load({"config.file": file}, {}) == without
    assert sum(line[:1] == "#" and line[:2] != "# " for line in lines) == len(OPTIONS)
