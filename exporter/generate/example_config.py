# SPDX-License-Identifier: GPL-2.0-only
"""Writes a configuration file with every option at its default.

``python -m fdscope.exporter.generate.example_config``
"""

import json
import sys
import textwrap
from itertools import groupby

from fdscope.exporter.settings.options import OPTIONS, Option

HEAD = """\
# Options of `fdscope exporter`; each line shows the default. Remove the # to change one, then:
#   systemctl restart fdscope
"""


def example() -> str:
    """The text of the file: TOML in which everything but the tables is a comment."""
    tables = sorted(OPTIONS, key=_table)
    parts = [HEAD]
    for table, options in groupby(tables, key=_table):
        if table:
            parts.append(f"[{table}]\n")
        parts += map(_lines, options)
    return "\n".join(parts)


def _table(option: Option) -> str:
    return option.flag.rpartition(".")[0]


def _lines(option: Option) -> str:
    text = "\n".join(f"# {line}" for line in textwrap.wrap(option.help, 96))
    # JSON and TOML write these types alike.
    value = json.dumps(option.default)
    return f"{text}\n#{option.flag.rpartition('.')[2]} = {value}\n"


if __name__ == "__main__":
    sys.stdout.write(example())
