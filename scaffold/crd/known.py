"""Recognising the types of Kubernetes in schemas that were made from them.

A node *is* a type of k8s.io/api or apimachinery when its schema is, word for
word, what controller-gen makes of that type in the pinned release: structure,
validation and descriptions. Then the type stands in for it and nothing is lost
either way: :func:`recognise`.

A node is *similar* to a type when it has the names and types of everything
that the type has in some release, and the pinned release has all of them still.
Then the node keeps a struct of its own, which can be turned into the type and
back: :func:`similar`.

``known.json`` is made from the releases by ``tests/crd/make_known.py``.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from scaffold.crd.gotypes import (
    ALIASES,
    APPSV1,
    AUTOSCALINGV2,
    BATCHV1,
    COREV1,
    METAV1,
    NETWORKINGV1,
    POLICYV1,
    RBACV1,
    Copying,
    External,
)
from scaffold.crd.markers import Schema
from scaffold.crd.residual import TYPE_META, normal_schema
from scaffold.crd.shapes import Shapes

TABLE = Path(__file__).with_name("known.json")
# The packages whose types are recognised.
PACKAGES = (
    COREV1,
    METAV1,
    APPSV1,
    AUTOSCALINGV2,
    BATCHV1,
    NETWORKINGV1,
    POLICYV1,
    RBACV1,
)
CONDITION = f"{METAV1}.Condition"
# A shape of fewer properties is no evidence without words: too many have it.
_TELLING = 4
# What a field adds to the schema of its type.
_OF_FIELD = frozenset(
    {"default", "description", "example", "externalDocs", "nullable", "title"}
)


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(TABLE.read_text("utf-8"))
    for key in ("types", "shapes"):
        by_shape: dict[str, list[dict[str, Any]]] = {}
        for one in table[key]:
            by_shape.setdefault(one["shape"], []).append(one)
        table[key] = by_shape
    return table


@cache
def _condition_digest() -> str:
    return digest(_undescribed(_table()["condition"]))


def digest(schema: Schema) -> str:
    """Return what tells one type's schema from another's, for this package."""
    bare = {key: value for key, value in schema.items() if key not in _OF_FIELD}
    text = json.dumps(
        normal_schema(bare, by_word=False),
        ensure_ascii=False,
        separators=(",", ":"),
        sort_keys=True,
    )
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def recognise(
    schema: Schema, is_field: bool, in_described: bool, shapes: Shapes
) -> tuple[External, Schema] | None:
    """Return the type an object's schema is made from, and that type's schema.

    On a field the description is the field's own; elsewhere it must be the
    type's. A condition that people described in their own words, or left out of
    their descriptions, is one as well: its type can be read off its validation.
    One in the words of another release of Kubernetes is not, because the pinned
    release would put its own words in their place; nor is one in a CRD that was
    stripped of all descriptions, see :func:`is_described`.
    """
    candidates = _table()["types"].get(shapes.shape(schema))
    if not candidates:
        return None
    wanted = digest(schema)
    for one in candidates:
        own = schema.get("description") or ""
        if one["digest"] == wanted and (is_field or own == one["description"]):
            base = {key: value for key, value in schema.items() if key not in _OF_FIELD}
            if schema.get("required"):
                base["required"] = sorted(schema["required"])
            if schema.get("description"):
                base["description"] = schema["description"]
            return _external(one), base
        name = f"{one['path']}.{one['name']}"
        if (
            name == CONDITION
            and in_described
            and _in_own_words(schema)
            and digest(_undescribed(schema)) == _condition_digest()
        ):
            return _external(one), _table()["condition"]
    return None


def similar(schema: Schema, field: str, shapes: Shapes) -> External | None:
    """Return the type that an object can be turned into and back, if there is one.

    Its descriptions, the node's own aside, are the type's in some release; or
    they are of another's making, but the shape is a telling one. Where several
    types have it, the name of the field decides between them, else none does.
    """
    candidates = _table()["shapes"].get(shapes.shape(schema))
    if not candidates:
        return None
    words = shapes.words(schema)
    in_words = [one for one in candidates if words in one["words"]]
    if not in_words and candidates[0]["size"] < _TELLING:
        return None
    found = {one["type"] for one in in_words or candidates}
    if len(found) > 1:
        found = _named_like(field, found)
    if len(found) != 1:
        return None
    alias, _, name = found.pop().partition(".")
    path = next(path for path in PACKAGES if ALIASES[path] == alias)
    return External(path, name)


def _named_like(field: str, types: set[str]) -> set[str]:
    """Return the types with the name of a field, or else with a first word in it."""
    own = {one: one.partition(".")[2] for one in types}
    field = field.lower()
    same = {one for one, name in own.items() if name.lower() == field}
    return same or {
        one
        for one, name in own.items()
        if (first := re.match("[A-Z]+[a-z]*", name)) and first[0].lower() in field
    }


def is_described(schema: Schema) -> bool:
    """Whether a version's schema describes anything besides the API machinery's part."""
    return any(
        _has_description(child or {})
        for name, child in (schema.get("properties") or {}).items()
        if name not in TYPE_META
    )


def _has_description(schema: Schema) -> bool:
    if schema.get("description"):
        return True
    children = list((schema.get("properties") or {}).values())
    children += [schema.get("items"), schema.get("additionalProperties")]
    return any(isinstance(one, dict) and _has_description(one) for one in children)


def _external(one: dict[str, Any]) -> External:
    copying = Copying.SHALLOW if one["shallow"] else Copying.STRUCT
    return External(one["path"], one["name"], copying)


def _in_own_words(schema: Schema) -> bool:
    told = (schema["properties"]["type"] or {}).get("description") or ""
    return not told.startswith("type of condition in CamelCase")


def _undescribed(schema: Schema) -> Schema:
    properties = {
        name: {
            key: value for key, value in (child or {}).items() if key != "description"
        }
        for name, child in schema["properties"].items()
    }
    return {**schema, "properties": properties}
