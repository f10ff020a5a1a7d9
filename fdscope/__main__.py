# SPDX-License-Identifier: GPL-2.0-only
"""``python -m fdscope``: the command ``fdscope``."""

import sys

from fdscope.exporter.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
