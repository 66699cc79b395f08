"""Quotas of tenants: what is emitted, and a deployed operator that keeps them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from scaffold.controlplane import ControlPlane
from scaffold.resources import root
from tests import golden
from tests.deployed import apply, kubectl, running, until
from tests.gotests import go
from tests.test_tenancy import make

NAME = "fleet"
PROJECT = golden.EXAMPLES / NAME / "golden"
GROUP = f"tenancy.{NAME}.ctxscaffold.dev"
CRDS = PROJECT / "config/crd/bases"
SAMPLES = PROJECT / "config/samples/tenancy"


def test_both_kinds_are_out_of_reach_of_a_namespace() -> None:
    for plural in ("tenantquotas", "quotatemplates"):
        crd = YAML(typ="safe").load(CRDS / f"{plural}.{GROUP}.yaml")
        assert crd["metadata"]["name"] == f"{plural}.{GROUP}"
        assert crd["spec"]["scope"] == "Cluster"
        (version,) = crd["spec"]["versions"]
        assert version["subresources"] == {"status": {}}
    kustomization = (CRDS.parent / "kustomization.yaml").read_text("utf-8")
    assert f"bases/tenantquotas.{GROUP}.yaml" in kustomization
    # What is aggregated to edit and view says nothing of them.
    assert GROUP not in (PROJECT / "config/rbac/kind_roles.yaml").read_text("utf-8")


def test_without_tenancy_there_is_nothing_of_it() -> None:
    files = (golden.EXAMPLES / "minimal/golden").rglob("*quota*")
    assert [path.name for path in files] == []


@pytest.mark.golang
def test_controller_gen_agrees_with_deepcopy(tmp_path: Path) -> None:
    runtime = root() / "templates/runtime"
    go(
        PROJECT / "tools",
        "build",
        "-o",
        str(tmp_path / "controller-gen"),
        "sigs.k8s.io/controller-tools/cmd/controller-gen",
    )
    copy = tmp_path / "runtime"
    shutil.copytree(runtime, copy)
    written = copy / "quota/zz_generated.deepcopy.go"
    before = written.read_text("utf-8")
    written.unlink()
    subprocess.run(
        [tmp_path / "controller-gen", "object", "paths=./quota"], cwd=copy, check=True
    )
    assert written.read_text("utf-8") == before


@pytest.mark.golang
@pytest.mark.controlplane
def test_a_deployed_operator_keeps_quotas(
    cluster: ControlPlane, tmp_path: Path
) -> None:
    """It has its account's rights, and would be refused what it lacks."""
    apply(cluster, PROJECT)
    kubectl(cluster, "apply", "--dry-run=server", "-f", str(SAMPLES))
    make(cluster, "bounded", "plan=small")
    template = (SAMPLES / "quotatemplate.yaml").read_text("utf-8")
    kubectl(cluster, "create", "-f", "-", stdin=template)

    def hard() -> str:
        found = json.loads(
            kubectl(cluster, "get", "resourcequotas", "-n", "bounded", "-o=json")
        )
        counts = [item["spec"]["hard"] for item in found["items"]]
        return str([one["count/fleets.transport.example.com"] for one in counts])

    def message() -> str:
        found = kubectl(cluster, "get", "tenantquotas", "bounded", "-o=json")
        conditions = json.loads(found).get("status", {}).get("conditions", [])
        return "".join(
            one["message"] for one in conditions if one["type"] == "WithinQuota"
        )

    with running(cluster, PROJECT, NAME, tmp_path) as log:
        until("the template is kept", log, lambda: hard() == "['10']")
        own = {
            "apiVersion": f"{GROUP}/v1",
            "kind": "TenantQuota",
            "metadata": {"name": "bounded"},
            "spec": {"objects": {"fleets.transport.example.com": 1}},
        }
        kubectl(cluster, "create", "-f", "-", stdin=json.dumps(own))
        until(
            "the numbers are told",
            log,
            lambda: "1 of 1 fleets.transport.example.com" in message(),
        )
        kubectl(cluster, "delete", "tenantquota/bounded", "quotatemplate/small")
        until("nothing is kept", log, lambda: hard() == "[]")
    kubectl(cluster, "delete", "namespace", "bounded", "--wait=true")
