"""The JSON types of schema keywords, which everything else relies on."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from scaffold.crd.kubeyaml import Path

Report = Callable[[Path, str, str], None]

_STRINGS = frozenset(
    (
        "$ref",
        "$schema",
        "description",
        "format",
        "id",
        "pattern",
        "title",
        "type",
        "x-kubernetes-list-type",
        "x-kubernetes-map-type",
    )
)
_BOOLEANS = frozenset(
    (
        "exclusiveMaximum",
        "exclusiveMinimum",
        "nullable",
        "uniqueItems",
        "x-kubernetes-embedded-resource",
        "x-kubernetes-int-or-string",
        "x-kubernetes-preserve-unknown-fields",
    )
)
_NUMBERS = frozenset(("maximum", "minimum", "multipleOf"))
_INTEGERS = frozenset(
    ("maxItems", "maxLength", "maxProperties", "minItems", "minLength", "minProperties")
)
_STRING_LISTS = frozenset(("required", "x-kubernetes-list-map-keys"))
_SCHEMA_LISTS = frozenset(("allOf", "anyOf", "oneOf"))
_VALUES = frozenset(("default", "enum", "example"))
_KNOWN = (
    _STRINGS
    | _BOOLEANS
    | _NUMBERS
    | _INTEGERS
    | _STRING_LISTS
    | _SCHEMA_LISTS
    | _VALUES
    | frozenset(
        (
            "additionalItems",
            "additionalProperties",
            "definitions",
            "dependencies",
            "externalDocs",
            "items",
            "not",
            "patternProperties",
            "properties",
            "x-kubernetes-validations",
        )
    )
)
_INT64 = 2**63


def well_typed(schema: Any, path: Path, report: Report) -> bool:
    """Report keywords of the wrong JSON type, throughout; return whether none is."""
    if not isinstance(schema, dict):
        report(
            path, "a schema that is no object", "write 'type:' and what belongs to it"
        )
        return False
    good = True
    for key, value in schema.items():
        if key not in _KNOWN:
            near = difflib.get_close_matches(str(key), _KNOWN, 1)
            report(
                (*path, key),
                f"'{key}' is no keyword of a schema",
                f"write '{near[0]}'" if near else "remove it",
            )
            good = False
        if value is None:
            continue
        wanted = ""
        if key in _STRINGS:
            wanted = "" if isinstance(value, str) else "a string"
        elif key == "properties":
            if isinstance(value, dict):
                for name, child in value.items():
                    if child is None:
                        child = {}
                    good &= well_typed(child, (*path, key, name), report)
            else:
                wanted = "an object"
        elif key in _BOOLEANS:
            wanted = "" if isinstance(value, bool) else "true or false"
        elif key in _INTEGERS:
            whole = _is_number(value) and isinstance(value, int)
            within = whole and -_INT64 <= value < _INT64
            wanted = (
                "" if within else "an integer of 64 bits" if whole else "an integer"
            )
        elif key in _NUMBERS:
            wanted = "" if _is_number(value) else "a number"
        elif key in _STRING_LISTS:
            strings = isinstance(value, list) and all(isinstance(v, str) for v in value)
            wanted = "" if strings else "a list of strings"
        elif key == "enum":
            wanted = "" if isinstance(value, list) else "a list"
        elif key in _SCHEMA_LISTS:
            if isinstance(value, list):
                for index, child in enumerate(value):
                    good &= well_typed(child, (*path, key, index), report)
            else:
                wanted = "a list of schemas"
        elif key in ("items", "not"):
            if isinstance(value, list):
                report(
                    (*path, key), f"'{key}' is a list", "give one schema for all items"
                )
                good = False
            else:
                good &= well_typed(value, (*path, key), report)
        elif key == "additionalProperties":
            if not isinstance(value, bool):
                good &= well_typed(value, (*path, key), report)
        elif key == "x-kubernetes-validations":
            good &= _validations(value, (*path, key), report)
        elif key == "externalDocs":
            docs = isinstance(value, dict)
            docs = docs and all(isinstance(v, str | None) for v in value.values())
            wanted = "" if docs else "an object of strings"
        if wanted:
            report((*path, key), f"'{key}' must be {wanted}", f"make it {wanted}")
            good = False
    return good


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _validations(value: Any, path: Path, report: Report) -> bool:
    if not isinstance(value, list) or not all(isinstance(rule, dict) for rule in value):
        report(path, "validations must be a list of rules", "write '- rule: …'")
        return False
    good = True
    for index, rule in enumerate(value):
        at = (*path, index)
        for key in ("rule", "message", "messageExpression", "reason", "fieldPath"):
            if not isinstance(rule.get(key, ""), str | None):
                report((*at, key), f"'{key}' must be a string", "quote it")
                good = False
        if not isinstance(rule.get("optionalOldSelf", False), bool | None):
            report((*at, "optionalOldSelf"), "must be true or false", "write true")
            good = False
    return good


def without_nulls(schema: Any) -> Any:
    """Return a schema without keywords that are null, which say nothing.

    Values, as of ``default``, stay as they are.
    """
    if not isinstance(schema, dict):
        return schema
    kept: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _VALUES:
            kept[key] = value
        elif value is None:
            continue
        elif key == "properties":
            kept[key] = {name: without_nulls(one) for name, one in value.items()}
        elif key in ("additionalProperties", "items", "not"):
            kept[key] = without_nulls(value)
        elif key in _SCHEMA_LISTS:
            kept[key] = [without_nulls(one) for one in value]
        else:
            kept[key] = value
    return kept
