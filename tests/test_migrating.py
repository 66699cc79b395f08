"""CRDs as they are in the middle of a migration, and as another operator left them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from scaffold import project as projects
from scaffold.check import check
from scaffold.controlplane import ensure_built
from tests.gotests import Record, go_test
from tests.trees import tree

pytestmark = pytest.mark.golang

GROUP = "optics.example.com"


def crd(kind: str, *versions: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """Return a CRD with a field ``size`` in the spec of every version."""
    plural = f"{kind.lower()}s"
    schema = {
        "type": "object",
        "properties": {
            "spec": {"type": "object", "properties": {"size": {"type": "integer"}}},
            "status": {"type": "object", "properties": {"phase": {"type": "string"}}},
        },
    }
    common = {
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
        "served": True,
        "storage": False,
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {"kind": kind, "plural": plural},
            "scope": "Namespaced",
            "versions": [common | version for version in versions],
            **spec,
        },
    }


FOREIGN = {
    "strategy": "Webhook",
    "webhook": {
        "conversionReviewVersions": ["v1"],
        "clientConfig": {"service": {"name": "other", "namespace": "other-system"}},
    },
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of a kind whose stored version is not served, and one of a single version."""
    folder = tmp_path_factory.mktemp("migrating")
    crds = folder / "crds"
    crds.mkdir()
    lens = crd("Lens", {"name": "v1", "storage": True}, conversion=FOREIGN)
    root = lens["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for name in ("getName", "setFinalizers", "getObjectMeta"):
        root["properties"][name] = {"type": "string"}
    prism = crd(
        "Prism",
        {"name": "v1", "storage": True, "served": False},
        {"name": "v2"},
        {"name": "v3alpha1"},
    )
    for one in (lens, prism):
        with (crds / f"{one['spec']['names']['plural']}.yaml").open("w") as file:
            YAML().dump(one, file)
    answers = {"project_name": "op", "module": "example.com/op", "http_api": True}
    projects.new(folder / "op", [crds], answers)
    return folder / "op"


def test_it_works_in_the_most_stable_version_that_is_served(project: Path) -> None:
    files = tree(project)
    reconciler = files["internal/controller/prism/zz_generated.reconciler.go"]
    assert "type Prism = opticsv2.Prism" in reconciler
    manifests = files["config/webhook/manifests.yaml"]
    assert "apiVersions: [v2]" in manifests
    assert "/validate-optics-example-com-v2-prism" in manifests
    assert "// Hub marks Prism in v1 as" in (
        files["api/optics/v1/zz_generated.conversion.prism.go"]
    )
    assert list(check(project))[-1] == "go vet"


def test_a_single_version_has_no_conversion_webhook(project: Path) -> None:
    """What the CRD says stays in the base; what is applied converts nothing."""
    base = project / f"config/crd/bases/lenss.{GROUP}.yaml"
    assert YAML(typ="safe").load(base)["spec"]["conversion"] == FOREIGN
    kustomization = YAML(typ="safe").load(project / "config/crd/kustomization.yaml")
    (patch,) = kustomization["patches"]
    assert patch["target"]["name"] == f"lenss.{GROUP}"
    assert YAML(typ="safe").load(patch["patch"]) == [
        {"op": "replace", "path": "/spec/conversion", "value": {"strategy": "None"}}
    ]


@pytest.mark.controlplane
def test_what_is_not_served_is_not_watched(
    project: Path, tmp_path: Path, record_property: Record
) -> None:
    """The emitted conformance tests pass on a real API server."""
    own = Path(shutil.copytree(project, tmp_path / "op"))
    go_test(
        own,
        record_property,
        "-tags",
        "integration",
        "./internal/controller/prism",
        "./internal/webhook/prism",
        env=os.environ | {"KUBEBUILDER_ASSETS": str(ensure_built(print))},
    )
