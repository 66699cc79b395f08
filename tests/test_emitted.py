"""The committed operators build, pass their own tests, and run as they are deployed."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from scaffold.controlplane import ControlPlane
from scaffold.crd.model import Kind
from scaffold.crd.read import read
from tests import golden
from tests.deployed import (
    apply,
    attempt,
    kubectl,
    namespace,
    pod,
    running,
    until,
)
from tests.gotests import Record, go, go_test
from tests.trees import tree

pytestmark = [pytest.mark.golang, pytest.mark.controlplane]

NAMES = golden.names()


def path(name: str) -> Path:
    return golden.EXAMPLES / name / "golden"


@pytest.fixture(scope="module", params=NAMES)
def deployed(request: pytest.FixtureRequest, cluster: ControlPlane) -> str:
    """An example whose manifests are in the cluster, but for its webhooks.

    No network leads from the API server to a Service here; and cert-manager is
    not installed.
    """
    name: str = request.param
    apply(cluster, path(name))
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
    # One after the other: they share the cluster, and while one tests what becomes of
    # a kind's objects, another must not have them denied, nor converted elsewhere.
    go_test(
        path(deployed),
        record_property,
        "-p=1",
        "-tags=integration",
        *own_packages(deployed),
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


def test_its_namespace_takes_its_pods(deployed: str, cluster: ControlPlane) -> None:
    """By the restricted Pod Security; and an hour is what its token lasts."""
    spec = pod(cluster, deployed)
    taken = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "taken", "namespace": namespace(deployed)},
        "spec": spec,
    }
    create = ("create", "--dry-run=server", "-f", "-")
    kubectl(cluster, *create, stdin=json.dumps(taken))
    refused = {**taken, "spec": {**spec, "hostNetwork": True}}
    done = attempt(cluster, *create, stdin=json.dumps(refused))
    assert "violates PodSecurity" in done.stderr
    assert spec["automountServiceAccountToken"] is False
    (token,) = (
        source["serviceAccountToken"]
        for volume in spec["volumes"]
        for source in volume.get("projected", {}).get("sources", ())
        if "serviceAccountToken" in source
    )
    assert token["expirationSeconds"] <= 3600
    (budget,) = json.loads(
        kubectl(cluster, "get", "pdb", f"-n={namespace(deployed)}", "-o=json")
    )["items"]
    assert budget["spec"]["maxUnavailable"] == 1


def test_runs_with_the_rights_it_is_deployed_with(
    deployed: str, cluster: ControlPlane, tmp_path: Path
) -> None:
    """The operator works as its service account, with the arguments of its pod."""
    spec = pod(cluster, deployed)
    (container,) = spec["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert f"--pod-grace={spec['terminationGracePeriodSeconds']}s" in container["args"]

    project = path(deployed)
    with running(cluster, project, deployed, tmp_path, "--zap-log-level=debug") as log:
        check_every_sample(cluster, deployed, log)
        if deployed == "fleet":
            wakes_by_namesakes(cluster, log)


def wakes_by_namesakes(cluster: ControlPlane, log: Path) -> None:
    """Fleets are woken by ConfigMaps, though another watched API is not there."""

    def passes() -> int:
        lines = log.read_text().splitlines()
        return sum('"controller":"fleet"' in line for line in lines)

    (fleet,) = json.loads(kubectl(cluster, "get", "fleets", "-A", "-o=json"))["items"]
    place = ["-n", fleet["metadata"]["namespace"]]
    before = passes()
    kubectl(cluster, *place, "create", "configmap", fleet["metadata"]["name"])
    until("the fleet is woken", log, lambda: passes() > before)
    assert "httproutes.gateway.networking.k8s.io" in log.read_text()


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


def await_reconciled(
    cluster: ControlPlane, kind: Kind, obj: dict[str, Any], log: Path
) -> None:
    """Wait for the status of the object as it is, or for word of it in the log."""
    place = obj["metadata"].get("namespace")
    name = obj["metadata"]["name"]

    def reconciled() -> bool:
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
            return bool(seen == now["metadata"]["generation"])
        return name in log.read_text()

    until(f"{kind.plural} {name} is reconciled", log, reconciled)
