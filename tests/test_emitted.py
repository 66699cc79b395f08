"""The committed operators build, pass their own tests, and run as they are deployed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from scaffold.controlplane import ControlPlane
from scaffold.crd.model import Kind
from scaffold.crd.read import read
from scaffold.webhooks import Endpoint
from tests import golden
from tests.gotests import Record, go, go_test
from tests.trees import tree

pytestmark = [pytest.mark.golang, pytest.mark.controlplane]

NAMES = golden.names()


def path(name: str) -> Path:
    return golden.EXAMPLES / name / "golden"


def kubectl(cluster: ControlPlane, *arguments: str, stdin: str = "") -> str:
    run = subprocess.run(
        [
            cluster.assets / "kubectl",
            f"--kubeconfig={cluster.kubeconfig}",
            *arguments,
        ],
        input=stdin,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, f"kubectl {' '.join(arguments)}\n{run.stderr}"
    return run.stdout


@pytest.fixture(scope="module", params=NAMES)
def deployed(request: pytest.FixtureRequest, cluster: ControlPlane) -> str:
    """An example whose manifests are in the cluster, but for its webhooks.

    No network leads from the API server to a Service here; and cert-manager is
    not installed.
    """
    name: str = request.param
    made = kubectl(cluster, "kustomize", str(path(name) / "config/default"))
    documents = [
        document
        for document in YAML(typ="safe").load_all(made)
        if not document["apiVersion"].startswith(
            ("cert-manager.io/", "admissionregistration.k8s.io/")
        )
    ]
    for document in documents:
        if document["kind"] == "CustomResourceDefinition":
            document["spec"].pop("conversion", None)
    items = {"apiVersion": "v1", "kind": "List", "items": documents}
    kubectl(cluster, "apply", "--server-side", "-f", "-", stdin=json.dumps(items))
    kubectl(cluster, "wait", "--for=condition=Established", "--all", "crd")
    return name


@pytest.mark.parametrize("name", NAMES)
def test_builds_and_vets(name: str) -> None:
    go(path(name), "build", "./...")
    go(path(name), "vet", "./...")
    go(path(name), "vet", "-tags", "integration", "./...")


@pytest.mark.parametrize("name", NAMES)
def test_module_is_tidy(name: str) -> None:
    assert go(path(name), "mod", "tidy", "-diff") == ""


def test_every_test_of_an_operator_passes(record_property: Record) -> None:
    go_test(path("payment-sync"), record_property, "-race", "./...")


@pytest.mark.parametrize("name", NAMES)
def test_tests_of_its_own_kinds_pass(name: str, record_property: Record) -> None:
    # The packages in internal/runtime are the same in all of them.
    go_test(path(name), record_property, "./api/...", *own_packages(name))


def own_packages(name: str) -> list[str]:
    folders = [f"./internal/{part}" for part in ("controller", "webhook")]
    return [f"{one}/..." for one in folders if (path(name) / one).exists()]


def test_own_tests_pass_on_a_real_api_server(
    deployed: str, cluster: ControlPlane, record_property: Record
) -> None:
    # One after the other: while one tests what becomes of a kind's objects, another
    # must not have them denied.
    for packages in own_packages(deployed):
        go_test(
            path(deployed),
            record_property,
            "-tags",
            "integration",
            packages,
            env=cluster.environment(),
        )


@pytest.mark.parametrize("name", NAMES)
def test_controller_gen_agrees(name: str, tmp_path: Path) -> None:
    project = tmp_path / name
    shutil.copytree(path(name), project)
    before = tree(project)
    run = subprocess.run(
        ["make", "verify"], cwd=project, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert tree(project) == before


def test_samples_are_valid(deployed: str, cluster: ControlPlane) -> None:
    samples = path(deployed) / "config/samples"
    kubectl(cluster, "apply", "--dry-run=server", "-k", str(samples))
    # Every served version has one, also where another version is stored.
    documents = sorted(samples.glob("*_*.yaml"))
    kinds = read([path(deployed) / "crds"])
    assert len(documents) == sum(len(kind.served) for kind in kinds)
    for document in documents:
        kubectl(cluster, "apply", "--dry-run=server", "-f", str(document))


def test_runs_with_the_rights_it_is_deployed_with(
    deployed: str, cluster: ControlPlane, tmp_path: Path
) -> None:
    """The operator works as its service account, with the arguments of its pod."""
    namespace = f"{deployed}-system"
    deployment = json.loads(
        kubectl(
            cluster,
            "get",
            "deployment",
            f"{deployed}-manager",
            "-n",
            namespace,
            "-o=json",
        )
    )["spec"]["template"]["spec"]
    (container,) = deployment["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert deployment["securityContext"]["runAsNonRoot"] is True
    assert f"--pod-grace={deployment['terminationGracePeriodSeconds']}s" in (
        container["args"]
    )

    binary, log = tmp_path / "manager", tmp_path / "log"
    go(path(deployed), "build", "-o", str(binary), "./cmd/manager")
    config = tmp_path / "kubeconfig"
    account = f"system:serviceaccount:{namespace}:{deployed}-manager"
    config.write_text(impersonating(cluster, account))
    endpoint = Endpoint(free_port(), tmp_path / "certificates")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                binary,
                *container["args"],
                *(endpoint.flags if serves_webhooks(container) else ()),
                "--drain-delay=500ms",
                f"--leader-elect-namespace={namespace}",
                "--metrics-bind-address=0",
                "--health-probe-bind-address=0",
                "--zap-log-level=debug",
            ],
            env=os.environ | {"KUBECONFIG": str(config)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        with webhooks_at(cluster, deployed, endpoint):
            check_every_sample(cluster, deployed, log)
            if deployed == "fleet":
                wakes_by_namesakes(cluster, log)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
    refused = [line for line in log.read_text().splitlines() if "forbidden" in line]
    assert not refused, "\n".join(refused)


def wakes_by_namesakes(cluster: ControlPlane, log: Path) -> None:
    """Fleets are woken by ConfigMaps, though another watched API is not there."""

    def passes() -> int:
        lines = log.read_text().splitlines()
        return sum('"controller":"fleet"' in line for line in lines)

    (fleet,) = json.loads(kubectl(cluster, "get", "fleets", "-A", "-o=json"))["items"]
    place = ["-n", fleet["metadata"]["namespace"]]
    before = passes()
    kubectl(cluster, *place, "create", "configmap", fleet["metadata"]["name"])
    end = time.monotonic() + 30
    while passes() == before:
        assert time.monotonic() < end, f"not woken:\n{log.read_text()}"
        time.sleep(0.1)
    assert "httproutes.gateway.networking.k8s.io" in log.read_text()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def serves_webhooks(container: dict[str, Any]) -> bool:
    ports = [port["name"] for port in container["ports"]]
    return "webhook" in ports


@contextmanager
def webhooks_at(cluster: ControlPlane, name: str, endpoint: Endpoint) -> Iterator[None]:
    """Have the API server ask the webhooks of an example, and convert by them."""
    converting = [
        kind.crd_name for kind in read([path(name) / "crds"]) if kind.converts
    ]
    configurations = endpoint.configurations(path(name))
    if not configurations and not converting:
        yield
        return

    def convert(crd: str, patch: dict[str, Any]) -> None:
        text = json.dumps(patch)
        kubectl(cluster, "patch", "crd", crd, "--type=merge", f"--patch={text}")

    for one in configurations:
        one["metadata"]["name"] = f"{name}-{one['metadata']['name']}"
        kubectl(cluster, "create", "-f", "-", stdin=json.dumps(one))
    for crd in converting:
        convert(crd, endpoint.conversion())
    try:
        yield
    finally:
        for one in configurations:
            kubectl(cluster, "delete", one["kind"], one["metadata"]["name"])
        for crd in converting:
            convert(
                crd, {"spec": {"conversion": {"strategy": "None", "webhook": None}}}
            )


def check_every_sample(cluster: ControlPlane, name: str, log: Path) -> None:
    """Create the sample of each kind; it is admitted, converted and reconciled."""
    samples = path(name) / "config/samples"
    applied = json.loads(kubectl(cluster, "apply", "-o=json", "-k", str(samples)))
    for obj in applied.get("items", [applied]):
        group = obj["apiVersion"].partition("/")[0]
        (kind,) = (
            kind
            for kind in read([path(name) / "crds"])
            if (kind.group, kind.kind) == (group, obj["kind"])
        )
        await_reconciled(cluster, kind, obj, log)
        metadata = obj["metadata"]
        place = [f"-n={metadata['namespace']}"] if kind.namespaced else []
        for version in kind.served:
            resource = f"{kind.plural}.{version.name}.{kind.group}"
            kubectl(cluster, "get", resource, metadata["name"], *place)


def impersonating(cluster: ControlPlane, account: str) -> str:
    """Return a kubeconfig whose user acts as a service account."""
    config = json.loads(kubectl(cluster, "config", "view", "--raw", "-o", "json"))
    for user in config["users"]:
        user["user"] |= {
            "as": account,
            "as-groups": ["system:serviceaccounts", "system:authenticated"],
        }
    return json.dumps(config)


def await_reconciled(
    cluster: ControlPlane, kind: Kind, obj: dict[str, Any], log: Path
) -> None:
    """Wait for the status of the object as it is, or for word of it in the log."""
    place = obj["metadata"].get("namespace")
    name = obj["metadata"]["name"]
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = kubectl(
            cluster,
            "get",
            f"{kind.plural}.{kind.group}",
            name,
            "-o=json",
            *([f"-n={place}"] if place else []),
        )
        now = json.loads(found)
        if kind.storage.observed_generation:
            seen = now.get("status", {}).get("observedGeneration")
            reconciled = seen == now["metadata"]["generation"]
        else:
            reconciled = name in log.read_text()
        if reconciled:
            return
        time.sleep(0.1)
    pytest.fail(f"{kind.plural} {name} was never reconciled:\n{log.read_text()}")
