# SPDX-License-Identifier: GPL-2.0-only
"""``fdscope rules``: writes the rule files with the user's thresholds."""

import argparse
import sys
from pathlib import Path

from fdscope.dashboards.alerting.groups import from_file
from fdscope.dashboards.alerting.output import grafana, prometheus
from fdscope.dashboards.alerting.reading import DEFAULTS
from fdscope.exporter.cli.output import show
from fdscope.exporter.settings.strict import ConfigError

SUMMARY = "write the alerting and recording rules, with your thresholds and allow-lists"
DESCRIPTION = """\
Write the rules for Prometheus, and the same alerts for Grafana:

  rules/fdscope.yml             alerts and recording rules, for rule_files of Prometheus
  records/fdscope.yml           recording rules alone, for alerting in Grafana
  grafana/alerting/fdscope.yml  for provisioning/alerting of Grafana

--defaults prints a file with all settings and their defaults.

examples:
  fdscope rules --defaults
  fdscope rules --config my-rules.toml --out /etc/prometheus/fdscope"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="TOML file with the settings to change"
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--out", type=Path, metavar="DIR", help="folder to write to")
    what.add_argument(
        "--defaults", action="store_true", help="print all settings with their defaults"
    )


def run(arguments: argparse.Namespace) -> int:
    """Write or print; return the exit code."""
    try:
        if arguments.defaults:
            show(DEFAULTS.read_text(encoding="utf-8").removesuffix("\n"))
            return 0
        for name, text in files(arguments.config).items():
            path = arguments.out / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except ConfigError as error:
        sys.stderr.write(f"fdscope rules: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"fdscope rules: cannot write {error.filename}: {error.strerror}\n")
        return 1
    return 0


def files(config: Path | None) -> dict[str, str]:
    """Path in the folder to text, for every file; ConfigError if ``config`` cannot be used."""
    settings, groups = from_file(config)
    return {
        "rules/fdscope.yml": prometheus.rule_file(groups, settings),
        "records/fdscope.yml": prometheus.rule_file(prometheus.without_alerts(groups), settings),
        "grafana/alerting/fdscope.yml": grafana.provisioning(groups, settings),
    }
