# SPDX-License-Identifier: GPL-2.0-only
"""What the Debian package is made of."""

from pathlib import Path

from exporter import config
from exporter.example import example
from exporter.options import OPTIONS

DEPLOY = Path(__file__).parents[2] / "deploy"


def test_the_configuration_file_is_that_of_the_option_table() -> None:
    written = (DEPLOY / "fdscope.toml").read_text()
    assert written == example(), "run: python -m exporter.example > deploy/fdscope.toml"


def test_its_lines_are_the_defaults(tmp_path: Path) -> None:
    without = config.load({}, {}, tmp_path / "none")
    lines = example().splitlines()
    assert config.load({"config.file": DEPLOY / "fdscope.toml"}, {}) == without
    enabled = [line[1:] if line[:1] == "#" and line[:2] != "# " else line for line in lines]
    file = tmp_path / "fdscope.toml"
    file.write_text("\n".join(enabled))
    assert config.load({"config.file": file}, {}) == without
    assert sum(line[:1] == "#" and line[:2] != "# " for line in lines) == len(OPTIONS)
