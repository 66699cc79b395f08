"""Markers: the comments by which controller-gen v0.23.0 learns what types cannot say.

Each function returns the markers for what has one together with the part of
the schema they give back, as controller-gen prints it. What is missing in that
part has no marker; :mod:`scaffold.crd.residual` closes the difference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from scaffold.crd.golang import json_text, string
from scaffold.crd.numbers import canonical, format_number

Schema = dict[str, Any]

VALIDATION = "kubebuilder:validation:"
PRESERVE = "x-kubernetes-preserve-unknown-fields"
EMBEDDED = "x-kubernetes-embedded-resource"
INT_OR_STRING = "x-kubernetes-int-or-string"
RULES = "x-kubernetes-validations"
LIST_TYPE = "x-kubernetes-list-type"
LIST_KEYS = "x-kubernetes-list-map-keys"
MAP_TYPE = "x-kubernetes-map-type"

# Keyword -> (marker, types it may stand on).
_NUMERIC = {
    "maximum": "Maximum",
    "exclusiveMaximum": "ExclusiveMaximum",
    "minimum": "Minimum",
    "exclusiveMinimum": "ExclusiveMinimum",
    "multipleOf": "MultipleOf",
}
_LENGTHS = {
    "string": {"maxLength": "MaxLength", "minLength": "MinLength"},
    "array": {"maxItems": "MaxItems", "minItems": "MinItems"},
    "object": {"maxProperties": "MaxProperties", "minProperties": "MinProperties"},
}
_URL = re.compile(r"https?://[\w.:-]+(/[\w./~#?=&%+-]*)?")
_MAX_INT = 2**63 - 1
_EXACT_FLOAT = 2**53


def constraints(
    schema: Schema, kind: str, prefix: str = ""
) -> tuple[list[str], Schema]:
    """Return the validation markers of a node whose Go type has an OpenAPI type.

    ``kind`` is that type as controller-gen sees it where the markers stand, ''
    for none; ``prefix`` is ``items:`` for an array's items.
    """
    name = f"+{VALIDATION}{prefix}"
    found: list[str] = []
    given: Schema = {}
    if kind in ("integer", "number"):
        for key, marker in _NUMERIC.items():
            value = schema.get(key)
            if value is True:
                found.append(f"{name}{marker}=true")
                given[key] = True
            elif (
                isinstance(value, int | float)
                and not isinstance(value, bool)
                and _fits(value, kind, key)
            ):
                found.append(f"{name}{marker}={format_number(value)}")
                given[key] = _through_floats(value)
    for key, marker in _LENGTHS.get(kind, {}).items():
        value = schema.get(key)
        if isinstance(value, int) and abs(value) <= _MAX_INT:
            found.append(f"{name}{marker}={value}")
            given[key] = value
    if kind == "string" and schema.get("pattern"):
        found.append(f"{name}Pattern={string(schema['pattern'])}")
        given["pattern"] = schema["pattern"]
    enum = _enum(schema.get("enum") or ())
    if enum:
        found.append(f"{name}Enum={enum}")
        given["enum"] = schema["enum"]
    for rule in schema.get(RULES) or ():
        found.append(f"{name}XValidation:{_rule(rule)}")
        given.setdefault(RULES, []).append(
            {k: v for k, v in rule.items() if v not in (None, "")}
        )
    return found, given


def format_marker(
    schema: Schema, own: str, prefix: str = ""
) -> tuple[list[str], Schema]:
    """Return the marker for a format that differs from what the Go type has."""
    wanted = schema.get("format") or ""
    if wanted == own:
        return [], {"format": own} if own else {}
    return [f"+{VALIDATION}{prefix}Format={string(wanted)}"], (
        {"format": wanted} if wanted else {}
    )


def topology(
    schema: Schema, kind: str, is_struct: bool = False
) -> tuple[list[str], Schema]:
    """Return list type, map key and map type markers."""
    found: list[str] = []
    given: Schema = {}
    if kind == "array" and schema.get(LIST_TYPE):
        found.append(f"+listType={schema[LIST_TYPE]}")
        given[LIST_TYPE] = schema[LIST_TYPE]
        for key in schema.get(LIST_KEYS) or ():
            found.append(f"+listMapKey={key if key.isidentifier() else string(key)}")
            given.setdefault(LIST_KEYS, []).append(key)
    if kind == "object" and schema.get(MAP_TYPE):
        found.append(f"+{'struct' if is_struct else 'map'}Type={schema[MAP_TYPE]}")
        given[MAP_TYPE] = schema[MAP_TYPE]
    return found, given


def openness(schema: Schema, own: Schema, prefix: str = "") -> tuple[list[str], Schema]:
    """Return markers for preserve-unknown-fields and embedded-resource.

    ``own`` is what the Go type gives by itself.
    """
    found: list[str] = []
    given: Schema = {}
    if schema.get(PRESERVE) and not own.get(PRESERVE):
        marker = (
            f"{VALIDATION}items:XPreserveUnknownFields"
            if prefix
            else "kubebuilder:pruning:PreserveUnknownFields"
        )
        found.append(f"+{marker}")
        given[PRESERVE] = True
    if schema.get(EMBEDDED):
        found.append(f"+{VALIDATION}{prefix}XEmbeddedResource")
        given[EMBEDDED] = True
    return found, given


def of_field(schema: Schema) -> tuple[list[str], Schema]:
    """Return the markers that only a struct's field can have."""
    found: list[str] = []
    given: Schema = {}
    if schema.get("nullable"):
        found.append("+nullable")
        given["nullable"] = True
    if schema.get("default") is not None:
        value = schema["default"]
        if (
            isinstance(value, int)
            and not isinstance(value, bool)
            and abs(value) > _EXACT_FLOAT
        ):
            # +default reads numbers as floats.
            if abs(value) <= _MAX_INT:
                found.append(f"+kubebuilder:default={value}")
                given["default"] = value
        else:
            found.append(f"+default={json_text(value)}")
            given["default"] = _through_floats(value)
    if schema.get("example") is not None:
        text = _any_argument(schema["example"])
        if text:
            found.append(f"+kubebuilder:example={text}")
            given["example"] = schema["example"]
    return found, given


def documentation(schema: Schema) -> tuple[list[str], Schema]:
    """Return the markers for title and external documentation."""
    found: list[str] = []
    given: Schema = {}
    if schema.get("title"):
        found.append(f"+kubebuilder:title={string(schema['title'])}")
        given["title"] = schema["title"]
    docs = schema.get("externalDocs") or {}
    if _URL.fullmatch(docs.get("url") or ""):
        text = f"+kubebuilder:externalDocs:url={string(docs['url'])}"
        given["externalDocs"] = {"url": docs["url"]}
        if docs.get("description"):
            text += f",description={string(docs['description'])}"
            given["externalDocs"]["description"] = docs["description"]
        found.append(text)
    return found, given


def arguments(values: Mapping[str, str]) -> str:
    """Return marker arguments ``a="x",b="y"`` for those that have a value."""
    return ",".join(f"{key}={string(value)}" for key, value in values.items() if value)


def strings(values: Iterable[str]) -> str:
    """Return a marker's list of strings."""
    return ";".join(
        value if re.fullmatch(r"[a-z][a-z0-9]*", value) else string(value)
        for value in values
    )


def _fits(value: int | float, kind: str, key: str) -> bool:
    """Whether controller-gen takes a bound; a fraction on an integer stops it."""
    if kind == "integer" and not isinstance(value, int):
        return False
    return key != "multipleOf" or value >= 0


def _enum(values: Iterable[Any]) -> str:
    """Return an Enum marker's argument, '' if a value cannot stand in it."""
    texts = []
    for value in values:
        if isinstance(value, str):
            texts.append(string(value))
        elif isinstance(value, bool):
            texts.append("true" if value else "false")
        elif isinstance(value, int) and abs(value) <= _MAX_INT:
            texts.append(str(value))
        elif isinstance(value, float):
            texts.append(format_number(value))
        else:
            return ""
    return ";".join(texts)


def _rule(rule: Schema) -> str:
    text = arguments(
        {
            key: rule.get(key) or ""
            for key in ("rule", "message", "messageExpression", "reason", "fieldPath")
        }
    )
    if rule.get("optionalOldSelf") is not None:
        text += f",optionalOldSelf={'true' if rule['optionalOldSelf'] else 'false'}"
    return text


def _through_floats(value: Any) -> Any:
    """Return what is left of a value that is read as JSON with 64-bit floats."""
    if isinstance(value, dict):
        return {key: _through_floats(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_through_floats(item) for item in value]
    if isinstance(value, int) and abs(value) > _EXACT_FLOAT:
        return canonical(float(value))
    return value


def _any_argument(value: Any) -> str:
    """Return a value in the guessing syntax of example markers, '' if it has none."""
    if isinstance(value, str):
        return string(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if abs(value) <= _MAX_INT else ""
    if isinstance(value, float):
        return format_number(value)
    if isinstance(value, list):
        kinds = {type(item) for item in value}
        items = [_any_argument(item) for item in value]
        uniform = len(kinds) == 1 and not kinds & {list, type(None)}
        return "{" + ",".join(items) + "}" if uniform and all(items) else ""
    if isinstance(value, dict) and value:
        members = {key: _any_argument(item) for key, item in value.items()}
        if all(members.values()):
            return (
                "{"
                + ",".join(f"{string(k)}:{v}" for k, v in sorted(members.items()))
                + "}"
            )
    return ""
