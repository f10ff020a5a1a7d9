# SPDX-License-Identifier: GPL-2.0-only
"""Names of containers from the state of each runtime, whoever wrote it."""

import json
import os
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from fdscope.exporter.containers.names import MAX_TEXT, Names, Query, Result, workload_of
from fdscope.exporter.containers.runtimes import Runtimes
from tests.exporter.containers import state

ME = os.getuid()
WEB = "web-7d4b9c6f5d-x2x8k"


def runtimes(root: Path) -> Runtimes:
    return Runtimes(root, home=lambda uid: Path(f"/home/{uid}"), owner=ME)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        (
            Query(state.DOCKER, "docker"),
            Names("shop-web-1", "nginx:1.27", "", "", "", "shop", "web", "docker"),
        ),
        (
            Query(state.DOCKER),
            Names("shop-web-1", "nginx:1.27", "", "", "", "shop", "web", "docker"),
        ),
        (
            Query(state.SWARM, "docker"),
            Names("shop-web-1", "nginx:1.27", "", "", "shop_queue", "", "", "docker"),
        ),
        (
            Query(state.CONTAINERD, "containerd", state.POD_UID),
            Names(
                "nginx", "docker.io/library/nginx:1.27", WEB, "shop", "web", runtime="containerd"
            ),
        ),
        (
            Query(state.SANDBOX, "", state.POD_UID),
            Names("POD", "", WEB, "shop", "web", runtime="containerd"),
        ),
        (Query(state.NERDCTL, "containerd"), Names("db", runtime="containerd")),
        (
            Query(state.CRI_O, "cri-o"),
            Names(
                "etcd", "registry.k8s.io/etcd:3.5.15-0", "etcd-0", "kube-system", "etcd",
                runtime="cri-o",
            ),
        ),
        (
            Query(state.PODMAN, "podman", state.PODMAN_POD),
            Names("web", "localhost/demo:1", "shop", runtime="podman"),
        ),
        (
            Query(state.PODMAN, "podman", "9" * 64),
            Names("web", "localhost/demo:1", "9" * 12, runtime="podman"),
        ),
        (Query(state.PODMAN), Names("web", "localhost/demo:1", runtime="podman")),
        (
            Query(state.LOGGED, "containerd", "not this pod's"),
            Names("app", "", "api-6b9f8c7d5-q4zxc", "shop", "api"),
        ),
        (
            Query("9" * 64, "cri-o", state.STATIC_UID),
            Names("", "", "kube-proxy-node1", "kube-system"),
        ),
    ],
)  # fmt: skip
def test_each_runtime_has_its_names(query: Query, names: Names, tmp_path: Path) -> None:
    state.everything(tmp_path)
    assert runtimes(tmp_path).look(query) == (Result.FOUND, names)


@pytest.mark.parametrize("runtime", ["", "docker", "containerd", "cri-o", "podman"])
def test_a_container_that_no_runtime_has(runtime: str, tmp_path: Path) -> None:
    assert runtimes(tmp_path).look(Query("9" * 64, runtime)) == (Result.MISSING, Names())
    state.everything(tmp_path)
    assert runtimes(tmp_path).look(Query("9" * 64, runtime)) == (Result.MISSING, Names())


@pytest.mark.parametrize("driver", ["overlay", "vfs", "btrfs", "zfs"])
def test_storage_of_every_driver(driver: str, tmp_path: Path) -> None:
    state.podman(tmp_path / "var/lib/containers/storage", driver)
    _, names = runtimes(tmp_path).look(Query(state.PODMAN, "podman", state.PODMAN_POD))
    assert names == Names("web", "localhost/demo:1", "shop", runtime="podman")


def test_places_of_small_kubernetes_distributions(tmp_path: Path) -> None:
    state.containerd(tmp_path / "run/k3s/containerd")
    _, names = runtimes(tmp_path).look(Query(state.CONTAINERD, "containerd"))
    assert names.pod == WEB


def test_a_new_name_is_read_again(tmp_path: Path) -> None:
    listed = state.podman(tmp_path / "var/lib/containers/storage")
    here = runtimes(tmp_path)
    assert here.look(Query(state.PODMAN))[1].container == "web"
    listed.write_text(listed.read_text().replace('"web"', '"renamed"'))
    assert here.look(Query(state.PODMAN))[1].container == "renamed"


def test_a_container_of_a_user_has_only_the_names_in_the_home_of_this_user(tmp_path: Path) -> None:
    state.everything(tmp_path)
    here = runtimes(tmp_path)
    for runtime, container_id in (("podman", state.PODMAN), ("docker", state.DOCKER)):
        query = Query(container_id, runtime, user="1234567890")
        assert here.look(query) == (Result.MISSING, Names())
    home = f"home/{ME + 1}"
    state.podman(tmp_path / home / ".local/share/containers/storage")
    state.docker(tmp_path / home / ".local/share/docker", Image="other")
    for runtime, container_id in (("podman", state.PODMAN), ("docker", state.DOCKER)):
        query = Query(container_id, runtime, user=str(ME + 1))
        assert here.look(query) == (Result.INVALID, Names()), "the files are not that user's"
    if ME:
        pytest.skip("only root can give files to other users")
    for path in (tmp_path / home).rglob("*"):
        os.chown(path, ME + 1, ME + 1)
    found = here.look(Query(state.PODMAN, "podman", state.PODMAN_POD, str(ME + 1)))
    assert found == (Result.FOUND, Names("web", "localhost/demo:1", "shop", runtime="podman"))
    assert here.look(Query(state.DOCKER, "docker", user=str(ME + 1)))[1].image == "other"


def test_a_user_without_a_home(tmp_path: Path) -> None:
    state.everything(tmp_path)
    here = Runtimes(tmp_path, home=lambda _: None, owner=ME)
    assert here.look(Query(state.DOCKER, "docker", user="9")) == (Result.MISSING, Names())


def _link(file: Path) -> None:
    file.rename(file.with_suffix(".real"))
    file.symlink_to(file.with_suffix(".real"))


def _link_of_a_folder(file: Path) -> None:
    other = file.parent.with_name("other")
    file.parent.rename(other)
    file.parent.symlink_to(other)


def _fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def _folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _huge(file: Path) -> None:
    os.truncate(file, 1 << 40)


def _deep(file: Path) -> None:
    file.write_text("[" * 100_000)


def _long_number(file: Path) -> None:
    file.write_text(f'{{"Name": {"9" * 10_000}}}')


def _not_a_number(file: Path) -> None:
    file.write_text(file.read_text().replace("4711", "NaN"))


def _a_name_twice(file: Path) -> None:
    file.write_text(file.read_text().replace('{"State"', '{"Name": "/other", "State"'))


def _not_utf8(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"nginx", b"\xff"))


def _half(file: Path) -> None:
    file.write_text(file.read_text()[:-10])


@pytest.mark.parametrize(
    "spoil",
    [_link, _link_of_a_folder, _fifo, _folder, _huge, _deep, _long_number, _not_a_number,
     _a_name_twice, _not_utf8, _half],
)  # fmt: skip
def test_what_is_not_a_plain_file_of_json_gives_no_name(
    spoil: Callable[[Path], None], tmp_path: Path
) -> None:
    spoil(state.docker(tmp_path / "var/lib/docker"))
    assert runtimes(tmp_path).look(Query(state.DOCKER, "docker")) == (Result.INVALID, Names())


@pytest.mark.parametrize(
    "text",
    ["[]", "null", "3", '{"Name": {}, "Config": []}', '{"Config": {"Image": [], "Labels": "x"}}',
     '{"Name": 1, "Config": {"Labels": {"com.docker.compose.project": {"a": 1}}}}'],
)  # fmt: skip
def test_json_of_another_shape(text: str, tmp_path: Path) -> None:
    state.docker(tmp_path / "var/lib/docker").write_text(text)
    _, names = runtimes(tmp_path).look(Query(state.DOCKER, "docker"))
    assert names in (Names(), Names(runtime="docker"))


@pytest.mark.parametrize(
    "text", ["{}", "[1, null, {}]", '[{"id": []}]', f'[{{"id": "{state.PODMAN}", "names": 3}}]',
             f'[{{"id": "{state.PODMAN}", "metadata": "[]"}}]',
             f'[{{"id": "{state.PODMAN}", "metadata": "}}"}}]',
             f'[{{"id": "../../{state.PODMAN}", "names": ["{state.PODMAN_POD[:12]}-infra"]}}]'],
)  # fmt: skip
def test_lists_of_another_shape(text: str, tmp_path: Path) -> None:
    state.podman(tmp_path / "var/lib/containers/storage").write_text(text)
    query = Query(state.PODMAN, "podman", state.PODMAN_POD)
    _, names = runtimes(tmp_path).look(query)
    assert names.container == names.image == ""


def test_a_list_without_end(tmp_path: Path) -> None:
    listed = state.podman(tmp_path / "var/lib/containers/storage")
    listed.write_text(json.dumps([{"id": str(number)} for number in range(10_001)]))
    assert runtimes(tmp_path).look(Query(state.PODMAN, "podman"))[0] is Result.INVALID


def test_names_are_short_and_printable(tmp_path: Path) -> None:
    labels = {
        "com.docker.compose.project": "\x1b[31m\u202e",
        "com.docker.compose.service": "\ud800",
    }
    state.docker(tmp_path / "var/lib/docker", Image="\N{PILE OF POO}" * 10_000, Labels=labels)
    result, names = runtimes(tmp_path).look(Query(state.DOCKER, "docker"))
    assert result is Result.FOUND
    assert names.compose_project == "\\x1b[31m\\u202e"
    assert names.compose_service == "\\ud800"
    assert names.image == "\N{PILE OF POO}" * (MAX_TEXT - 1) + "…"
    for field in fields(names):
        assert getattr(names, field.name).isprintable()
        assert len(getattr(names, field.name)) <= MAX_TEXT


@pytest.mark.parametrize(
    ("pod", "workload"),
    [
        (WEB, "web"),
        ("my-api-5c689d88bb-2x4zk", "my-api"),
        ("kube-proxy-x7k2d", "kube-proxy"),
        ("postgres-0", "postgres"),
        ("backup-28392840-4xk7d", "backup"),
        ("kube-apiserver-node1", ""),
        ("debug", ""),
        ("", ""),
    ],
)
def test_workloads(pod: str, workload: str) -> None:
    assert workload_of(pod) == workload
