"""What the API server demands of a schema: the types of its keywords, and structure.

The rules are those of ``apiextensions.k8s.io/v1``: a schema is structural when
every field is typed outside ``allOf``, ``anyOf``, ``oneOf`` and ``not``, and
these only restrict values. Not checked here, because it needs the server's own
machinery: CEL expressions, and whether defaults validate.
"""

from __future__ import annotations

import re
from typing import Any

from scaffold.crd import keywords
from scaffold.crd.keywords import Report
from scaffold.crd.kubeyaml import Path

Schema = dict[str, Any]

TYPES = ("array", "boolean", "integer", "number", "object", "string")
_LEVEL_ROOT, _LEVEL_ITEM, _LEVEL_FIELD = "at the root", "for array items", "for fields"

_UNSUPPORTED = (
    "$ref",
    "$schema",
    "additionalItems",
    "definitions",
    "dependencies",
    "id",
    "patternProperties",
)
_FORBIDDEN_NESTED = (
    "type",
    "additionalProperties",
    "default",
    "title",
    "description",
    "nullable",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
    "x-kubernetes-validations",
)
_ROOT_WITH_STATUS = frozenset(
    (
        "description",
        "example",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "externalDocs",
        "format",
        "items",
        "maxItems",
        "maxLength",
        "maximum",
        "minItems",
        "minLength",
        "minimum",
        "multipleOf",
        "pattern",
        "properties",
        "required",
        "title",
        "type",
        "uniqueItems",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-validations",
    )
)
_REASONS = (
    "FieldValueRequired",
    "FieldValueForbidden",
    "FieldValueInvalid",
    "FieldValueDuplicate",
)
_INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]


def check(schema: Any, path: Path, has_status: bool, report: Report) -> None:
    """Report everything the API server rejects about one version's schema."""
    if not keywords.well_typed(schema, path, report):
        return
    if has_status:
        for key, value in schema.items():
            if key not in _ROOT_WITH_STATUS and _set(value):
                report(
                    (*path, key),
                    f"'{key}' at the root of a schema with the status subresource",
                    "move it below properties.spec, or drop the subresource",
                )
    if schema.get("nullable"):
        report((*path, "nullable"), "nullable at the root", "remove it")
    _structure(schema, path, _LEVEL_ROOT, False, report)
    _complete(schema, path, report)


def _set(value: Any) -> bool:
    return value not in (None, False, "", 0) and value != [] and value != {}


def _structure(
    schema: Schema, path: Path, level: str, in_meta: bool, report: Report
) -> None:
    """Report what breaks the rules of one node, and of every node below it."""
    kind = schema.get("type") or ""
    flexible = schema.get("x-kubernetes-int-or-string")
    preserve = schema.get("x-kubernetes-preserve-unknown-fields")
    embedded = schema.get("x-kubernetes-embedded-resource")
    properties = schema.get("properties") or {}
    additional = schema.get("additionalProperties")
    items = schema.get("items")
    if kind and kind not in TYPES:
        report(
            (*path, "type"), f"unknown type '{kind}'", f"use one of {', '.join(TYPES)}"
        )
    elif level is _LEVEL_ROOT and kind != "object" and (kind or not preserve):
        report(
            (*path, "type"), "the root's type must be object", "write 'type: object'"
        )
    elif not kind and embedded:
        report(path, "an embedded resource without 'type: object'", "add it")
    elif not kind and not flexible and not preserve:
        report(path, f"no type; it must not be empty {level}", "add 'type:'")
    if kind == "array" and items is None:
        report(path, "an array without items", "add 'items:' with the items' type")
    if embedded and kind and kind != "object":
        report(
            (*path, "type"),
            "an embedded resource must be an object",
            "write 'type: object'",
        )
    if embedded and additional is not None:
        report(
            (*path, "additionalProperties"),
            "not allowed on an embedded resource",
            "remove it",
        )
    if embedded and not preserve and not properties:
        report(
            path,
            "an embedded resource needs properties or preserve-unknown-fields",
            "add 'x-kubernetes-preserve-unknown-fields: true'",
        )
    if in_meta and embedded:
        report(path, "an embedded resource inside of resource metadata", "remove it")
    if flexible and (preserve or embedded):
        report(
            path,
            "int-or-string excludes preserve-unknown-fields and embedded-resource",
            "keep one",
        )
    if preserve is False:
        report(
            (*path, "x-kubernetes-preserve-unknown-fields"),
            "must be true or undefined",
            "remove the false",
        )
    if schema.get("uniqueItems"):
        report(
            (*path, "uniqueItems"),
            "uniqueItems is forbidden",
            "use x-kubernetes-list-type: set",
        )
    for key in _UNSUPPORTED:
        if _set(schema.get(key)):
            report(
                (*path, key),
                f"'{key}' is not supported in CRDs",
                "write the schema out in place",
            )
    if additional is not None and level is _LEVEL_ROOT:
        report(
            (*path, "additionalProperties"),
            "not allowed at the root",
            "list the properties",
        )
    if properties and additional not in (None, True):
        report(
            (*path, "additionalProperties"),
            "additionalProperties and properties exclude each other",
            "keep one of them",
        )
    if pattern := schema.get("pattern"):
        _pattern(pattern, (*path, "pattern"), report)
    _lists(schema, kind, path, report)
    _rules(schema.get("x-kubernetes-validations") or (), path, report)
    if level is _LEVEL_ROOT or embedded:
        for name in ("kind", "apiVersion"):
            if name in properties and (properties[name] or {}).get("type") != "string":
                report(
                    (*path, "properties", name),
                    f"{name} must have type string",
                    "write 'type: string'",
                )
        if "metadata" in properties:
            _metadata(properties["metadata"] or {}, path, level, report)
    _junctors(schema, path, _is_int_or_string(schema), report)
    for name, child in properties.items():
        meta = in_meta or (
            (level is _LEVEL_ROOT or embedded)
            and name in ("metadata", "kind", "apiVersion")
        )
        if level is _LEVEL_ROOT and meta and (child or {}).get("default") is not None:
            report(
                (*path, "properties", name, "default"),
                f"a default in top-level {name}",
                "remove it",
            )
        if level is _LEVEL_ROOT and name == "metadata":
            continue
        _structure(
            child or {}, (*path, "properties", name), _LEVEL_FIELD, bool(meta), report
        )
    if isinstance(items, dict):
        _structure(items, (*path, "items"), _LEVEL_ITEM, in_meta, report)
    if isinstance(additional, dict):
        _structure(
            additional, (*path, "additionalProperties"), _LEVEL_FIELD, in_meta, report
        )


def _is_int_or_string(schema: Schema) -> bool:
    all_of = schema.get("allOf") or [{}]
    return (
        schema.get("anyOf") == _INT_OR_STRING
        or all_of[0].get("anyOf") == _INT_OR_STRING
    )


def _metadata(schema: Schema, path: Path, level: str, report: Report) -> None:
    at = (*path, "properties", "metadata")
    if schema.get("type") != "object":
        report(at, "metadata must have type object", "write 'type: object'")
    if level is not _LEVEL_ROOT:
        return
    for key, value in schema.items():
        if key == "properties" and isinstance(value, dict):
            for name, child in value.items():
                _structure(child or {}, (*at, key, name), _LEVEL_FIELD, True, report)
            if set(value) <= {"name", "generateName"}:
                continue
        if key not in ("type", "default") and _set(value):
            report(
                (*at, key),
                "top-level metadata may restrict name and generateName only",
                "remove the rest; the API server adds metadata itself",
            )


# Of the dialects of others: (what, how it is found outside of classes and escapes).
_NOT_RE2 = (
    ("look-around", re.compile(r"\(\?(?:[=!]|<[=!])")),
    ("an atomic group", re.compile(r"\(\?>")),
    ("a conditional", re.compile(r"\(\?\(")),
    ("a comment", re.compile(r"\(\?#")),
    ("a reference to a group", re.compile(r"\(\?P=|\\[1-9]|\\[kg][{<']")),
    ("a possessive quantifier", re.compile(r"[*+?}]\+")),
    ("an escape", re.compile(r"\\[cGhHKNoRuXyZeiIjJlLmMOqTUVYEgk]")),
)
_ESCAPED = re.compile(r"\\Q.*?(?:\\E|$)|\\(?=[^A-Za-z0-9]).", re.DOTALL)
_CLASS = re.compile(r"\[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*\]", re.DOTALL)
_REPEATED = re.compile(r"\{(\d+)(?:,(\d*))?\}")
_MOST_REPEATED = 1000  # in RE2
_BROKEN = ("unterminated", "missing )", "unbalanced", "nothing to repeat")


def _pattern(pattern: str, path: Path, report: Report) -> None:
    """Report a pattern that is no regular expression of Go's, which is RE2's dialect."""
    bare = _CLASS.sub("a", _ESCAPED.sub("a", pattern))
    for what, found in _NOT_RE2:
        if found.search(bare):
            report(
                path,
                f"{what}, which Go's regular expressions do not have",
                "rewrite the pattern",
            )
            return
    for repeat in _REPEATED.finditer(bare):
        if max(int(one) for one in repeat.groups() if one) > _MOST_REPEATED:
            report(
                path,
                f"{repeat[0]} repeats more than {_MOST_REPEATED} times",
                "use maxLength, or say it in a validation rule",
            )
            return
    try:
        re.compile(re.sub(r"\\[pP]\{\w+\}|\\[pP]\w|\[\[:\w+:\]|\\[zQEC]", "a", pattern))
    except (re.error, OverflowError, RecursionError) as error:
        if any(what in str(error) for what in _BROKEN):
            report(path, f"not a regular expression: {error}", "mend the pattern")


def _lists(schema: Schema, kind: str, path: Path, report: Report) -> None:
    """Report misuse of list types, map keys and map types."""
    map_type = schema.get("x-kubernetes-map-type")
    list_type = schema.get("x-kubernetes-list-type")
    keys = schema.get("x-kubernetes-list-map-keys") or ()
    if map_type and (kind != "object" or map_type not in ("atomic", "granular")):
        report(
            (*path, "x-kubernetes-map-type"),
            f"map type '{map_type}' on type '{kind}'",
            "use atomic or granular on an object",
        )
    if list_type and (kind != "array" or list_type not in ("atomic", "set", "map")):
        report(
            (*path, "x-kubernetes-list-type"),
            f"list type '{list_type}' on type '{kind}'",
            "use atomic, set or map on an array",
        )
    if keys and list_type != "map":
        report(
            (*path, "x-kubernetes-list-map-keys"),
            "list map keys without list type map",
            "add x-kubernetes-list-type: map",
        )
    items = schema.get("items")
    if (
        kind != "array"
        or list_type not in ("set", "map")
        or not isinstance(items, dict)
    ):
        return
    if items.get("nullable"):
        report(
            (*path, "items", "nullable"),
            f"items of a {list_type} cannot be nullable",
            "remove nullable",
        )
    if list_type == "set":
        inner = items.get("type")
        if inner == "object" and items.get("x-kubernetes-map-type") != "atomic":
            report(
                (*path, "items"),
                "objects in a set must be atomic",
                "add x-kubernetes-map-type: atomic",
            )
        if inner == "array" and items.get("x-kubernetes-list-type") not in (
            None,
            "atomic",
        ):
            report(
                (*path, "items"),
                "lists in a set must be atomic",
                "add x-kubernetes-list-type: atomic",
            )
        return
    _map_keys(items, keys, path, report)


def _map_keys(items: Schema, keys: Any, path: Path, report: Report) -> None:
    at = (*path, "x-kubernetes-list-map-keys")
    if not keys:
        report(
            path, "list type map without x-kubernetes-list-map-keys", "name the keys"
        )
    if items.get("type") != "object":
        report(
            (*path, "items"),
            "items of a list of type map must be objects",
            "write 'type: object'",
        )
        return
    if len(set(keys)) != len(keys):
        report(at, "a list map key twice", "name each key once")
    properties = items.get("properties") or {}
    for key in keys:
        if key not in properties:
            report(
                at,
                f"list map key '{key}' is no property of the items",
                "name a property",
            )
            continue
        child = properties[key] or {}
        if child.get("type") in ("array", "object"):
            report(at, f"list map key '{key}' is no scalar", "use a scalar property")
        if key not in (items.get("required") or ()) and child.get("default") is None:
            report(
                at,
                f"list map key '{key}' is neither required nor has a default",
                "make it required",
            )
        if child.get("nullable"):
            report(at, f"list map key '{key}' is nullable", "remove nullable")


def _rules(rules: Any, path: Path, report: Report) -> None:
    for index, rule in enumerate(rules):
        at = (*path, "x-kubernetes-validations", index)
        text, message = rule.get("rule") or "", rule.get("message") or ""
        if not text.strip():
            report(
                at, "a validation without a rule", "write the CEL expression in 'rule:'"
            )
        elif message and not message.strip():
            report((*at, "message"), "an empty message", "write it or remove it")
        elif re.search(r"[\r\n]", message.strip()):
            report((*at, "message"), "a line break in a message", "write one line")
        elif re.search(r"[\r\n]", text.strip()) and not message.strip():
            report(at, "a rule of several lines without a message", "add 'message:'")
        reason = rule.get("reason")
        if reason and reason not in _REASONS:
            report(
                (*at, "reason"),
                f"unknown reason '{reason}'",
                f"use one of {', '.join(_REASONS)}",
            )


def _junctors(schema: Schema, path: Path, int_or_string: bool, report: Report) -> None:
    for key in ("anyOf", "allOf", "oneOf"):
        for index, nested in enumerate(schema.get(key) or ()):
            if (
                key == "anyOf"
                and int_or_string
                and schema.get("anyOf") == _INT_OR_STRING
            ):
                break
            skip = (
                key == "allOf" and index == 0 and nested.get("anyOf") == _INT_OR_STRING
            )
            _nested(nested, (*path, key, index), skip, report)
    if schema.get("not") is not None:
        _nested(schema["not"], (*path, "not"), False, report)


def _nested(schema: Schema, path: Path, int_or_string: bool, report: Report) -> None:
    """Report structure inside allOf, anyOf, oneOf or not, where it is forbidden."""
    for key in _FORBIDDEN_NESTED:
        if _set(schema.get(key)):
            report(
                (*path, key),
                f"'{key}' inside allOf, anyOf, oneOf or not is not structural",
                "state it outside, beside the properties",
            )
    if pattern := schema.get("pattern"):
        _pattern(pattern, (*path, "pattern"), report)
    properties = schema.get("properties") or {}
    if "metadata" in properties:
        report(
            (*path, "properties", "metadata"),
            "metadata in a nested schema",
            "remove it",
        )
    for name, child in properties.items():
        _nested(child or {}, (*path, "properties", name), False, report)
    if isinstance(schema.get("items"), dict):
        _nested(schema["items"], (*path, "items"), False, report)
    _junctors(schema, path, int_or_string, report)


def _complete(schema: Schema, path: Path, report: Report) -> None:
    """Report fields that only a nested schema at the root knows."""
    for key in ("allOf", "anyOf", "oneOf"):
        for index, nested in enumerate(schema.get(key) or ()):
            _covered(nested, schema, (*path, key, index), report)
    if isinstance(schema.get("not"), dict):
        _covered(schema["not"], schema, (*path, "not"), report)


def _covered(nested: Schema, structure: Schema, path: Path, report: Report) -> None:
    fix = "define it outside as well, with its type"
    if isinstance(nested.get("items"), dict):
        inner = structure.get("items")
        if not isinstance(inner, dict):
            report((*path, "items"), "items that only a nested schema defines", fix)
        else:
            _covered(nested["items"], inner, (*path, "items"), report)
    properties = structure.get("properties") or {}
    for name, child in (nested.get("properties") or {}).items():
        if name not in properties:
            report(
                (*path, "properties", name),
                f"property '{name}' that only a nested schema defines",
                fix,
            )
        else:
            _covered(
                child or {}, properties[name] or {}, (*path, "properties", name), report
            )
    for key in ("allOf", "anyOf", "oneOf"):
        for index, deeper in enumerate(nested.get(key) or ()):
            _covered(deeper, structure, (*path, key, index), report)
    if isinstance(nested.get("not"), dict):
        _covered(nested["not"], structure, (*path, "not"), report)
