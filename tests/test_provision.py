"""What tenants' namespaces have: what is emitted, and a deployed operator that keeps it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from scaffold.controlplane import ControlPlane
from tests import golden
from tests.deployed import apply, attempt, kubectl, namespace, running, until
from tests.test_tenancy import make, reconciled

NAME = "fleet"
PROJECT = golden.EXAMPLES / NAME / "golden"
TENANT = f"{NAME}-tenant"
LABEL = f"rbac.{NAME}.ctxscaffold.dev/aggregate-to-tenant"
KEPT = "serviceaccounts,rolebindings,networkpolicies"


def roles() -> dict[str, dict[str, Any]]:
    """Return the ClusterRoles beside the operator's rights, by their names."""
    documents = YAML(typ="safe").load_all(PROJECT / "config/rbac/role.yaml")
    return {document["metadata"]["name"]: document for document in documents}


def test_the_operators_rights_are_on_the_one_name() -> None:
    resources = {
        "serviceaccounts": {"impersonate"},
        "rolebindings": set(),
        "networkpolicies": set(),
        "clusterroles": {"bind"},
    }
    found = [
        rule
        for rule in roles()["manager"]["rules"]
        if resources.keys() & set(rule["resources"])
    ]
    assert len(found) == len(resources)
    for rule in found:
        (resource,) = rule["resources"]
        assert rule["resourceNames"] == [TENANT]
        kept = {"get", "list", "watch", "create", "patch", "delete"}
        more = resources[resource]
        assert set(rule["verbs"]) == (
            more if resource == "clusterroles" else kept | more
        )


def test_the_role_of_accounts_is_made_of_others() -> None:
    assert roles()["tenant"]["aggregationRule"] == {
        "clusterRoleSelectors": [{"matchLabels": {LABEL: "true"}}]
    }
    assert "rules" not in roles()["tenant"], "they are the controller's to write"
    kinds = roles()["tenant-kinds"]
    assert kinds["metadata"]["labels"] == {LABEL: "true"}
    verbs = {
        (rule["apiGroups"][0], rule["resources"][0]): rule["verbs"]
        for rule in kinds["rules"]
    }
    assert verbs["transport.example.com", "fleets"] == ["get", "list", "watch"]
    assert verbs["transport.example.com", "fleets/finalizers"] == ["update"]


def test_without_tenancy_there_is_nothing_of_it() -> None:
    project = golden.EXAMPLES / "minimal/golden"
    text = (project / "config/rbac/role.yaml").read_text("utf-8")
    assert "tenant" not in text
    assert not (project / "internal/runtime/provision").exists()


@pytest.mark.golang
@pytest.mark.controlplane
def test_a_deployed_operator_keeps_what_tenants_have(
    cluster: ControlPlane, tmp_path: Path
) -> None:
    """It has its account's rights, and would be refused what it lacks."""
    apply(cluster, PROJECT)
    more = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "fleet-tenant-deployments", "labels": {LABEL: "true"}},
        "rules": [
            {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["create"]}
        ],
    }
    kubectl(cluster, "create", "-f", "-", stdin=json.dumps(more))

    def kept(place: str) -> list[str]:
        listed = kubectl(
            cluster,
            "get",
            KEPT,
            f"-n={place}",
            f"--field-selector=metadata.name={TENANT}",
            "-o=json",
        )
        return sorted(item["kind"] for item in json.loads(listed)["items"])

    everything = ["NetworkPolicy", "RoleBinding", "ServiceAccount"]

    def may(*what: str) -> bool:
        asked = attempt(cluster, "auth", "can-i", "-n=provided", *what, f"--as={user}")
        return asked.stdout.strip() == "yes"

    user = f"system:serviceaccount:provided:{TENANT}"
    make(cluster, "provided", "provided=yes")
    kubectl(cluster, "create", "namespace", "unprovided")
    flags = ("--tenant-rbac", "--tenant-network-policy")
    with running(
        cluster, PROJECT, NAME, tmp_path, "--tenant-selector=provided=yes", *flags
    ) as log:
        until("all is kept", log, lambda: kept("provided") == everything)
        until("work is done", log, lambda: reconciled(cluster, "provided"))
        until("a role is added", log, lambda: may("create", "deployments.apps"))
        assert may("get", "fleets.transport.example.com")
        assert not may("delete", "fleets.transport.example.com")
        assert not may("get", "secrets")
        policy = kubectl(
            cluster, "get", "networkpolicy", TENANT, "-n=provided", "-o=json"
        )
        _, operator = json.loads(policy)["spec"]["ingress"][0]["from"]
        assert operator["namespaceSelector"]["matchLabels"] == {
            "kubernetes.io/metadata.name": namespace(NAME)
        }
        kubectl(cluster, "delete", KEPT, TENANT, "-n=provided")
        until("all is put back", log, lambda: kept("provided") == everything)
        assert kept("unprovided") == []
        kubectl(cluster, "label", "namespace", "provided", "provided-")
        until("all is removed", log, lambda: kept("provided") == [])
        kubectl(cluster, "label", "namespace", "provided", "provided=yes")
        until("all is kept again", log, lambda: kept("provided") == everything)
    # As docs/tenancy.md has it, for what an operator without flags leaves.
    kubectl(cluster, "delete", KEPT, "-A", f"--field-selector=metadata.name={TENANT}")
    assert kept("provided") == []
    kubectl(cluster, "delete", "namespace", "provided", "unprovided")
    kubectl(cluster, "delete", "clusterrole", "fleet-tenant-deployments")
