"""The shape of a schema: names and types of everything in it, nothing else.

Two schemas of one shape carry the same JSON, whatever their words, defaults
and limits are. Lists, maps and objects count with what is in them; what Go
keeps in another way (unknown fields, nulls, quantities) is a type of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache

from scaffold.crd.markers import EMBEDDED, INT_OR_STRING, PRESERVE, Schema
from scaffold.crd.nodes import QUANTITY_PATTERN

_LENGTH = 16


class Shapes:
    """Digests of the shapes of schemas, computed once for each node.

    It holds on to the schemas it has seen, which must not change meanwhile.
    """

    def __init__(self) -> None:
        self._seen: dict[int, tuple[Schema, str]] = {}

    def shape(self, schema: Schema) -> str:
        """Return the digest of a schema's shape."""
        found = self._seen.get(id(schema))
        if found is None:
            first, *rest = self._lines(schema)
            made = _hash("\n".join((first, *rest))) if rest else _hash_of_leaf(first)
            found = self._seen[id(schema)] = schema, made
        return found[1]

    def _lines(self, schema: Schema) -> Iterator[str]:
        yield kind(schema)
        for name, child in children(schema):
            yield f"{name!r} {self.shape(child)}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]


_hash_of_leaf = cache(_hash)  # there are few kinds


def kind(schema: Schema) -> str:
    """Return the type of one node, as far as its JSON in Go depends on it."""
    found = schema.get("type") or ""
    if schema.get(INT_OR_STRING):
        is_quantity = schema.get("pattern") == QUANTITY_PATTERN
        found = "quantity" if is_quantity else "int-or-string"
    for key in (PRESERVE, EMBEDDED, "nullable"):
        if schema.get(key):
            found += f" {key}"
    if isinstance(schema.get("additionalProperties"), bool):
        found += f" {schema['additionalProperties']}"
    return found


def children(schema: Schema) -> Iterator[tuple[str, Schema]]:
    """Yield the nodes below with what leads there: a property, ``[]`` or ``{}``."""
    properties = schema.get("properties") or {}
    for name in sorted(properties):
        yield f".{name}", properties[name] or {}
    for name, key in (("[]", "items"), ("{}", "additionalProperties")):
        if isinstance(schema.get(key), dict):
            yield name, schema[key]


def size(schema: Schema) -> int:
    """Return the number of properties in a schema, at any depth."""
    return len(schema.get("properties") or ()) + sum(
        size(child) for _, child in children(schema)
    )


def missing(schema: Schema, other: Schema) -> list[str]:
    """Return the places in a schema that another does not have, or not so."""
    if kind(schema) != kind(other):
        return [""]
    has = dict(children(other))
    return [
        name + rest
        for name, child in children(schema)
        for rest in (missing(child, has[name]) if name in has else [""])
    ]
