"""Types of Kubernetes are known by their schemas, whatever these are told in."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from scaffold.crd import known
from scaffold.crd.document import parse
from scaffold.crd.model import Kind
from scaffold.crd.read import read
from tests.crd import wording
from tests.crd.bad_input import GOOD

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
CRDS = sorted(EXAMPLES.glob("*/crds/*.yaml"))
# Those that nothing but their schema makes known. A table's cells have no type.
TELLING = sorted(
    one["type"]
    for same in known._table()["types"].values()
    for one in same
    if one["weight"] >= known._TELLING
    and len(same) == 1
    and not one["type"].endswith(known._OWN)
    and not one["type"].startswith("metav1.Table")
)


def crd(**properties: Any) -> dict[str, Any]:
    """Return a CRD with these properties in its spec."""
    made: dict[str, Any] = copy.deepcopy(parse("good", GOOD.encode())[0].data)
    root = made["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    root["properties"]["spec"]["properties"] = copy.deepcopy(properties)
    return made


def read_one(document: dict[str, Any]) -> Kind:
    """Return the kind of a CRD."""
    (kind,) = read([json.dumps(document).encode()])
    return kind


def known_types(**properties: Any) -> dict[str, int]:
    """Return the types of Kubernetes in a kind with these properties in its spec."""
    return dict(read_one(crd(**properties)).storage.code.known_types)


def schema(name: str) -> dict[str, Any]:
    """Return the schema of a type in the pinned release."""
    (one,) = (
        one
        for same in known._table()["types"].values()
        for one in same
        if one["type"] == name
    )
    return copy.deepcopy(known._schema(one["schema"]))


@pytest.mark.parametrize("edit", wording.EDITS)
@pytest.mark.parametrize("path", CRDS, ids=lambda path: path.parent.parent.name)
def test_no_edit_of_documentation_changes_go(path: Path, edit: str) -> None:
    kinds = read([path])
    again = read(
        [
            json.dumps(wording.reworded(kind.document, wording.EDITS[edit])).encode()
            for kind in kinds
        ]
    )
    assert list(map(wording.go, kinds)) == list(map(wording.go, again))


@pytest.mark.parametrize("edit", wording.EDITS)
def test_every_telling_type_is_known_in_any_words(edit: str) -> None:
    document = crd(**{name: schema(name) for name in TELLING})
    kind = read_one(wording.reworded(document, wording.EDITS[edit]))
    found = dict(kind.storage.code.known_types)
    assert not set(TELLING) - found.keys()


def test_words_of_another_release_are_restored_by_the_patch() -> None:
    selector = schema("metav1.LabelSelector")
    selector["properties"]["matchLabels"]["description"] = "Labels, as they were told."
    del selector["properties"]["matchExpressions"]["description"]
    kind = read_one(crd(pods=selector))
    assert kind.exact
    changes = {
        one["path"].partition("/properties/pods/properties/")[2]: one["op"]
        for one in kind.residual
        if "/properties/pods/" in one["path"]
    }
    assert changes == {
        "matchLabels/description": "replace",
        "matchExpressions/description": "remove",
    }


def test_a_condition_that_nobody_described_is_one() -> None:
    condition = schema("metav1.Condition")
    for told in condition["properties"].values():
        del told["description"]
    assert known_types(conditions={"type": "array", "items": condition}) == {
        "metav1.Condition": 1
    }


def test_what_go_cannot_say_is_no_type_of_kubernetes() -> None:
    condition = schema("metav1.Condition")
    condition["properties"]["reason"]["maxLength"] = 10
    assert known_types(conditions={"type": "array", "items": condition}) == {
        "metav1.Time": 1
    }


def test_a_default_counts_though_it_is_empty() -> None:
    # As before v0.30: an API server fills in nothing.
    selector = schema("corev1.SecretKeySelector")
    assert selector["properties"]["name"].pop("default") == ""
    assert known_types(secretKeyRef=selector) == {}


def test_the_name_of_the_field_decides_between_types_of_one_schema() -> None:
    selector = schema("corev1.SecretKeySelector")
    assert known_types(password=selector) == {"corev1.SecretKeySelector": 1}
    assert known_types(configMapKeyRef=selector) == {"corev1.ConfigMapKeySelector": 1}
    around = {"type": "object", "properties": {"key": selector}}
    assert known_types(settingsConfigMap=around) == {"corev1.ConfigMapKeySelector": 1}


def test_a_small_schema_needs_a_name_of_kubernetes() -> None:
    pair = schema("corev1.Sysctl")
    listed = {"type": "array", "items": pair}
    assert known_types(parameters=listed) == {}
    assert known_types(sysctls=listed) == {"corev1.Sysctl": 1}
    assert known_types(httpHeaders=listed) == {"corev1.HTTPHeader": 1}


def test_the_state_of_other_kinds_is_not_a_kinds_own() -> None:
    # As in autoscaling/v2, and in a hundred projects' own types.
    condition = schema("autoscalingv2.HorizontalPodAutoscalerCondition")
    document = crd()
    root = document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    root["properties"]["status"] = {
        "type": "object",
        "properties": {"conditions": {"type": "array", "items": condition}},
    }
    kind = read_one(document)
    assert dict(kind.storage.code.known_types) == {"metav1.Time": 1}
    assert kind.storage.own_conditions


def test_spec_and_status_are_the_kinds_own() -> None:
    document = crd()
    root = document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    root["properties"]["spec"] = schema("corev1.PodSpec")
    assert "WidgetSpec struct" in "\n".join(read_one(document).storage.code.blocks)


def test_a_described_element_is_no_type_of_its_own() -> None:
    names = {"type": "array", "items": {"type": "string", "description": "A name."}}
    (kind,) = read([json.dumps(crd(names=names)).encode()])
    assert "Names []string" in "\n".join(kind.storage.code.blocks)
    assert any(
        one["path"].endswith("/names/items/description") for one in kind.residual
    )
