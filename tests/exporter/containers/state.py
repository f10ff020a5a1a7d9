# SPDX-License-Identifier: GPL-2.0-only
"""The state of each runtime on disk, in the layout of the runtime.

Podman's is what Podman 4.3 wrote (``podman pod create``, ``podman create``), without the fields
that nobody reads. The others follow the types in the sources of Docker 27, containerd 1.7 with its
CRI plugin, nerdctl 2, CRI-O 1.30 and the kubelet.
"""

import json
from pathlib import Path
from typing import Any

DOCKER = "0123456789ab" + "d" * 52
SWARM = "1123456789ab" + "d" * 52
CONTAINERD = "2123456789ab" + "c" * 52
SANDBOX = "3123456789ab" + "c" * 52
NERDCTL = "4123456789ab" + "c" * 52
CRI_O = "5123456789ab" + "0" * 52
PODMAN = "6c18b4f5481c" + "0a78a38e0b6bbe7c701d8787b68133bf23d7de27be235ae73d8c"
INFRA = "f556ff5f2b74" + "fb8ab23a68176f21aa69631bfad5e960b8929e6b31284cb71562"
PODMAN_POD = "4076d0816d5d" + "89cd8ee823109f685985a076d55422fea7f788a4d3e8634eb4ef"
LOGGED = "7123456789ab" + "e" * 52
POD_UID = "a1b2c3d4-0000-1111-2222-333344445555"
STATIC_UID = "0c9ea5ab57aa6d4ddb9c7e7e0fd8a1b2"


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def docker(data: Path, container_id: str = DOCKER, **config: Any) -> Path:
    """A container of Docker; ``config``: its image and labels."""
    given = {
        "Hostname": container_id[:12],
        "Env": ["PATH=/usr/bin"],
        "Image": "nginx:1.27",
        "Labels": {
            "com.docker.compose.project": "shop",
            "com.docker.compose.service": "web",
            "com.docker.compose.container-number": "1",
        },
    }
    state = {"Running": True, "Pid": 4711, "ExitCode": 0}
    content = {"State": state, "ID": container_id, "Name": "/shop-web-1", "Config": given | config}
    return write(data / "containers" / container_id / "config.v2.json", content)


def _oci(annotations: dict[str, str], hostname: str = "") -> dict[str, Any]:
    return {
        "ociVersion": "1.1.0",
        "process": {"args": ["/bin/true"], "cwd": "/"},
        "root": {"path": "rootfs"},
        "hostname": hostname,
        "annotations": annotations,
        "linux": {"namespaces": [{"type": "pid"}]},
    }


def containerd(run: Path) -> None:
    """A pod with a container of the CRI plugin, one of nerdctl, one of Docker without names."""
    tasks = run / "io.containerd.runtime.v2.task"
    sandbox = {
        "io.kubernetes.cri.container-type": "sandbox",
        "io.kubernetes.cri.sandbox-id": SANDBOX,
        "io.kubernetes.cri.sandbox-name": "web-7d4b9c6f5d-x2x8k",
        "io.kubernetes.cri.sandbox-namespace": "shop",
        "io.kubernetes.cri.sandbox-uid": POD_UID,
    }
    container = sandbox | {
        "io.kubernetes.cri.container-type": "container",
        "io.kubernetes.cri.container-name": "nginx",
        "io.kubernetes.cri.image-name": "docker.io/library/nginx:1.27",
    }
    write(tasks / "k8s.io" / SANDBOX / "config.json", _oci(sandbox))
    write(tasks / "k8s.io" / CONTAINERD / "config.json", _oci(container))
    nerdctl = {"nerdctl/name": "db", "nerdctl/namespace": "default", "nerdctl/hostname": "db"}
    write(tasks / "default" / NERDCTL / "config.json", _oci(nerdctl))
    write(tasks / "moby" / DOCKER / "config.json", _oci({}))


def cri_o(storage: Path) -> None:
    """A container of CRI-O."""
    notes = {
        "io.container.manager": "cri-o",
        "io.kubernetes.container.name": "etcd",
        "io.kubernetes.pod.name": "etcd-0",
        "io.kubernetes.pod.namespace": "kube-system",
        "io.kubernetes.pod.uid": POD_UID,
        "io.kubernetes.cri-o.ContainerType": "container",
        "io.kubernetes.cri-o.UserRequestedImage": "registry.k8s.io/etcd:3.5.15-0",
        "io.kubernetes.cri-o.ImageName": "registry.k8s.io/etcd@sha256:" + "0" * 64,
        "io.kubernetes.cri-o.Name": f"k8s_etcd_etcd-0_kube-system_{POD_UID}_0",
    }
    write(storage / "overlay-containers" / CRI_O / "userdata/config.json", _oci(notes))


def podman(storage: Path, driver: str = "overlay") -> Path:
    """A container of Podman in the pod ``shop``, and the pod's infra container."""

    def entry(container_id: str, name: str, image: str) -> dict[str, Any]:
        metadata = {"image-name": image, "image-id": "0" * 64, "name": name, "created-at": 1}
        return {
            "id": container_id,
            "names": [name],
            "image": "0" * 64,
            "layer": "1" * 64,
            "metadata": json.dumps(metadata),
            "created": "2026-01-01T00:00:00Z",
            "flags": {"MountLabel": "", "ProcessLabel": ""},
        }

    folder = storage / f"{driver}-containers"
    notes = {"io.container.manager": "libpod", "org.opencontainers.image.stopSignal": "15"}
    write(folder / INFRA / "userdata/config.json", _oci(notes, "shop"))
    write(folder / PODMAN / "userdata/config.json", _oci(notes))
    entries = [
        entry(INFRA, f"{PODMAN_POD[:12]}-infra", "localhost/podman-pause:4.3.1"),
        entry(PODMAN, "web", "localhost/demo:1"),
    ]
    return write(folder / "containers.json", entries)


def kubelet(logs: Path) -> None:
    """Logs of a pod's container, and of a pod of a file on the node."""
    (logs / "containers").mkdir(parents=True)
    there = logs / "pods" / f"shop_api-6b9f8c7d5-q4zxc_{POD_UID}" / "app"
    there.mkdir(parents=True)
    (there / "0.log").touch()
    link = logs / "containers" / f"api-6b9f8c7d5-q4zxc_shop_app-{LOGGED}.log"
    link.symlink_to(there / "0.log")
    (logs / "pods" / f"kube-system_kube-proxy-node1_{STATIC_UID}").mkdir()


def everything(root: Path) -> None:
    """The state of all runtimes of a machine."""
    docker(root / "var/lib/docker")
    docker(root / "var/lib/docker", SWARM, Labels={"com.docker.swarm.service.name": "shop_queue"})
    containerd(root / "run/containerd")
    cri_o(root / "var/lib/containers/storage")
    podman(root / "var/lib/containers/storage")
    kubelet(root / "var/log")
