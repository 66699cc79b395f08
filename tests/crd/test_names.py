from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaffold.crd import names, package
from scaffold.crd.document import parse
from scaffold.crd.nodes import Node
from scaffold.crd.structs import RESERVED
from tests.crd.bad_input import GOOD

PAGE = Path(__file__).parent.parent.parent / "docs/names.md"


def rows(section: str) -> list[list[list[str]]]:
    """Return the table of a section of the page: in each row its columns' code."""
    text = PAGE.read_text("utf-8").split(f"\n## {section}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")][1:]
    return [
        [re.findall("`([^`]*)`|``", column) for column in line.split(" | ")]
        for line in lines
    ]


@pytest.mark.parametrize("row", rows("Words"), ids=str)
def test_words(row: list[list[str]]) -> None:
    (json_name,), (go_name,), *_ = row
    assert names.spelled(json_name) == go_name


def test_a_letter_that_go_cannot_spell() -> None:
    assert names.spelled("\u00fc") == "U00FC"


@pytest.mark.parametrize("row", rows("Fields of one object"), ids=str)
def test_fields(row: list[list[str]]) -> None:
    json_names, go_names, *_ = row
    assert names.fields(json_names[::-1], RESERVED) == dict(
        zip(json_names, go_names, strict=True)
    )


@pytest.mark.parametrize("row", rows("Types"), ids=str)
def test_types(row: list[list[str]]) -> None:
    places, go_names, *_ = row
    root: dict[str, Any] = {}
    for place in places:
        _grow(root, re.findall(r"\w+|\[\]|\{\}", place))
    found = _types_of_root(root["properties"])
    assert {place: found[place] for place in places} == dict(
        zip(places, go_names, strict=True)
    )


def _grow(schema: dict[str, Any], way: list[str]) -> None:
    """Add what a way leads through to a schema, an object at its end."""
    step, *rest = way or [""]
    if step == "[]":
        schema["type"] = "array"
        _grow(schema.setdefault("items", {}), rest)
        return
    schema["type"] = "object"
    if step == "{}":
        _grow(schema.setdefault("additionalProperties", {}), rest)
    elif step:
        _grow(schema.setdefault("properties", {}).setdefault(step, {}), rest)
    else:
        schema["properties"] = {"leaf": {"type": "string"}}


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


def _types_of_root(properties: dict[str, Any]) -> dict[str, str]:
    """Return the Go type name of each place below a root that has one."""
    crd = copy.deepcopy(_CRD)
    root = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    root["properties"] = properties
    member = package.Member("Widget", crd, "v1", known_types=False)
    package.write([member], {"Widget", "WidgetList"})
    return {
        node.path.removesuffix(" of Widget"): node.name
        for node in _nodes(member.root)
        if node.declared and node.path
    }


def _nodes(node: Node) -> Iterator[Node]:
    for _, child in node.children():
        yield child
        yield from _nodes(child)


@st.composite
def _grown(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return an object's properties, and the same with one more somewhere inside.

    It is not spelled like a field beside it, which may have to give its name up.
    """
    before = draw(st.dictionaries(_NAMES, _SCHEMAS, min_size=1, max_size=3))
    after = copy.deepcopy(before)
    objects = list(_objects(after))
    target = draw(st.sampled_from(objects))
    spelled = {names.spelled(one) for one in target}
    name = draw(_NAMES.filter(lambda one: names.spelled(one) not in spelled))
    target[name] = draw(_SCHEMAS)
    return before, after


def _objects(properties: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the properties of every object, the outermost first."""
    yield properties
    for schema in properties.values():
        while schema.get("type") == "array":
            schema = schema["items"]
        if "properties" in schema:
            yield from _objects(schema["properties"])


@given(_grown())
def test_a_new_field_renames_no_type(
    grown: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    """Only a type whose very name a new type spells gives it up; see docs/names.md."""
    before, after = (
        _types_of_root({"spec": {"type": "object", "properties": one}}) for one in grown
    )
    assert before.keys() <= after.keys()
    new = {name for place, name in after.items() if place not in before}
    renamed = {before[place] for place in before if after[place] != before[place]}
    assert renamed <= new
    assert len(set(after.values())) == len(after)
