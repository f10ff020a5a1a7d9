# SPDX-License-Identifier: GPL-2.0-only
"""The units of processes: their names, to join with the metrics that have the label ``unit``."""

from fdscope.exporter.catalog.model import UNIT, Kind, Label, Metric

_RESULTS = ("found", "missing", "denied", "invalid")

UNIT_INFO = Metric(
    "fdscope_unit_info",
    Kind.INFO,
    "Always 1: what a unit that has series is called, and what it belongs to. Names of containers"
    " are read with --units.read-state; the other labels come from the path of the cgroup.",
    (
        UNIT,
        Label(
            "runtime",
            "what runs the unit",
            ("systemd", "docker", "containerd", "cri-o", "podman", "nspawn", "lxc", "libvirt"),
        ),
        Label("container", "name of the container, or of the machine of nspawn, LXC or libvirt"),
        Label("container_id", "id of the container, 64 hexadecimal digits"),
        Label("image", "image of the container, as its runtime names it"),
        Label("pod", "name of the pod"),
        Label("pod_uid", "uid of the pod (Kubernetes), or its id (Podman)"),
        Label("namespace", "Kubernetes namespace of the pod"),
        Label(
            "workload",
            "what made the pod, as far as the pod's name shows it, or the service of Docker Swarm",
        ),
        Label("compose_project", "project of Docker Compose"),
        Label("compose_service", "service of Docker Compose"),
        Label("user", "uid of the user in whose slice the unit is"),
    ),
)
UNITS_WITHOUT_INFO = Metric(
    "fdscope_units_without_info",
    Kind.GAUGE,
    "Units that have series but no fdscope_unit_info, because there was no room for more.",
)
CONTAINER_LOOKUPS = Metric(
    "fdscope_container_lookups_total",
    Kind.COUNTER,
    "Times that names of a container were looked for in the state of the runtimes (only with"
    " --units.read-state).",
    (
        Label(
            "result",
            "found; missing: no runtime has the container; denied: state that may not be read;"
            " invalid: state that is not what it should be",
            _RESULTS,
        ),
    ),
)
