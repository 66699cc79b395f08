from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaffold.crd import names, yamltext
from scaffold.crd.document import parse
from scaffold.crd.read import read
from scaffold.errors import InputError
from tests.crd.bad_input import GOOD


@pytest.mark.parametrize(
    ("json_name", "go_name"),
    [
        ("size", "Size"),
        ("clusterIP", "ClusterIP"),
        ("clusterIp", "ClusterIP"),
        ("cluster-ip", "ClusterIP"),
        ("podIPs", "PodIPs"),
        ("jwksUri", "JwksURI"),
        ("httpsProxy", "HTTPSProxy"),
        ("apiVersion", "APIVersion"),
        ("3scale", "X3Scale"),
        ("type", "Type"),
        ("$ref", "Ref"),
        ("*", "Star"),
        ("!=", "NotEqual"),
        ("", "Empty"),
        ("\u00fc", "U00FC"),
    ],
)
def test_identifiers(json_name: str, go_name: str) -> None:
    assert names.spelled(json_name) == go_name


def test_fields_that_go_spells_alike() -> None:
    found = names.fields(
        ["jwks_uri", "jwksUri", "jwks-uri", "deepCopy"], frozenset({"DeepCopy"})
    )
    assert found == {
        "jwksUri": "JwksURI",
        "jwks-uri": "JwksURI2",
        "jwks_uri": "JwksURI3",
        "deepCopy": "DeepCopy2",
    }


def test_packages_avoid_go_and_each_other() -> None:
    assert names.package_names(
        [
            ("Type", "a.example.com"),
            ("Widget", "a.example.com"),
            ("Widget", "b.example.com"),
            ("Gadget", "b.example.com"),
        ]
    ) == ["typea", "widgeta", "widgetb", "gadget"]
    assert names.group_dirs(["a.x.com", "a.y.com", "b.x.com"]) == ["ax", "ay", "b"]


@pytest.mark.parametrize(
    ("version", "package"),
    [("v1", "v1"), ("v1alpha1", "v1alpha1"), ("go", "goversion")],
)
def test_version_packages(version: str, package: str) -> None:
    assert names.version_package(version) == package


_CRD: dict[str, Any] = parse("good", GOOD.encode())[0].data
_NAMES = st.sampled_from(
    ["storage", "storageClass", "class", "item", "items", "spec", "a", "b-c", "bC"]
)
_SCHEMAS = st.recursive(
    st.sampled_from([{"type": "string"}, {"type": "string", "enum": ["x", "y"]}]),
    lambda inner: st.dictionaries(_NAMES, inner, min_size=1, max_size=3).map(
        lambda properties: {"type": "object", "properties": properties}
    )
    | inner.map(lambda items: {"type": "array", "items": items}),
    max_leaves=8,
)


def _types(schema: dict[str, Any]) -> dict[str, str]:
    """Return the Go type name of each place in a schema that has one."""
    crd = copy.deepcopy(_CRD)
    root = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    root["properties"]["spec"] = schema
    try:
        (kind,) = read([yamltext.dump(crd).encode()])
    except InputError:
        return {}
    found = {}
    for block in kind.versions[0].code.blocks:
        for line in block.splitlines():
            if (
                line.startswith("// ")
                and " is " in line
                and line.endswith(" of Widget.")
            ):
                name, _, place = line[3:].partition(" is ")
                found[place] = name
    return found


def _described(schema: Any) -> Any:
    if (
        isinstance(schema, dict)
        and "type" in schema
        and isinstance(schema["type"], str)
    ):
        made = {key: _described(value) for key, value in schema.items()}
        return {**made, "description": "D."}
    if isinstance(schema, dict):
        return {key: _described(value) for key, value in schema.items()}
    return schema


@given(st.dictionaries(_NAMES, _SCHEMAS, min_size=1, max_size=3), _SCHEMAS)
def test_a_new_field_renames_no_type(
    properties: dict[str, Any], added: dict[str, Any]
) -> None:
    """A field whose name shares no letters with others leaves all names alone."""
    before = _types(_described({"type": "object", "properties": properties}))
    grown = {**properties, "zzzNew": added}
    after = _types(_described({"type": "object", "properties": grown}))
    assert before.items() <= after.items()
