"""The OpenAPI description of an operator's HTTP API, made of its CRDs' schemas."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from scaffold.crd.model import Kind

_NOT_SET = frozenset({"apiVersion", "kind", "metadata", "status"})
_SCHEMAS = frozenset({"items", "additionalProperties", "not"})
_LISTS = frozenset({"allOf", "anyOf", "oneOf"})

_NAME = {
    "type": "string",
    "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    "maxLength": 253,
}
_STRINGS = {"type": "object", "additionalProperties": {"type": "string"}}


def text(name: str, kinds: Sequence[Kind]) -> str:
    """Return the description as JSON: OpenAPI 3.0, ending in a line break."""
    schemas: dict[str, Any] = {
        "NewMetadata": _metadata(
            required="name", labels=_STRINGS, annotations=_STRINGS
        ),
        "Condition": _metadata(resourceVersion={"type": "string"}),
        "Problem": _problem(),
    }
    paths: dict[str, Any] = {}
    for kind in kinds:
        title = f"{kind.group}.{kind.storage.name}.{kind.kind}"
        schemas[title] = _answered(kind)
        schemas[f"{title}.New"] = _input(kind, "NewMetadata", "metadata")
        schemas[f"{title}.Change"] = _input(kind, "Condition")
        paths |= _paths(kind, title)
    document = {
        "openapi": "3.0.3",
        "info": {"title": f"HTTP API of {name}", "version": "1"},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": schemas,
        },
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def fields(kind: Kind) -> tuple[str, ...]:
    """Return the fields of ``kind`` that callers may set, in the CRD's order."""
    properties = kind.storage.schema.get("properties", {})
    return tuple(name for name in properties if name not in _NOT_SET)


def _paths(kind: Kind, title: str) -> dict[str, Any]:
    root = f"/apis/{kind.group}/{kind.storage.name}"
    items = f"{root}/{kind.plural}"
    inside: list[dict[str, Any]] = []
    paths: dict[str, Any] = {}
    if kind.namespaced:
        paths[items] = {"get": _list(kind, title, _operation(kind, "listAll"))}
        items = f"{root}/namespaces/{{namespace}}/{kind.plural}"
        inside.append(_in_path("namespace"))
    one = _answer("the object", title)
    paths[items] = {
        "parameters": inside,
        "get": _list(kind, title, _operation(kind, "list")),
        "post": {
            "operationId": _operation(kind, "create"),
            "requestBody": _body(f"{title}.New"),
            "responses": {"201": one, "default": _fault()},
        },
    }
    paths[f"{items}/{{name}}"] = {
        "parameters": [*inside, _in_path("name")],
        "get": {
            "operationId": _operation(kind, "get"),
            "responses": {"200": one, "default": _fault()},
        },
        "put": {
            "operationId": _operation(kind, "update"),
            "description": "Replaces the fields that are given. With a "
            "metadata.resourceVersion only if that is still the object's.",
            "requestBody": _body(f"{title}.Change"),
            "responses": {"200": one, "default": _fault()},
        },
        "delete": {
            "operationId": _operation(kind, "delete"),
            "responses": {
                "202": {"description": "it is being deleted"},
                "default": _fault(),
            },
        },
    }
    return paths


def _operation(kind: Kind, verb: str) -> str:
    """Return an operationId: kinds of several groups may have one name."""
    words = [*re.split(r"[.-]", kind.group), kind.storage.name]
    return verb + "".join(word[:1].upper() + word[1:] for word in words) + kind.kind


def _list(kind: Kind, title: str, operation: str) -> dict[str, Any]:
    page = {
        "type": "object",
        "required": ["items"],
        "properties": {
            "items": {"type": "array", "items": _reference(title)},
            "continue": {"type": "string"},
        },
    }
    limit = {"type": "integer", "minimum": 1, "maximum": 500, "default": 100}
    return {
        "operationId": operation,
        "description": f"The objects of {kind.kind} as the cache has them, by name.",
        "parameters": [
            {"name": "limit", "in": "query", "schema": limit},
            {"name": "continue", "in": "query", "schema": {"type": "string"}},
            {"name": "labelSelector", "in": "query", "schema": {"type": "string"}},
        ],
        "responses": {
            "200": {
                "description": "a page of objects",
                "content": {"application/json": {"schema": page}},
            },
            "default": _fault(),
        },
    }


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": _NAME}


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _answer(description: str, title: str) -> dict[str, Any]:
    schema = _reference(title)
    return {
        "description": description,
        "content": {"application/json": {"schema": schema}},
    }


def _body(title: str) -> dict[str, Any]:
    return {
        "required": True,
        "content": {"application/json": {"schema": _reference(title)}},
    }


def _fault() -> dict[str, Any]:
    return {
        "description": "what went wrong; 503 has Retry-After, 504 names the time "
        "that was used up",
        "content": {"application/problem+json": {"schema": _reference("Problem")}},
    }


def _answered(kind: Kind) -> dict[str, Any]:
    whole = schema_of(kind.storage.schema)
    properties = whole.setdefault("properties", {})
    properties |= {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
    }
    return whole


def _input(kind: Kind, metadata: str, *required: str) -> dict[str, Any]:
    whole = schema_of(kind.storage.schema)
    settable = fields(kind)
    properties = whole.get("properties", {})
    needed = [name for name in whole.get("required", ()) if name in settable]
    return _object(
        [*required, *needed],
        {
            "metadata": _reference(metadata),
            **{name: properties[name] for name in settable},
        },
    )


def _metadata(required: str = "", **more: dict[str, Any]) -> dict[str, Any]:
    return _object([required] if required else [], {"name": _NAME, **more})


def _object(required: list[str], properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        **({"required": required} if required else {}),
        "properties": properties,
    }


def _problem() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["title", "status", "detail"],
        "properties": {
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "cause": {"type": "string"},
        },
    }


def schema_of(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return a CRD's schema as OpenAPI 3.0 has it, without what is Kubernetes' own."""
    made: dict[str, Any] = {}
    for key, value in node.items():
        if key.startswith("x-kubernetes-"):
            continue
        if key == "properties":
            made[key] = {name: schema_of(one) for name, one in value.items()}
        elif key in _LISTS:
            made[key] = [schema_of(one) for one in value]
        elif key in _SCHEMAS and isinstance(value, Mapping):
            made[key] = schema_of(value)
        else:
            made[key] = value
    if node.get("x-kubernetes-int-or-string") and "anyOf" not in made:
        made.pop("type", None)
        made["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    return made
