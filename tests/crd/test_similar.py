"""Types that were made from another release of Kubernetes, and the way to its own."""

from __future__ import annotations

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from scaffold.crd import known
from scaffold.crd.document import parse
from scaffold.crd.model import Kind
from scaffold.crd.read import read
from tests.crd import checks, make_known
from tests.crd.bad_input import GOOD
from tests.crd.oracle import Oracle

_CRD: dict[str, Any] = parse("good", GOOD.encode())[0].data


def _strings(*names: str) -> dict[str, Any]:
    return _object(**{name: {"type": "string"} for name in names})


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


_BOOL = {"type": "boolean"}
_INT = {"type": "integer", "format": "int64"}
_TEXTS = _list({"type": "string"})
# As before v0.30, which added appArmorProfile; in nobody's words.
SECURITY_CONTEXT = _object(
    allowPrivilegeEscalation=_BOOL,
    capabilities=_object(add=_TEXTS, drop=_TEXTS),
    privileged=_BOOL,
    procMount={"type": "string"},
    readOnlyRootFilesystem=_BOOL,
    runAsGroup=_INT,
    runAsNonRoot=_BOOL,
    runAsUser=_INT,
    seLinuxOptions=_strings("level", "role", "type", "user"),
    seccompProfile=_strings("localhostProfile", "type"),
    windowsOptions={
        "type": "object",
        "properties": {
            **_strings("gmsaCredentialSpec", "gmsaCredentialSpecName")["properties"],
            "hostProcess": _BOOL,
            "runAsUserName": {"type": "string"},
        },
    },
)
_SELECTOR = _object(
    matchExpressions=_list(
        _object(key={"type": "string"}, operator={"type": "string"}, values=_TEXTS)
    ),
    matchLabels={"type": "object", "additionalProperties": {"type": "string"}},
)
_TERM = _object(
    labelSelector=_SELECTOR,
    namespaceSelector=_SELECTOR,
    namespaces=_TEXTS,
    topologyKey={"type": "string"},
)
# PodAffinity and PodAntiAffinity alike, as before v0.29.
AFFINITY = _object(
    preferredDuringSchedulingIgnoredDuringExecution=_list(
        _object(podAffinityTerm=_TERM, weight={"type": "integer"})
    ),
    requiredDuringSchedulingIgnoredDuringExecution=_list(_TERM),
)


def kind(**properties: Any) -> Kind:
    """Return a kind with these properties in its spec."""
    crd = copy.deepcopy(_CRD)
    root = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    root["properties"]["spec"] = _object(**properties)
    (made,) = read([json.dumps(crd).encode()])
    return made


def similar(**properties: Any) -> dict[str, str]:
    """Return the types of Kubernetes that types of such a kind are similar to."""
    code = kind(**properties).storage.code
    return {one.name: one.go for one in code.similar}


def test_the_shape_of_an_older_release_is_recognised() -> None:
    assert similar(context=SECURITY_CONTEXT, list=_list(SECURITY_CONTEXT)) == {
        "WidgetSpecContext": "corev1.SecurityContext",
        "WidgetSpecListItem": "corev1.SecurityContext",
    }


def test_a_field_that_no_release_has_is_not_lost() -> None:
    more = copy.deepcopy(SECURITY_CONTEXT)
    more["properties"]["windowsOptions"]["properties"]["own"] = _BOOL
    found = similar(context=more)
    assert "WidgetSpecContext" not in found
    assert found["WidgetSpecContextCapabilities"] == "corev1.Capabilities"


def test_a_field_that_the_pinned_release_dropped_is_not_lost() -> None:
    # corev1.PodResourceClaim up to v0.30.
    source = _strings("resourceClaimName", "resourceClaimTemplateName")
    claim = _object(name={"type": "string"}, source=source)
    assert similar(claims=_list(claim)) == {}


def test_nulls_are_not_lost() -> None:
    changed = copy.deepcopy(SECURITY_CONTEXT)
    changed["properties"]["runAsUser"]["nullable"] = True
    assert "WidgetSpecContext" not in similar(context=changed)


def test_the_field_decides_between_types_of_one_shape() -> None:
    assert similar(podAntiAffinity=AFFINITY) == {
        "WidgetSpecPodAntiAffinity": "corev1.PodAntiAffinity"
    }
    assert similar(podAffinity=AFFINITY) == {
        "WidgetSpecPodAffinity": "corev1.PodAffinity"
    }
    assert similar(podRules=_object(antiAffinity=AFFINITY)) == {
        "WidgetSpecPodRulesAntiAffinity": "corev1.PodAntiAffinity"
    }
    assert "WidgetSpecPlacement" not in similar(placement=AFFINITY)


def test_a_small_shape_needs_a_name_of_kubernetes() -> None:
    reference = _strings("name", "namespace")
    assert similar(owner=reference) == {}
    assert similar(secretRef=reference) == {
        "WidgetSpecSecretRef": "corev1.SecretReference"
    }


def test_no_known_types_makes_no_helpers() -> None:
    made = kind(context=SECURITY_CONTEXT)
    (plain,) = read([made.yaml.encode()], known_types=False)
    assert made.storage.code.similar and not plain.storage.code.similar


@pytest.mark.golang
def test_helpers_lose_nothing(tmp_path: Path) -> None:
    port = {**_strings("hostIP", "name", "protocol")}
    port["properties"] |= {
        "containerPort": {"type": "integer"},
        "hostPort": {"type": "integer"},
    }
    kinds = (kind(context=SECURITY_CONTEXT, port=port),)
    checks.go_module(tmp_path)
    for path, text in checks.rendered("op", kinds).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    (package,) = tmp_path.glob("api/*/v1")
    text = Path(__file__).with_name("similar_test.go.txt").read_text()
    (package / "similar_test.go").write_text(text)
    run = subprocess.run(
        ["go", "test", "./api/..."], cwd=tmp_path, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.golang
def test_the_table_of_known_types_is_current(tmp_path: Path, oracle: Oracle) -> None:
    """The pinned release in full, and an older one: the others are made alike."""
    table = json.loads(known.TABLE.read_text("utf-8"))
    latest = make_known.Release(make_known.pinned(), oracle)
    assert (table["types"], table["schemas"]) == make_known.exact(latest)
    assert table["fields"] == make_known.fields(latest)
    older = make_known.Release("v0.30.14", oracle)
    assert set(older.sums + latest.sums) <= {
        line for lines in table["releases"] for line in lines
    }
    assert len(table["releases"]) == len(make_known.RELEASES) + 1
    rows = {(row["type"], row["shape"]): row for row in table["shapes"]}
    for row in make_known.similar(latest, [older]):
        assert rows[row["type"], row["shape"]] == row
