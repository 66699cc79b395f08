"""Which namespaces are tenants of a deployed operator, by its flags and as they change."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from scaffold.controlplane import ControlPlane
from tests import golden
from tests.deployed import apply, kubectl, running, until
from tests.gotests import go

pytestmark = [pytest.mark.golang, pytest.mark.controlplane]

NAME = "fleet"
PROJECT = golden.EXAMPLES / NAME / "golden"
SAMPLE = PROJECT / "config/samples/transport_v1_fleet.yaml"


def make(cluster: ControlPlane, namespace: str, *labels: str) -> None:
    """Make a namespace with labels, and a Fleet in it."""
    kubectl(cluster, "create", "namespace", namespace)
    for label in labels:
        kubectl(cluster, "label", "namespace", namespace, label)
    fleet = SAMPLE.read_text("utf-8").replace("default", namespace)
    assert f"namespace: {namespace}" in fleet
    kubectl(cluster, "create", "-f", "-", stdin=fleet)


def reconciled(cluster: ControlPlane, namespace: str) -> bool:
    found = kubectl(cluster, "get", "fleets", "-n", namespace, "-o=json")
    (fleet,) = json.loads(found)["items"]
    seen = fleet.get("status", {}).get("observedGeneration")
    return bool(seen == fleet["metadata"]["generation"])


def test_objects_of_tenants_are_reconciled_and_no_others(
    cluster: ControlPlane, tmp_path: Path
) -> None:
    """The operator has its account's rights, and would be refused what it lacks."""
    apply(cluster, PROJECT)
    make(cluster, "stranger")
    make(cluster, "selected", "tenant=yes")
    make(cluster, "named")
    flags = ("--tenant-selector=tenant=yes", "--tenant-namespaces=named,absent")
    with running(cluster, PROJECT, NAME, tmp_path, *flags) as log:
        until("selected is worked for", log, lambda: reconciled(cluster, "selected"))
        until("named is worked for", log, lambda: reconciled(cluster, "named"))
        # What comes later, of a tenant, is worked on before what is no tenant's.
        make(cluster, "late", "tenant=yes")
        until("late is worked for", log, lambda: reconciled(cluster, "late"))
        assert not reconciled(cluster, "stranger")
        kubectl(cluster, "label", "namespace", "stranger", "tenant=yes")
        until("it is a tenant", log, lambda: reconciled(cluster, "stranger"))
        kubectl(cluster, "delete", "namespace", "stranger", "--wait=true")


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--tenant-selector=team in north",), "give a label selector of namespaces"),
        (("--tenant-namespaces=north,,south",), "give names separated by commas"),
        (("--tenant-workers=1",), "give 2 or more, or 0 for 10"),
        (("--tenant-rbac", "--tenant-service-account=a"), "leave one of the two out"),
        (("--tenant-network-policy",), "say which are tenants"),
    ],
)
def test_flags_that_cannot_be_meant_end_the_operator(
    cluster: ControlPlane, tmp_path: Path, flags: tuple[str, ...], says: str
) -> None:
    go(PROJECT, "build", "-o", str(tmp_path / "manager"), "./cmd/manager")
    run = subprocess.run(
        [tmp_path / "manager", "--metrics-bind-address=0", *flags],
        env=os.environ | {"KUBECONFIG": str(cluster.kubeconfig)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 1, run.stderr
    assert flags[0].partition("=")[0] in run.stderr
    assert says in run.stderr
