# SPDX-License-Identifier: GPL-2.0-only
"""The chart and the plain manifest: by Helm itself, and against the schemas of Kubernetes."""

import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import pytest
import yaml

from fdscope.exporter.catalog import units
from fdscope.exporter.settings.options import OPTIONS
from tests.dashboards.made import DASHBOARDS
from tests.paths import DEPLOY, ROOT

CHART = DEPLOY / "helm/fdscope"
EVERYTHING = (
    "containerNames.fromState=true",
    "podMonitor.enabled=true",
    "prometheusRule.enabled=true",
    "dashboards.enabled=true",
    "webConfig.secret=web",
    "priorityClassName=system-node-critical",
    "imagePullSecrets[0].name=registry",
    "extraArgs[0]=--probe.latency",
    "podMonitor.endpoint.scheme=https",
    "podLabels.team=io",
    "podAnnotations.note=x",
)
NONE_OF_IT = ("containerNames.fromLogs=false", "serviceAccount.name=mine", "resources=null")
LATEST = 3
"""So many versions of Kubernetes."""

needs_helm = pytest.mark.skipif(
    not shutil.which("helm"), reason="no helm on PATH (go install helm.sh/helm/v3/cmd/helm@latest)"
)
Manifest = dict[str, Any]


@lru_cache
def rendered(*values: str) -> tuple[Manifest, ...]:
    """What Helm makes of the chart with these values."""
    given = [word for value in values for word in ("--set", value)]
    command = ["helm", "template", "fdscope", str(CHART), "--namespace", "monitoring", *given]
    command += ["--kube-version", "1.30"]  # Helm from source does not know the present version
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return tuple(each for each in yaml.safe_load_all(done.stdout) if each)


def plain() -> tuple[Manifest, ...]:
    """The manifest for those without Helm."""
    text = (DEPLOY / "kubernetes/fdscope.yaml").read_text()
    return tuple(yaml.safe_load_all(text))


def of_kind(manifests: Iterable[Manifest], kind: str) -> list[Manifest]:
    return [each for each in manifests if each["kind"] == kind]


def container(manifests: Iterable[Manifest]) -> Manifest:
    (daemon_set,) = of_kind(manifests, "DaemonSet")
    (only,) = daemon_set["spec"]["template"]["spec"]["containers"]
    result: Manifest = only
    return result


def check_against_schemas(manifests: Iterable[Manifest]) -> None:
    """AssertionError if the last versions of Kubernetes would not take them."""
    validate = pytest.importorskip(
        "kubernetes_validate", reason="no kubernetes-validate (pip install kubernetes-validate)"
    )
    versions = sorted(
        {tuple(map(int, version.split(".")[:2])) for version in validate.utils.all_versions()}
    )
    for manifest in manifests:
        if manifest["apiVersion"].startswith("monitoring.coreos.com/"):
            continue  # the Prometheus Operator's own
        for version in versions[-LATEST:]:
            validate.validate(manifest, ".".join(map(str, version)), strict=True)


def test_the_plain_manifest_is_what_kubernetes_takes() -> None:
    check_against_schemas(plain())
    assert [each["kind"] for each in plain()] == ["Namespace", "ServiceAccount", "DaemonSet"]


def test_a_field_that_does_not_exist_is_found() -> None:
    """The schemas are strict."""
    pytest.importorskip("kubernetes_validate", reason="no kubernetes-validate")
    (daemon_set,) = of_kind(plain(), "DaemonSet")
    daemon_set["spec"]["template"]["spec"]["hostPid"] = True
    with pytest.raises(Exception, match="hostPid"):
        check_against_schemas([daemon_set])


def test_the_rights_are_those_of_the_unit() -> None:
    (words,) = re.findall(
        "^CapabilityBoundingSet=(.*)$",
        (DEPLOY / "service/fdscope.service").read_text(),
        re.MULTILINE,
    )
    unit = {word.removeprefix("CAP_") for word in words.split()}
    only = container(plain())
    context = only["securityContext"]
    assert context["capabilities"]["drop"] == ["ALL"]
    assert set(context["capabilities"]["add"]) == unit | {"SETUID", "SETGID"}
    assert not context["privileged"]
    assert not context["allowPrivilegeEscalation"]
    assert context["readOnlyRootFilesystem"]
    assert all(mount["readOnly"] for mount in only["volumeMounts"] if mount["name"] != "tmp")
    (daemon_set,) = of_kind(plain(), "DaemonSet")
    pod = daemon_set["spec"]["template"]["spec"]
    assert pod["hostPID"]
    assert pod["automountServiceAccountToken"] is False
    assert "hostIPC" not in pod


def test_options_are_those_of_the_command() -> None:
    args = container(plain())["args"]
    assert args[0] == "exporter"
    known = {f"--{option.flag}" for option in OPTIONS}
    assert {word.partition("=")[0] for word in args[1:]} <= known


def test_versions_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == project["version"]
    assert container(plain())["image"] == f"fdscope:{project['version']}"


@needs_helm
def test_helm_finds_no_fault() -> None:
    command = ["helm", "lint", "--strict", str(CHART), "--set", "podMonitor.enabled=true"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_helm
@pytest.mark.parametrize("values", [(), EVERYTHING, NONE_OF_IT])
def test_what_helm_makes_is_what_kubernetes_takes(values: tuple[str, ...]) -> None:
    check_against_schemas(rendered(*values))


@needs_helm
def test_the_plain_manifest_is_fresh() -> None:
    subprocess.run([DEPLOY / "kubernetes/manifest.sh", "--check"], check=True)


@needs_helm
def test_rules_and_dashboards_are_those_that_are_shipped() -> None:
    (rules,) = of_kind(rendered(*EVERYTHING), "PrometheusRule")
    assert rules["spec"] == yaml.safe_load((DEPLOY / "rules/fdscope.yml").read_text())
    maps = of_kind(rendered(*EVERYTHING), "ConfigMap")
    shown = {name: json.loads(text) for each in maps for name, text in each["data"].items()}
    assert shown == {f"{name}.json": each for name, each in DASHBOARDS.items()}
    assert all(each["metadata"]["labels"]["grafana_dashboard"] == "1" for each in maps)
    assert not of_kind(rendered(), "ConfigMap")


@needs_helm
def test_scraped_series_look_like_those_of_a_single_host() -> None:
    (monitor,) = of_kind(rendered(*EVERYTHING), "PodMonitor")
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["honorLabels"], "the labels of fdscope_unit_info are not the exporter's own"
    assert endpoint["scheme"] == "https"
    (dropped,) = [r["regex"] for r in endpoint["relabelings"] if r.get("action") == "labeldrop"]
    names = {"pod", "container", "namespace"}
    assert names <= set(dropped.split("|"))
    assert names <= set(units.UNIT_INFO.label_names)
    (daemon_set,) = of_kind(rendered(*EVERYTHING), "DaemonSet")
    labels = daemon_set["spec"]["template"]["metadata"]["labels"]
    assert labels[monitor["spec"]["jobLabel"]] == "fdscope", "the job of rules and dashboards"
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()
    ports = {port["name"] for port in container(rendered(*EVERYTHING))["ports"]}
    assert endpoint["port"] in ports


@needs_helm
def test_a_protected_port_is_probed_without_a_password() -> None:
    assert "httpGet" in container(rendered())["livenessProbe"]
    protected = container(rendered(*EVERYTHING))
    assert "tcpSocket" in protected["livenessProbe"]
    assert "tcpSocket" in protected["startupProbe"]


@needs_helm
def test_names_of_containers_and_the_right_for_them() -> None:
    """The kubelet's logs need none; the state of runtimes needs that of the unit's drop-in."""

    def right_and_folders(*values: str) -> tuple[set[str], list[str]]:
        only = container(rendered(*values))
        folders = [mount["mountPath"] for mount in only["volumeMounts"] if mount.get("readOnly")]
        assert ("--units.read-state" in only["args"]) == bool(folders)
        (daemon_set,) = of_kind(rendered(*values), "DaemonSet")
        volumes = daemon_set["spec"]["template"]["spec"]["volumes"]
        paths = [each["hostPath"]["path"] for each in volumes if "hostPath" in each]
        assert paths == folders
        return set(only["securityContext"]["capabilities"]["add"]), folders

    rights, folders = right_and_folders(*NONE_OF_IT)
    assert folders == []
    logs = ["/var/log/containers", "/var/log/pods"]
    assert right_and_folders() == (rights, logs)
    drop_in = (DEPLOY / "debian/examples/container-names.conf").read_text()
    (more,) = re.findall("^CapabilityBoundingSet=CAP_(.*)$", drop_in, re.MULTILINE)
    tasks = "/run/containerd/io.containerd.runtime.v2.task"
    with_state = right_and_folders("containerNames.fromState=true")
    assert with_state == (rights | {more}, [*logs, tasks])
    assert not of_kind(rendered(*NONE_OF_IT), "ServiceAccount")
