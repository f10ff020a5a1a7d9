# SPDX-License-Identifier: GPL-2.0-only
"""Series that Prometheus writes about its targets and alerts."""

from fdscope.dashboards.promql.selectors import Matcher
from fdscope.exporter.catalog import Kind, Label, Metric

UP = Metric("up", Kind.GAUGE, "1 if the target answered the last scrape.")
SCRAPE_SECONDS = Metric(
    "scrape_duration_seconds", Kind.GAUGE, "Time that the scrape of the target took."
)
SCRAPE_SAMPLES = Metric("scrape_samples_scraped", Kind.GAUGE, "Samples that the target gave.")
ALERTS = Metric(
    "ALERTS",
    Kind.GAUGE,
    "1 while an alert is pending or firing.",
    (
        Label("alertname", "name of the alert"),
        Label("alertstate", "state", ("pending", "firing")),
        Label("severity", "how urgent it is"),
        Label("process", "process that the alert is about, if any"),
    ),
)
OURS = {
    "alertname": Matcher("=~", "Fdscope.*"),
    "job": Matcher("=~", "$job|"),
    "instance": Matcher("=~", "$instance|"),
}
"""fdscope's alerts of the chosen targets; some have no target."""
