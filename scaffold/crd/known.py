"""Recognising the types of Kubernetes in schemas that were made from them.

A node is a type of k8s.io/api or apimachinery when its schema is, word for
word, what controller-gen makes of that type in the pinned release: structure,
validation and descriptions. Then the type stands in for it and nothing is lost
either way. ``known.json`` is made by ``tests/crd/make_known.py``.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from scaffold.crd.golang import json_text
from scaffold.crd.gotypes import METAV1, Copying, External
from scaffold.crd.markers import Schema
from scaffold.crd.residual import TYPE_META, normal_schema

TABLE = Path(__file__).with_name("known.json")
CONDITION = f"{METAV1}.Condition"
# What a field adds to the schema of its type.
_OF_FIELD = frozenset(
    {"default", "description", "example", "externalDocs", "nullable", "title"}
)


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(TABLE.read_text("utf-8"))
    by_names: dict[str, list[dict[str, Any]]] = {}
    for one in table["types"]:
        by_names.setdefault(one["properties"], []).append(one)
    return {"by_names": by_names, "condition": table["condition"]}


def names_of(schema: Schema) -> str:
    """Return the property names of an object as one key of the table."""
    return " ".join(sorted(schema.get("properties") or ()))


def digest(schema: Schema) -> str:
    """Return what tells one type's schema from another's, for this package."""
    bare = {key: value for key, value in schema.items() if key not in _OF_FIELD}
    return hashlib.sha256(
        json_text(normal_schema(bare, by_word=False)).encode()
    ).hexdigest()[:32]


def recognise(
    schema: Schema, is_field: bool, in_described: bool
) -> tuple[External, Schema] | None:
    """Return the type an object's schema is made from, and that type's schema.

    On a field the description is the field's own; elsewhere it must be the
    type's. A condition that people described in their own words, or left out of
    their descriptions, is one as well: its type can be read off its validation.
    One in the words of another release of Kubernetes is not, because the pinned
    release would put its own words in their place; nor is one in a CRD that was
    stripped of all descriptions, see :func:`is_described`.
    """
    candidates = _table()["by_names"].get(names_of(schema))
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
        if name == CONDITION and in_described and _in_own_words(schema):
            condition: Schema = _table()["condition"]
            if digest(_undescribed(condition)) == digest(_undescribed(schema)):
                return _external(one), condition
    return None


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
