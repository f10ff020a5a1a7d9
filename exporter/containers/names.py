# SPDX-License-Identifier: GPL-2.0-only
"""What a container is called, and what it belongs to."""

import re
from dataclasses import dataclass
from enum import Enum

from fdscope.probes.text import printable

MAX_TEXT = 200
"""Most characters of a name; longer ones are cut, and end in ``…``."""

_ADDED = "[bcdfghjklmnpqrstvwxz2456789]"
"""The letters of what Kubernetes adds to names."""
_WORKLOAD = re.compile(
    rf"(?P<deployment>.+)-{_ADDED}{{6,10}}-{_ADDED}{{5}}"
    rf"|(?P<cronjob>.+)-[0-9]{{8}}-{_ADDED}{{5}}"
    rf"|(?P<daemonset>.+)-{_ADDED}{{5}}"
    r"|(?P<statefulset>.+)-[0-9]{1,4}"
)


@dataclass(frozen=True, slots=True)
class Names:
    """The names of a container; "" where one is not known. Made by others: ``printable()``."""

    container: str = ""
    image: str = ""
    pod: str = ""
    namespace: str = ""
    workload: str = ""
    compose_project: str = ""
    compose_service: str = ""
    runtime: str = ""
    """Whose state it was found in, as ``Runtime`` of the units has it."""


class Result(Enum):
    """What a look for names has found."""

    FOUND = "found"
    MISSING = "missing"
    """No runtime has the container."""
    DENIED = "denied"
    """State is there that may not be read."""
    INVALID = "invalid"
    """State is there, and is not what it should be."""


@dataclass(frozen=True, slots=True)
class Query:
    """A container, as the path of its cgroup shows it."""

    container_id: str
    """64 hexadecimal digits."""
    runtime: str = ""
    pod: str = ""
    """The pod's uid (Kubernetes), or its id (Podman)."""
    user: str = ""
    """The uid of the user in whose slice it is."""


def clean(value: object) -> str:
    """A text of others as the value of a label: printable and short; "" for what is no text."""
    if not isinstance(value, str):
        return ""
    text = printable(value[: MAX_TEXT + 1])
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"


def workload_of(pod: str) -> str:
    """The workload that made a pod, as far as the pod's name shows it.

    Deployments, DaemonSets, Jobs and CronJobs add random letters of a small alphabet, StatefulSets
    a number. "" for any other name, such as that of a pod which somebody named by hand.
    """
    found = _WORKLOAD.fullmatch(pod)
    return next((name for name in found.groups() if name), "") if found else ""
