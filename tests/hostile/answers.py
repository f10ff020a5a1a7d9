# SPDX-License-Identifier: GPL-2.0-only
"""What the exporter answers, judged as Prometheus would."""

import http.client
import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain
from prometheus_client.samples import Sample

from fdscope.exporter.catalog import CATALOG
from tests.scorecard.served import Served

WRITTEN = "fdscope_file_written_bytes_total"
READ = "fdscope_file_read_bytes_total"
BUDGET = 20_000
"""Series of one scrape: the default of the option."""
_NAMES = frozenset(metric.name for metric in CATALOG)
_OPENMETRICS = "application/openmetrics-text; version=1.0.0"
_PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer to a scrape."""

    status: int
    seconds: float
    text: str
    is_openmetrics: bool = False

    def parse(self) -> "Reading":
        """Its samples; ValueError if it cannot be parsed, AssertionError if it is not valid."""
        assert self.status == 200, f"HTTP {self.status}: {self.text[:200]}"
        parse = openmetrics if self.is_openmetrics else plain
        return Reading([sample for family in parse(self.text) for sample in family.samples])


class Reading:
    """The samples of one scrape."""

    def __init__(self, samples: list[Sample]) -> None:
        self.samples = samples
        found = {(sample.name, *sorted(sample.labels.items())) for sample in samples}
        assert len(found) == len(samples), "two samples have the same name and labels"

    def rows(self, name: str, **labels: str | int) -> Iterator[Sample]:
        """The series of a metric that have these labels."""
        assert name in _NAMES, f"there is no metric {name}"
        wanted = {key: str(value) for key, value in labels.items()}.items()
        return (s for s in self.samples if s.name == name and wanted <= s.labels.items())

    def total(self, name: str, **labels: str | int) -> int:
        """Their sum."""
        return int(sum(sample.value for sample in self.rows(name, **labels)))

    def by_process(self, name: str, **labels: str | int) -> Counter[str]:
        """Their sum, by name of process."""
        sums: Counter[str] = Counter()
        for sample in self.rows(name, **labels):
            sums[sample.labels["process"]] += int(sample.value)
        return sums

    def written(self, **labels: str | int) -> int:
        """Bytes written to regular files at the file layer."""
        return self.total(WRITTEN, fd_type="regular", door="read_write", **labels)

    def errors(self) -> dict[str, int]:
        """Parts of the scrape that failed, and how often."""
        rows = self.rows("fdscope_scrape_errors_total")
        return {row.labels["part"]: int(row.value) for row in rows if row.value}

    def lost(self) -> dict[str, int]:
        """Updates that were lost, by reason."""
        rows = self.rows("fdscope_lost_updates_total")
        return {row.labels["reason"]: int(row.value) for row in rows if row.value}

    def mode(self) -> str:
        """The attach mode."""
        return next(s.labels["mode"] for s in self.rows("fdscope_attach_mode") if s.value == 1)


def grown(
    before: Reading, after: Reading, ours: re.Pattern[str], name: str, **labels: str | int
) -> int:
    """By how much processes of these names have grown, summed or not.

    That is the growth of all, less that of others which have series of their own name. Others may
    be summed meanwhile, which moves what they had; only what they do after it is not told apart.
    """
    then, now = before.by_process(name, **labels), after.by_process(name, **labels)
    others = [other for other in now if not (other.startswith("(") or ours.match(other))]
    # A sum that is less than before began anew.
    of_others = (
        now[each] - then[each] if now[each] >= then[each] else now[each] for each in others
    )
    return now.total() - then.total() - sum(of_others)


@dataclass(frozen=True, slots=True)
class Exporter:
    """A running exporter."""

    pid: int
    url: str

    @classmethod
    def of(cls, served: Served) -> "Exporter":
        """The one that ``served()`` started."""
        return cls(served.pid, served.url)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 0

    def ask(self, openmetrics: bool = False, timeout: float = _PATIENCE_SECONDS) -> Answer:
        """One scrape; OSError or HTTPException if there is no answer."""
        began = time.monotonic()
        client = http.client.HTTPConnection(*self.address, timeout=timeout)
        try:
            client.request(
                "GET", "/metrics", headers={"Accept": _OPENMETRICS} if openmetrics else {}
            )
            response = client.getresponse()
            body = response.read()
        finally:
            client.close()
        took = time.monotonic() - began
        return Answer(response.status, took, body.decode(errors="replace"), openmetrics)

    def read(self) -> Reading:
        """One scrape, parsed."""
        return self.ask().parse()

    def wait_for(self, what: str, seconds: float, **labels: str | int) -> Reading:
        """Scrape each half second until a series of written bytes has these labels."""
        deadline = time.monotonic() + seconds
        while True:
            reading = self.read()
            if any(reading.rows(WRITTEN, fd_type="regular", **labels)):
                return reading
            assert time.monotonic() < deadline, f"{what}: no series of {labels} in {seconds} s"
            time.sleep(0.5)

    def memory_mib(self) -> float:
        """Its share of the memory (PSS; RSS where the kernel does not tell)."""
        proc = Path(f"/proc/{self.pid}")
        try:
            found = re.search(r"^Pss:\s+(\d+)", (proc / "smaps_rollup").read_text(), re.MULTILINE)
        except OSError:
            found = re.search(r"^VmRSS:\s+(\d+)", (proc / "status").read_text(), re.MULTILINE)
        assert found, "the exporter has ended"
        return int(found[1]) / 1024

    def resident_mib(self) -> float:
        """Its memory (RSS), quickly."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)

    def cpu_seconds(self) -> float:
        """Processor time of all its threads so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
