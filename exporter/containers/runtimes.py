# SPDX-License-Identifier: GPL-2.0-only
"""Where each runtime keeps the state of its containers, and what is in it.

- Docker: ``containers/ID/config.v2.json`` in its data.
- containerd: ``NAMESPACE/ID/config.json``, the OCI configuration of each running task. The CRI
  plugin and nerdctl write names into its annotations.
- CRI-O: ``overlay-containers/ID/userdata/config.json`` in containers/storage, likewise.
- Podman: ``overlay-containers/containers.json`` there has the names of all containers. The name of
  a pod is the hostname of its infra container.
- kubelet: names of links in ``/var/log/containers`` and of folders in ``/var/log/pods``, which
  everybody may read.
"""

import pwd
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fdscope.exporter.containers import files
from fdscope.exporter.containers.files import StateError
from fdscope.exporter.containers.names import Names, Query, Result, clean, workload_of

_DOCKER = ("var/lib/docker", "var/snap/docker/common/var-lib-docker")
_DOCKER_OF_USER = (".local/share/docker",)
_CONTAINERD = tuple(
    f"{place}/io.containerd.runtime.v2.task"
    for place in (
        "run/containerd",
        "run/k3s/containerd",
        "run/k0s/containerd",
        "var/snap/microk8s/common/run/containerd",
    )
)
_STORAGE = ("var/lib/containers/storage", "run/containers/storage")
_STORAGE_OF_USER = (".local/share/containers/storage",)
_DRIVERS = ("overlay", "vfs", "btrfs", "zfs")
_POD_LOGS, _CONTAINER_LOGS = "var/log/pods", "var/log/containers"

_MOST_CONFIG = 1 << 20
_MOST_LIST, _MOST_LIST_OF_USER = 16 << 20, 1 << 20
"""Bytes of a file with all containers."""
_MOST_NAMES = 10_000
"""Names in a folder, and containers in a list."""
_SHORT = 12
"""Digits of a pod's id in the name of its infra container."""
_ROOT = 0

_COMPOSE = "com.docker.compose"
_SWARM_SERVICE = "com.docker.swarm.service.name"


@dataclass(frozen=True, slots=True)
class _Place:
    """Folders of state, and whose files are believed there."""

    folders: tuple[Path, ...]
    owners: tuple[int, ...]
    most_list: int


def _home(uid: int) -> Path | None:
    try:
        return Path(pwd.getpwuid(uid).pw_dir)
    except (KeyError, OverflowError):
        return None


_Listed = Mapping[str, Mapping[str, Any]]
_Source = Callable[["Runtimes", Query], Names | None]


@dataclass(slots=True)
class Runtimes:
    """Looks for the names of containers in the state of all runtimes, below ``root``."""

    root: Path = Path("/")
    home: Callable[[int], Path | None] = _home
    """The home of a user, for runtimes without root."""
    owner: int = _ROOT
    """The uid whose files are believed in the places of the system."""
    _lists: dict[Path, tuple[files.Version, _Listed]] = field(default_factory=dict)

    def look(self, query: Query) -> tuple[Result, Names]:
        """What was found, and the names."""
        result = Result.MISSING
        for runtime, source in _SOURCES:
            if query.runtime not in ("", runtime):
                continue
            try:
                names = source(self, query)
            except PermissionError:
                result = Result.DENIED
            except (OSError, StateError):
                result = Result.INVALID if result is Result.MISSING else result
            else:
                if names:
                    return Result.FOUND, self._with_pod(query, replace(names, runtime=runtime))
        names = self._with_pod(query, Names())
        return (Result.FOUND if names != Names() else result), names

    def _folders(self, query: Query, of_root: tuple[str, ...], of_user: tuple[str, ...]) -> _Place:
        """The folders of a runtime: those of the user in whose slice the container is, or root's.

        A user's container cannot have the names of one of root's.
        """
        uid = int(query.user) if query.user else _ROOT
        if uid == _ROOT:
            return _Place(tuple(self.root / each for each in of_root), (self.owner,), _MOST_LIST)
        home = self.home(uid)
        if home is None or not home.is_absolute():
            return _Place((), (), 0)
        below = self.root / home.relative_to("/")
        return _Place(tuple(below / each for each in of_user), (uid,), _MOST_LIST_OF_USER)

    def _json(self, place: _Place, path: str) -> Iterator[Any]:
        """The content of this file in each of the folders that have it."""
        denied = None
        for folder in place.folders:
            try:
                content, _ = files.read(folder, path, _MOST_CONFIG, place.owners)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except PermissionError as error:
                denied = error
                continue
            yield files.parse(content)
        if denied:
            raise denied

    def docker(self, query: Query) -> Names | None:
        """Names from Docker's state."""
        place = self._folders(query, _DOCKER, _DOCKER_OF_USER)
        for found in self._json(place, f"containers/{query.container_id}/config.v2.json"):
            config = _table(_table(found).get("Config"))
            labels = _table(config.get("Labels"))
            return replace(
                _of_labels(labels),
                container=clean(labels.get("io.kubernetes.container.name"))
                or clean(_table(found).get("Name")).removeprefix("/"),
                image=clean(config.get("Image")),
            )
        return None

    def containerd(self, query: Query) -> Names | None:
        """Names from the annotations of a task of containerd, if it has any."""
        for folder in _CONTAINERD:
            try:
                namespaces = list(files.names_in(self.root / folder, 64))
            except FileNotFoundError:
                continue
            place = _Place(
                tuple(self.root / folder / each for each in namespaces), (self.owner,), 0
            )
            for found in self._json(place, f"{query.container_id}/config.json"):
                notes = _table(_table(found).get("annotations"))
                is_pod = notes.get("io.kubernetes.cri.container-type") == "sandbox"
                names = replace(
                    _of_labels(notes),
                    container="POD"
                    if is_pod
                    else clean(notes.get("io.kubernetes.cri.container-name"))
                    or clean(notes.get("nerdctl/name")),
                    image=clean(notes.get("io.kubernetes.cri.image-name")),
                    pod=clean(notes.get("io.kubernetes.cri.sandbox-name")),
                    namespace=clean(notes.get("io.kubernetes.cri.sandbox-namespace")),
                )
                return names if names != Names() else None
        return None

    def cri_o(self, query: Query) -> Names | None:
        """Names from the annotations of a container of CRI-O."""
        place = _Place(tuple(self.root / each for each in _STORAGE), (self.owner,), _MOST_LIST)
        for driver in _DRIVERS:
            path = f"{driver}-containers/{query.container_id}/userdata/config.json"
            for found in self._json(place, path):
                notes = _table(_table(found).get("annotations"))
                if "io.kubernetes.cri-o.ContainerType" not in notes:
                    continue  # one of Podman, which uses the same storage
                return replace(
                    _of_labels(notes),
                    container=clean(notes.get("io.kubernetes.container.name")),
                    image=clean(
                        notes.get("io.kubernetes.cri-o.UserRequestedImage")
                        or notes.get("io.kubernetes.cri-o.ImageName")
                        or notes.get("io.kubernetes.cri-o.Image")
                    ),
                )
        return None

    def podman(self, query: Query) -> Names | None:
        """Names from the list of all containers of containers/storage."""
        place = self._folders(query, _STORAGE, _STORAGE_OF_USER)
        for folder in place.folders:
            for driver in _DRIVERS:
                listed = self._listed(folder, f"{driver}-containers/containers.json", place)
                if query.container_id not in listed:
                    continue
                found = listed[query.container_id]
                metadata = found.get("metadata")
                told = files.parse(metadata.encode()) if isinstance(metadata, str) else {}
                return Names(
                    container=clean(_first(found.get("names"))),
                    image=clean(_table(told).get("image-name")),
                    pod=self._podman_pod(place, folder, driver, listed, query.pod),
                )
        return None

    def _podman_pod(
        self, place: _Place, folder: Path, driver: str, listed: _Listed, pod: str
    ) -> str:
        """The name of a pod: the hostname of its infra container; else the digits of its id."""
        infra = f"{pod[:_SHORT]}-infra"
        for each in listed if pod else ():
            if _first(listed[each].get("names")) == infra and set(each) <= set("0123456789abcdef"):
                there = replace(place, folders=(folder,))
                for found in self._json(there, f"{driver}-containers/{each}/userdata/config.json"):
                    return clean(_table(found).get("hostname")) or pod[:_SHORT]
        return pod[:_SHORT]

    def _listed(self, folder: Path, path: str, place: _Place) -> _Listed:
        """The containers of a list by their ids; empty without the list."""
        try:
            content, version = files.read(folder, path, place.most_list, place.owners)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        known = self._lists.get(folder / path)
        if known and known[0] == version:
            return known[1]
        entries = files.parse(content)
        if not isinstance(entries, list) or len(entries) > _MOST_NAMES:
            raise StateError(f"{path}: not a list of at most {_MOST_NAMES} containers")
        listed = {
            str(entry["id"]): {name: entry.get(name) for name in ("names", "metadata")}
            for entry in entries
            if isinstance(entry, dict) and "id" in entry
        }
        while len(self._lists) >= 8:
            del self._lists[next(iter(self._lists))]
        self._lists[folder / path] = version, listed
        return listed

    def _with_pod(self, query: Query, names: Names) -> Names:
        """Names with those of the pod from kubelet's logs, where the runtime has none."""
        if not names.pod and not query.user:
            names = self._of_logs(query, names)
        if names.namespace and not names.workload:
            names = replace(names, workload=workload_of(names.pod))
        return names

    def _of_logs(self, query: Query, names: Names) -> Names:
        # POD_NAMESPACE_CONTAINER-ID.log; no name in Kubernetes has a "_".
        for name in self._names_in(_CONTAINER_LOGS):
            before, found, _ = name.rpartition(f"-{query.container_id}.log")
            if found and before.count("_") == 2:
                pod, namespace, container = (clean(part) for part in before.split("_"))
                return replace(names, pod=pod, namespace=namespace, container=container)
        # NAMESPACE_POD_UID
        for name in self._names_in(_POD_LOGS) if query.pod else ():
            namespace, _, rest = name.partition("_")
            pod, _, uid = rest.rpartition("_")
            if uid == query.pod:
                return replace(names, pod=clean(pod), namespace=clean(namespace))
        return names

    def _names_in(self, folder: str) -> list[str]:
        try:
            return list(files.names_in(self.root / folder, _MOST_NAMES))
        except OSError:
            return []


_SOURCES: tuple[tuple[str, _Source], ...] = (
    ("docker", Runtimes.docker),
    ("cri-o", Runtimes.cri_o),
    ("podman", Runtimes.podman),
    ("containerd", Runtimes.containerd),
)


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _first(value: object) -> object:
    return value[0] if isinstance(value, list) and value else None


def _of_labels(labels: Mapping[str, Any]) -> Names:
    """The names that labels of a container have, whatever runs it."""
    return Names(
        pod=clean(labels.get("io.kubernetes.pod.name")),
        namespace=clean(labels.get("io.kubernetes.pod.namespace")),
        workload=clean(labels.get(_SWARM_SERVICE)),
        compose_project=clean(labels.get(f"{_COMPOSE}.project")),
        compose_service=clean(labels.get(f"{_COMPOSE}.service")),
    )
