# SPDX-License-Identifier: GPL-2.0-only
"""The user's file: its effect, and the messages about errors in it."""

import re
from pathlib import Path

import pytest
import yaml

from fdscope.dashboards.alerting.command import files
from fdscope.dashboards.alerting.duration import Duration, duration
from fdscope.exporter.cli import main


def rules(text: str, folder: Path) -> dict[str, dict[str, object]]:
    """Alerts by name, for this configuration."""
    config = folder / "rules.toml"
    config.write_text(text)
    content = yaml.safe_load(files(config)["rules/fdscope.yml"])
    return {
        rule["alert"]: rule
        for group in content["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }


def test_thresholds_lists_and_severities(tmp_path: Path) -> None:
    changed = rules(
        """
        job = "hosts"
        [fd-limit]
        ratio = 0.75
        hold = "90s"
        [also-allow]
        packet-socket = ["my.sniffer", "cap*"]
        [severity]
        FdscopeIoSpike = "critical"
        FdscopeIoCollapse = "off"
        """,
        tmp_path,
    )
    assert "> 0.75 <= 1" in str(changed["FdscopeFdLimitNear"]["expr"])
    assert changed["FdscopeFdLimitNear"]["for"] == "90s"
    assert 'up{job="hosts"}' in str(changed["FdscopeExporterDown"]["expr"])
    packet = str(changed["FdscopePacketSocketOpened"]["expr"])
    assert r'|zeek|my\\.sniffer|cap.*"' in packet
    assert 'process!~"tcpdump|' in packet
    assert changed["FdscopeIoSpike"]["labels"] == {"severity": "critical"}
    assert "FdscopeIoCollapse" not in changed


def test_empty_lists_are_no_matchers(tmp_path: Path) -> None:
    changed = rules("[allow]\npacket-socket = []\n", tmp_path)
    assert "!~" not in str(changed["FdscopePacketSocketOpened"]["expr"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jib = 1", "unknown key jib; did you mean job?"),
        ("[fd-limit]\nrato = 1", "unknown key fd-limit.rato; did you mean ratio?"),
        ("[nothing-like-it]", "unknown key nothing-like-it; known: job, links"),
        ("fd-limit = 3", "fd-limit must be a table: [fd-limit]"),
        ("job = 3", "job must be a string, not 3"),
        ('[fd-limit]\nratio = "much"', "fd-limit.ratio must be a number above 0, not 'much'"),
        ("[fd-limit]\nratio = true", "fd-limit.ratio must be a number above 0, not True"),
        ("[fd-leak]\nmin-open = 1.5", "fd-leak.min-open must be a whole number, 0 or more"),
        ('[fd-leak]\nwindow = "soon"', "fd-leak.window: 'soon' is not a duration such as"),
        ("[fd-leak]\nwindow = 5", 'fd-leak.window must be a duration in quotes, such as "5m"'),
        ('[fd-leak]\nwindow = "0s"', "fd-leak.window: '0s' is a duration of 0"),
        ('[allow]\nio = "x"', "allow.io must be a list of strings, not 'x'"),
        ("[allow]\nio = [1]", "allow.io must be a list of strings, not [1]"),
        ('[severity]\nFdLeak = "info"', "severity: no alert FdLeak; did you mean FdscopeFdLeak?"),
        ('[severity]\nFdscopeFdLeak = "loud"', "severity.FdscopeFdLeak must be one of critical,"),
        ("job = ", "is not valid TOML"),
    ],
)
def test_a_wrong_file_is_refused(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "rules.toml"
    config.write_text(text)
    assert main.main(["rules", f"--config={config}", f"--out={tmp_path}"]) == 2
    assert re.search(f"^fdscope rules: .*{re.escape(message)}", capsys.readouterr().err)


def test_files_that_cannot_be_read_or_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["rules", f"--config={tmp_path / 'none'}", f"--out={tmp_path}"]) == 2
    assert "cannot read" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert main.main(["rules", f"--out={tmp_path / 'file'}"]) == 1
    assert "cannot write" in capsys.readouterr().err


def test_the_command_writes_and_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["rules", f"--out={tmp_path / 'new'}"]) == 0
    for name, text in files(None).items():
        assert (tmp_path / "new" / name).read_text() == text
    assert main.main(["rules", "--defaults"]) == 0
    (tmp_path / "all.toml").write_text(capsys.readouterr().out)
    assert files(tmp_path / "all.toml") == files(None)


def test_durations() -> None:
    assert Duration("1h30m").seconds == 5400
    assert duration(84600) == "23h30m"
    assert duration(0.25) == "250ms"
