# SPDX-License-Identifier: GPL-2.0-only
"""Results of Grafana's own code for Prometheus's answers to the queries of a panel."""

import json
import shutil
import time
from typing import Any

from tests.dashboards import node
from tests.dashboards.made import Json
from tests.dashboards.prometheus import filled_in, instant

Frame = dict[str, list[Any]]
"""Values of a field by its name as it is shown."""


def drawn(port: int, panel: Json, by: str = "display", **variables: str) -> dict[str, Frame]:
    """The frames that a panel draws, by their query ("" after a merge)."""
    all_samples_are_in = time.time() - 10
    answers = {
        target["refId"]: instant(port, filled_in(target["expr"], **variables), all_samples_are_in)
        for target in panel["targets"]
    }
    return drawn_from(panel, answers, by)


def drawn_from(panel: Json, answers: dict[str, Any], by: str = "display") -> dict[str, Frame]:
    """The frames that a panel draws of these answers."""
    shutil.copyfile(node.SOURCES / "transform.cjs", node.FOLDER / "transform.cjs")
    question = {
        "targets": panel["targets"],
        "transformations": panel.get("transformations", []),
        "answers": answers,
    }
    frames = json.loads(node.run("transform.cjs", stdin=json.dumps(question)))
    return {
        frame.get("refId") or "": {field[by]: field["values"] for field in frame["fields"]}
        for frame in frames
    }
