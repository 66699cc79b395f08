"""What controller-gen's output lacks of the original CRD, as a JSON patch.

:func:`regenerated` is the CRD controller-gen v0.23.0 makes of the emitted
types, predicted; :func:`patch` is the way from there to the original. The
emitted project's ``make manifests`` runs the one and applies the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from scaffold.crd.markers import Schema

Document = dict[str, Any]
Operation = dict[str, Any]

# Boilerplate of every root schema, which the API server supplies by itself.
TYPE_META = ("apiVersion", "kind", "metadata")
_FLOATS = frozenset({"maximum", "minimum", "multipleOf"})
# Keywords whose values are no schemas but data of the user.
_DATA = frozenset({"default", "enum"})
# Keywords that say something to people only.
WORDS = frozenset({"description", "example", "externalDocs", "title"})


def regenerated(
    crd: Document, go_name: str, schemas: Sequence[tuple[Document, Schema]]
) -> Document:
    """Return the CRD controller-gen makes of a kind's emitted packages.

    ``schemas`` pairs each version of the original with its regenerated schema.
    """
    spec, metadata = crd["spec"], crd["metadata"]
    names = spec["names"]
    called: Document = {
        "kind": go_name,
        "listKind": f"{go_name}List",
        "plural": names["plural"],
        "singular": names.get("singular") or go_name.lower(),
    }
    for key in ("shortNames", "categories"):
        if names.get(key):
            called[key] = names[key]
    any_served = any(version.get("served") for version in spec["versions"])
    versions = [
        _version(version, schema, any_served)
        for version, schema in sorted(schemas, key=lambda pair: pair[0]["name"])
    ]
    made: Document = {"name": metadata["name"]}
    for key in ("annotations", "labels"):
        values = metadata.get(key)
        if isinstance(values, dict):
            kept = {
                k: v for k, v in values.items() if isinstance(v, str) and "=" not in k
            }
            if kept:
                made[key] = kept
    return {
        "apiVersion": crd["apiVersion"],
        "kind": crd["kind"],
        "metadata": made,
        "spec": {
            "group": spec["group"],
            "names": called,
            "scope": spec["scope"],
            "versions": versions,
        },
    }


def _version(version: Document, schema: Schema, any_served: bool) -> Document:
    made: Document = {
        "name": version["name"],
        "served": bool(version.get("served")) or not any_served,
        "storage": bool(version.get("storage")),
        "schema": {"openAPIV3Schema": schema},
    }
    if version.get("deprecated"):
        made["deprecated"] = True
        if version.get("deprecationWarning"):
            made["deprecationWarning"] = version["deprecationWarning"]
    subresources: Document = {}
    given = version.get("subresources") or {}
    if given.get("status") is not None:
        subresources["status"] = {}
    if given.get("scale"):
        subresources["scale"] = {k: v for k, v in given["scale"].items() if v}
    columns = [
        {
            key: value
            for key, value in column.items()
            if value not in (None, "", 0) and key in _COLUMN
        }
        for column in version.get("additionalPrinterColumns") or ()
    ]
    if subresources or columns:
        made["subresources"] = subresources
    if columns:
        made["additionalPrinterColumns"] = columns
    if version.get("selectableFields"):
        made["selectableFields"] = [
            {"jsonPath": one["jsonPath"]} for one in version["selectableFields"]
        ]
    return made


_COLUMN = frozenset({"description", "format", "jsonPath", "name", "priority", "type"})


def patch(made: Document, original: Document) -> tuple[Operation, ...]:
    """Return the JSON patch (RFC 6902) from a regenerated CRD to the original."""
    spec = made["spec"]
    versions = list(spec["versions"])
    moves: list[Operation] = []
    for index, wanted in enumerate(original["spec"]["versions"]):
        at = next(i for i, one in enumerate(versions) if one["name"] == wanted["name"])
        if at != index:
            versions.insert(index, versions.pop(at))
            source, target = f"/spec/versions/{at}", f"/spec/versions/{index}"
            moves.append({"op": "move", "from": source, "path": target})
    ordered = {**made, "spec": {**spec, "versions": versions}}
    return (*moves, *_difference(ordered, original, ""))


def _difference(made: Any, wanted: Any, pointer: str) -> Iterator[Operation]:
    if isinstance(made, dict) and isinstance(wanted, dict):
        for key in sorted(made.keys() | wanted.keys()):
            if isinstance(made.get(key), str) and made[key] == wanted.get(key):
                continue
            at = f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}"
            if key not in wanted:
                yield {"op": "remove", "path": at}
            elif key not in made:
                yield {"op": "add", "path": at, "value": wanted[key]}
            else:
                yield from _difference(made[key], wanted[key], at)
    elif (
        isinstance(made, list) and isinstance(wanted, list) and len(made) == len(wanted)
    ):
        for index, (left, right) in enumerate(zip(made, wanted, strict=True)):
            yield from _difference(left, right, f"{pointer}/{index}")
    elif not same(made, wanted):
        yield {"op": "replace", "path": pointer, "value": wanted}


def same(left: Any, right: Any) -> bool:
    """Whether two values are the same JSON: ``true`` is not ``1``."""
    if left is right:
        return True
    if isinstance(left, bool) or isinstance(right, bool):
        return False
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(
            same(left[k], right[k]) for k in left
        )
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def normal(crd: Document) -> Document:
    """Return what the API server distinguishes of a CRD's spec.

    Defaults are filled in, what it reads as absent is absent, words are left out,
    versions are in order of name, and the root's apiVersion, kind and metadata are left out
    where they say no more than that they exist. Conversion is left out: it says
    where a webhook is, not what objects look like.
    """
    spec = dict(crd["spec"])
    names = dict(spec["names"])
    names["singular"] = names.get("singular") or names["kind"].lower()
    names["listKind"] = names.get("listKind") or f"{names['kind']}List"
    spec["names"] = _without_empty(names)
    spec = {key: value for key, value in spec.items() if key in _SPEC}
    spec["versions"] = [
        _normal_version(version)
        for version in sorted(
            spec["versions"], key=lambda version: str(version["name"])
        )
    ]
    return _without_empty(spec)


_SPEC = frozenset({"group", "names", "preserveUnknownFields", "scope", "versions"})


def _without_empty(value: Document) -> Document:
    return {
        key: item
        for key, item in value.items()
        if item not in (None, False, "", [], {}) or (item == 0 and item is not False)
    }


def _normal_version(version: Document) -> Document:
    made = dict(version)
    schema = normal_schema(version["schema"]["openAPIV3Schema"])
    properties = {
        name: child
        for name, child in (schema.get("properties") or {}).items()
        if name not in TYPE_META or child.keys() - {"description"} != {"type"}
    }
    schema.pop("properties", None)
    if properties:
        schema["properties"] = properties
    made["schema"] = schema
    made["served"] = bool(version.get("served"))
    made["storage"] = bool(version.get("storage"))
    if not (version.get("subresources") or {}):
        made.pop("subresources", None)
    made["additionalPrinterColumns"] = [
        _without_empty({k: v for k, v in column.items() if v != 0 and k in _COLUMN})
        for column in version.get("additionalPrinterColumns") or ()
    ]
    return {key: value for key, value in made.items() if value not in (None, "", [])}


def normal_schema(schema: Schema) -> Schema:
    """Return what the API server goes by: no words, no empty or false keywords."""
    made: Schema = {}
    for key, value in schema.items():
        if key in WORDS:
            continue
        if key == "default" and value is not None:  # also one that is empty
            made[key] = value
            continue
        if value is None or value is False or value == "":
            if key == "additionalProperties" and value is False:
                made[key] = value
            continue
        if key in _DATA:
            if key != "enum" or value:
                made[key] = value
        elif key in _FLOATS:
            made[key] = float(value)
        elif key == "required":
            if value:
                made[key] = sorted(set(value))
        elif key == "properties":
            if value:
                made[key] = {
                    name: normal_schema(child or {}) for name, child in value.items()
                }
        elif isinstance(value, dict):
            made[key] = normal_schema(value)
        elif key in ("allOf", "anyOf", "oneOf"):
            if value:
                made[key] = [normal_schema(child) for child in value]
        elif key == "x-kubernetes-validations":
            if value:
                made[key] = [
                    {k: v for k, v in rule.items() if v not in (None, "")}
                    for rule in value
                ]
        elif value != []:
            made[key] = value
    return made
