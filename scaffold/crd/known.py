"""Recognising the types of Kubernetes in schemas that were made from them.

A node *is* a type of k8s.io/api or apimachinery when its schema is what
controller-gen makes of that type in the pinned release, but for descriptions.
Then the type stands in for it, and the residual patch restores the words:
:func:`recognise`.

A node is *similar* to a type when it has the names and types of everything
that the type has in some release, and the pinned release has all of them still.
Then the node keeps a struct of its own, which can be turned into the type and
back: :func:`similar`.

Descriptions have no say in either, so that no edit of documentation changes a
Go type. Where a schema alone is no evidence, because it is small, or that of
several types, the names of the fields around it are: see :func:`_meant`.

``known.json`` is made from the releases by ``tests/crd/make_known.py``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
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
from scaffold.crd.residual import normal_schema
from scaffold.crd.shapes import Shapes, children

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
# A schema of less weight, or a shape of fewer properties, is no evidence by
# itself: too many have it.
_TELLING = 4
# Keywords that add to a schema's weight: few schemas have them by chance. Those that
# add more are how Kubernetes refers to other objects.
_WEIGHTS = {
    "enum": 1,
    "format": 1,
    "maxLength": 1,
    "maximum": 1,
    "minLength": 1,
    "minimum": 1,
    "pattern": 1,
    "x-kubernetes-list-map-keys": 1,
    "x-kubernetes-list-type": 1,
    "x-kubernetes-validations": 1,
    "default": 2,
    "x-kubernetes-map-type": 2,
}
# Of types with one schema, the one that is meant where no name tells.
_RATHER = frozenset(
    {
        "corev1.PersistentVolumeClaimCondition",
        "corev1.SecretKeySelector",
        "corev1.TypedLocalObjectReference",
        "metav1.LabelSelectorRequirement",
    }
)
# Types of such names tell the state of Kubernetes' own kinds. A kind's own state is
# never of them; others have no place in it but those of the volume claims that a
# kind holds, status and all.
_OWN = ("Condition", "Status")
_OF_CLAIMS = frozenset(
    {"corev1.ModifyVolumeStatus", "corev1.PersistentVolumeClaimCondition"}
)
# What a field adds to the schema of its type.
_OF_FIELD = frozenset({"default", "nullable"})
_WORD = re.compile("[A-Z]+(?=[A-Z][a-z])|[A-Z][a-z0-9]*|[A-Z]+")

Way = tuple[str, ...]


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(TABLE.read_text("utf-8"))
    for key in ("types", "shapes"):
        by_shape: dict[str, list[dict[str, Any]]] = {}
        for one in table[key]:
            by_shape.setdefault(one["shape"], []).append(one)
        table[key] = by_shape
    return table


def digest(schema: Schema) -> str:
    """Return what tells one type's schema from another's, whatever its words."""
    bare = {key: value for key, value in schema.items() if key not in _OF_FIELD}
    text = json.dumps(
        normal_schema(bare),
        ensure_ascii=False,
        separators=(",", ":"),
        sort_keys=True,
    )
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def weight(schema: Schema) -> int:
    """Return how unlikely it is that a schema is like a type's by chance."""
    return sum(_WEIGHTS.get(key, 0) for key in schema) + sum(
        name.startswith(".") + weight(child) for name, child in children(schema)
    )


def recognise(
    schema: Schema, way: Way, shapes: Shapes
) -> tuple[External, Schema] | None:
    """Return the type an object's schema is made from, and that type's schema.

    ``way`` are the fields that lead to the object.
    """
    candidates = _table()["types"].get(shapes.shape(schema))
    if not candidates:
        return None
    wanted = digest(schema)
    one = _meant([one for one in candidates if one["digest"] == wanted], way)
    if one is None or (one["weight"] < _TELLING and not _goes_with(one["type"], way)):
        return None
    copying = Copying.SHALLOW if one["shallow"] else Copying.STRUCT
    return _external(one["type"], copying), _schema(one["schema"])


def similar(schema: Schema, way: Way, shapes: Shapes) -> External | None:
    """Return the type that an object can be turned into and back, if there is one."""
    one = _meant(_table()["shapes"].get(shapes.shape(schema), []), way)
    return None if one is None else _external(one["type"])


def _meant(candidates: Sequence[dict[str, Any]], way: Way) -> dict[str, Any] | None:
    """Return the one of the types with a schema that is meant at a place, if any is.

    Names tell between them: first that of a field which has the type in Kubernetes'
    own API, then what the types' names do not share, in the name of the field or
    else in that of the one around it. A type of little weight must be called for
    by the name of the field even if it is the only one.
    """
    candidates = [
        one
        for one in candidates
        if one["type"] == "metav1.Condition"
        or not one["type"].endswith(_OWN)
        or (one["type"] in _OF_CLAIMS and way[0] != "status")
    ]
    found = candidates
    if len(found) > 1:
        found = [one for one in candidates if _is_called(one["type"], way[-1])]
    parts = _parts([one["type"] for one in candidates])
    for name in reversed(way[-2:]):
        if len(found) != 1:
            found = [
                one
                for one, part in zip(candidates, parts, strict=True)
                if part and part in name.lower()
            ]
    if len(found) != 1:
        found = [one for one in candidates if one["type"] in _RATHER]
    if len(found) != 1:
        return None
    (one,) = found
    is_evident = one["weight"] >= _TELLING or _is_called(one["type"], way[-1])
    return one if is_evident else None


def _goes_with(name: str, way: Way) -> bool:
    """Whether a field's name of one word, such as ``claims``, goes with a type's."""
    first = _words(name)[0].lower()
    return way[-1] != way[-1].lower() or any(
        first in field.lower() for field in way[-2:]
    )


def _is_called(name: str, field: str) -> bool:
    """Whether a field is called like a type, or like one of Kubernetes' that has it."""
    fields: dict[str, list[str]] = _table()["fields"]
    own = name.partition(".")[2]
    return field in fields.get(name, ()) or field.lower() == own.lower()


def _words(name: str) -> list[str]:
    """Return the words of a type's name without its package."""
    return _WORD.findall(name.partition(".")[2])


def _parts(names: Sequence[str]) -> list[str]:
    """Return of each type's name what it does not share with others at either end.

    Of PodAffinity and PodAntiAffinity that is nothing and "anti".
    """
    words = [_words(name) for name in names]
    first = _same(words)
    last = _same([list(reversed(one[first:])) for one in words])
    return ["".join(one[first : len(one) - last]).lower() for one in words]


def _same(words: Sequence[Sequence[str]]) -> int:
    """Return how many words are the same in all, from the first."""
    count = 0
    for each in zip(*words, strict=False):
        if len(set(each)) > 1:
            break
        count += 1
    return count


@cache
def _schema(index: int) -> Schema:
    """Return a schema of the table, in which a schema inside is a number."""
    made: Schema = dict(_table()["schemas"][index])
    for key in ("items", "additionalProperties"):
        if isinstance(made.get(key), int) and not isinstance(made[key], bool):
            made[key] = _schema(made[key])
    if "properties" in made:
        made["properties"] = {
            name: _schema(child) for name, child in made["properties"].items()
        }
    return made


def _external(name: str, copying: Copying = Copying.STRUCT) -> External:
    alias, _, own = name.partition(".")
    path = next(path for path in PACKAGES if ALIASES[path] == alias)
    return External(path, own, copying)
