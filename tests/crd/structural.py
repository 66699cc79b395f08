"""Random CRDs: every construct of structural schemas, in any combination.

What is drawn here is nearly always what an API server accepts;
:mod:`tests.crd.fuzz` leaves out what is not.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from scaffold.crd.markers import (
    EMBEDDED,
    INT_OR_STRING,
    LIST_KEYS,
    LIST_TYPE,
    MAP_TYPE,
    PRESERVE,
    RULES,
    Schema,
)
from scaffold.crd.nodes import QUANTITY_PATTERN
from tests.crd.awkward import NAMES, TEXTS

_SOME = st.sampled_from([False, False, False, True])
_RARE = st.sampled_from([False] * 11 + [True])
_PATTERNS = st.sampled_from(
    ["^[a-z]*$", r"^\d+$", "^a|b`c$", r'^"\\$', "^$", r"^[^\s,=]+(=.*)?$", "é"]
)
_FORMATS = st.sampled_from(
    [
        "date-time",
        "date",
        "duration",
        "byte",
        "email",
        "hostname",
        "ipv4",
        "ipv6",
        "cidr",
        "uri",
        "uuid",
        "password",
        "unknown",
    ]
)


def _described(draw: DrawFn, schema: Schema) -> Schema:
    if draw(_SOME):
        schema["description"] = draw(TEXTS)
    if draw(_RARE):
        schema["title"] = draw(TEXTS)
    if draw(_RARE):
        schema["externalDocs"] = {
            "url": draw(st.sampled_from(["https://example.com/a?b=c", "x", ""])),
            "description": draw(TEXTS),
        }
    if draw(_RARE):
        schema["example"] = draw(_ANY_JSON)
    return schema


_ANY_JSON: SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from([0, 1, -1, 2**53 + 1, 1.5, 1e-7, 1e21])
    | st.sampled_from(["", "a", 'x"y', "{{", "`", "\\", "\n", "a=b", "true"]),
    lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(st.sampled_from(["a", "b-c", ""]), inner, max_size=2),
    max_leaves=5,
)


@st.composite
def string(draw: DrawFn) -> Schema:
    """Return a schema of a string."""
    schema: Schema = {"type": "string"}
    if draw(_SOME):
        schema["enum"] = draw(
            st.lists(
                st.sampled_from(
                    ["a", "A", "b-c", "b_c", "=", "", "1", "with space", "é", "*"]
                ),
                min_size=1,
                max_size=4,
                unique=True,
            )
        )
    elif draw(_SOME):
        schema["format"] = draw(_FORMATS)
    if draw(_RARE):
        schema["pattern"] = draw(_PATTERNS)
    if draw(_RARE):
        schema["minLength"] = draw(st.sampled_from([0, 1, 3]))
    if draw(_RARE):
        schema["maxLength"] = draw(st.sampled_from([3, 63, 2**31]))
    return schema


@st.composite
def number(draw: DrawFn) -> Schema:
    """Return a schema of an integer or a number."""
    kind = draw(st.sampled_from(["integer", "integer", "number"]))
    formats = ["int32", "int64", "int64", ""]
    formats = formats if kind == "integer" else ["float", "double", ""]
    schema: Schema = {"type": kind}
    if draw(_SOME):
        schema["format"] = draw(st.sampled_from(formats))
    if draw(_SOME):
        lowest = -(2**31) if "32" in schema.get("format", "") else -(2**53)
        schema["minimum"] = draw(st.sampled_from([0, 1, -5, lowest]))
        if draw(_RARE):
            schema["exclusiveMinimum"] = True
    if draw(_SOME):
        highest = [] if "32" in schema.get("format", "") else [2**53 + 1, 2**62]
        schema["maximum"] = draw(st.sampled_from([10, 65535, 2**31 - 1, *highest]))
        if draw(_RARE):
            schema["exclusiveMaximum"] = True
    if kind == "number" and draw(_RARE):
        schema["minimum"] = draw(st.sampled_from([0.5, 1e-7, -1.25]))
        schema["maximum"] = draw(st.sampled_from([1e21, 100.5]))
    if draw(_RARE):
        schema["multipleOf"] = draw(st.sampled_from([1, 2, 5]))
    if draw(_RARE):
        schema["enum"] = draw(st.sampled_from([[1, 2, 3], [5], [10, 2]]))
    return schema


@st.composite
def flexible(draw: DrawFn) -> Schema:
    """Return a schema of int-or-string, a quantity, or any value."""
    shape = draw(st.sampled_from(["int", "bare", "quantity", "bounded", "any", "all"]))
    either = [{"type": "integer"}, {"type": "string"}]
    if shape == "any":
        return {PRESERVE: True}
    if shape == "bare":
        return {INT_OR_STRING: True}
    if shape == "all":
        return {INT_OR_STRING: True, "allOf": [{"anyOf": either}, {"maxLength": 9}]}
    schema: Schema = {INT_OR_STRING: True, "anyOf": either}
    if shape == "quantity":
        schema["pattern"] = QUANTITY_PATTERN
    if shape == "bounded":
        schema["pattern"] = draw(_PATTERNS)
    return schema


SCALARS = (
    string()
    | number()
    | st.just({"type": "boolean"})
    | st.just({"type": "boolean", "enum": [True]})
    | flexible()
)


@st.composite
def array(draw: DrawFn, depth: int) -> Schema:
    """Return a schema of a list, with keys and bounds at times."""
    shape = draw(st.sampled_from(["plain", "plain", "plain", "set", "map", "atomic"]))
    schema: Schema = {"type": "array"}
    if shape == "set":
        schema["items"] = draw(string())
    elif shape == "map":
        schema["items"] = draw(_keyed(depth - 1))
        keys = schema["items"]["required"]
        schema[LIST_KEYS] = keys[: draw(st.integers(1, len(keys)))]
    else:
        schema["items"] = draw(node(depth - 1))
    if shape != "plain":
        schema[LIST_TYPE] = shape
    if draw(_RARE):
        schema["minItems"] = draw(st.sampled_from([0, 1, 2]))
    if draw(_RARE):
        schema["maxItems"] = draw(st.sampled_from([2, 100]))
    if shape in ("plain", "atomic") and draw(_RARE):
        schema["items"]["nullable"] = True
    return schema


@st.composite
def _keyed(draw: DrawFn, depth: int) -> Schema:
    """Return a schema of an object that can be an element of a list with keys."""
    schema = draw(struct(depth))
    keys = draw(st.sampled_from([["name"], ["port", "protocol"], ["a-b"], ["type"]]))
    for key in keys:
        scalar = draw(st.sampled_from(["string", "integer"]))
        schema["properties"][key] = {"type": scalar}
    schema["required"] = [*keys, *(schema.get("required") or ())]
    schema["required"] = list(dict.fromkeys(schema["required"]))
    schema.pop("nullable", None)
    return schema


@st.composite
def mapping(draw: DrawFn, depth: int) -> Schema:
    """Return a schema of a map, or of an object of unknown fields."""
    shape = draw(st.sampled_from(["schema", "schema", "true", "open", "bare"]))
    schema: Schema = {"type": "object"}
    if shape == "schema":
        schema["additionalProperties"] = draw(node(depth - 1))
    elif shape == "true":
        schema["additionalProperties"] = True
    elif shape == "open":
        schema[PRESERVE] = True
    if draw(_RARE):
        schema["maxProperties"] = draw(st.sampled_from([2, 10]))
    if draw(_RARE):
        schema["minProperties"] = draw(st.sampled_from([0, 1]))
    if draw(_RARE):
        schema[MAP_TYPE] = draw(st.sampled_from(["atomic", "granular"]))
    return schema


@st.composite
def struct(draw: DrawFn, depth: int) -> Schema:
    """Return a schema of an object with properties."""
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    schema: Schema = {
        "type": "object",
        "properties": {name: draw(node(depth - 1)) for name in names},
    }
    if draw(_SOME):
        schema["required"] = draw(
            st.lists(st.sampled_from(names), min_size=1, unique=True)
        )
    if draw(_RARE):
        schema["required"] = [*schema.get("required", ()), "noSuchProperty"]
    if draw(_RARE):
        schema[PRESERVE] = True
    if draw(_RARE):
        schema[MAP_TYPE] = draw(st.sampled_from(["atomic", "granular"]))
    if draw(_RARE):
        schema["maxProperties"] = 20
    if draw(_RARE):
        _embed(draw, schema)
    if draw(_SOME):
        _restrict(draw, schema)
    return schema


def _embed(draw: DrawFn, schema: Schema) -> None:
    """Make an object an embedded resource."""
    schema[EMBEDDED] = True
    if draw(st.booleans()):
        schema[PRESERVE] = True
    for name in ("apiVersion", "kind"):
        schema["properties"][name] = {"type": "string"}
    schema["properties"]["metadata"] = {"type": "object"}


def _restrict(draw: DrawFn, schema: Schema) -> None:
    """Add oneOf, anyOf, allOf, not or rules over the properties there are."""
    names = list(schema["properties"])
    branch = st.builds(lambda name: {"required": [name]}, st.sampled_from(names))
    junctor = draw(st.sampled_from(["oneOf", "anyOf", "allOf", "not", RULES, RULES]))
    if junctor == "not":
        schema["not"] = draw(branch)
    elif junctor == RULES:
        schema[RULES] = draw(st.lists(rule(), min_size=1, max_size=2))
    else:
        schema[junctor] = draw(st.lists(branch, min_size=1, max_size=3))


@st.composite
def rule(draw: DrawFn) -> Schema:
    """Return a CEL rule with any of its fields."""
    made: Schema = {
        "rule": draw(
            st.sampled_from(
                ["true", "self == self", '\'`"\' != "\\\\"', "1 in [1, 2] || false"]
            )
        )
    }
    if draw(_SOME):
        made["message"] = draw(st.sampled_from(["no", 'a "b" `c`', "x;y,z=1", "é"]))
    if draw(_RARE):
        made["messageExpression"] = "'said ' + \"so\""
    if draw(_RARE):
        made["reason"] = draw(
            st.sampled_from(["FieldValueForbidden", "FieldValueInvalid"])
        )
    if draw(_RARE):
        made["rule"] = "self == oldSelf"
        made["optionalOldSelf"] = draw(st.booleans())
        if made["optionalOldSelf"]:
            made["rule"] = "oldSelf.hasValue() || true"
    return made


@st.composite
def node(draw: DrawFn, depth: int) -> Schema:
    """Return any schema below the root, at most ``depth`` levels deep."""
    kinds = ["scalar", "scalar"] if depth > 0 else ["scalar"]
    if depth > 0:
        kinds += ["array", "mapping", "struct", "struct"]
    kind = draw(st.sampled_from(kinds))
    if kind == "scalar":
        schema = dict(draw(SCALARS))
        if draw(_RARE) and schema.get("type") in ("string", "boolean"):
            schema[RULES] = [draw(rule())]
    elif kind == "array":
        schema = draw(array(depth))
    elif kind == "mapping":
        schema = draw(mapping(depth))
    else:
        schema = draw(struct(depth))
    _described(draw, schema)
    if draw(_RARE):
        schema["nullable"] = True
        if draw(_RARE):
            schema["default"] = None
    if draw(_SOME):
        default = _default(draw, schema)
        if default is not None:
            schema["default"] = default
    return schema


def _default(draw: DrawFn, schema: Schema) -> Any:
    """Return a default the schema takes, None where that is no simple matter."""
    judged = schema.keys() & {"oneOf", "anyOf", "allOf", "not"}
    if judged and not schema.get(INT_OR_STRING):
        return None
    bounded = schema.get("pattern") or schema.get("maxLength")
    if schema.get("enum") and not bounded and schema["type"] == "string":
        return draw(st.sampled_from(schema["enum"]))
    if (
        schema.get("enum")
        or schema.get("pattern")
        or schema.get("format")
        or schema.get("minLength")
    ):
        return None
    kind = schema.get("type") or ""
    if kind == "string":
        return draw(st.sampled_from(["", "a", "x;y", '"', "`", "{{", "\n"]))
    if kind == "boolean":
        return draw(st.booleans())
    if kind in ("integer", "number"):
        low = schema.get("minimum", 0)
        return None if "multipleOf" in schema or low != int(low) else int(low) + 2
    if kind == "array" and not schema.get("minItems"):
        items = _default(draw, schema["items"]) if draw(st.booleans()) else None
        return [] if items is None or schema.get(LIST_TYPE) else [items]
    if kind == "object" and not schema.get("required"):
        return None if schema.get("minProperties") or schema.get(EMBEDDED) else {}
    return draw(st.sampled_from([1, "a"])) if schema.get(INT_OR_STRING) else None


@st.composite
def root(draw: DrawFn, depth: int) -> Schema:
    """Return the schema of a version."""
    schema: Schema = {"type": "object", "properties": {}}
    boilerplate = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
    }
    if draw(st.booleans()):
        schema["properties"] |= boilerplate
    if draw(_RARE):
        schema["properties"]["metadata"] = {
            "type": "object",
            "properties": {"name": {"type": "string", "maxLength": 63}},
        }
    schema["properties"]["spec"] = draw(struct(depth))
    if draw(st.booleans()):
        schema["properties"]["status"] = draw(_status(depth))
    if draw(_RARE):
        schema["properties"][draw(st.sampled_from(["data", "hub", "x-y"]))] = draw(
            node(depth)
        )
    if draw(st.booleans()):
        schema["required"] = draw(
            st.sampled_from([["spec"], ["metadata", "spec"], ["spec", "kind"]])
        )
    if draw(_RARE):
        schema[RULES] = [draw(rule())]
    if draw(_RARE):
        schema[PRESERVE] = True
    if draw(_SOME):
        schema["description"] = draw(TEXTS)
    return schema


CONDITION_FIELDS: Schema = {
    "type": {"type": "string"},
    "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
    "reason": {"type": "string"},
    "message": {"type": "string"},
    "lastTransitionTime": {"type": "string", "format": "date-time"},
    "observedGeneration": {"type": "integer", "format": "int64"},
    "severity": {"type": "string"},
}


@st.composite
def _status(draw: DrawFn, depth: int) -> Schema:
    """Return the schema of a status, with conditions of many shapes."""
    schema = draw(struct(depth))
    if draw(st.booleans()):
        rest = draw(st.sets(st.sampled_from(sorted(CONDITION_FIELDS))))
        fields = sorted({"type", "status", *rest})
        items: Schema = {
            "type": "object",
            "properties": {name: dict(CONDITION_FIELDS[name]) for name in fields},
            "required": draw(st.sampled_from([["status", "type"], ["type"], fields])),
        }
        schema["properties"]["conditions"] = {"type": "array", "items": items}
        if draw(st.booleans()):
            schema["properties"]["conditions"] |= {
                LIST_TYPE: "map",
                LIST_KEYS: ["type"],
            }
    return schema


@st.composite
def crds(draw: DrawFn, depth: int = 4) -> dict[str, Any]:
    """Return a CRD."""
    kind = draw(st.sampled_from(["Widget", "DBCluster", "Foo", "FooBar", "SpecItem"]))
    plural = f"{kind.lower()}s"
    count = draw(st.sampled_from([1, 1, 1, 2, 3]))
    names = ["v1", "v1beta1", "v2alpha1"][:count]
    stored = draw(st.integers(0, count - 1))
    versions = [
        draw(_version(name, index == stored, depth)) for index, name in enumerate(names)
    ]
    for version in versions[1:]:
        # As they do in life, versions share most of what they have.
        if draw(st.booleans()):
            shared = versions[0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
            version["schema"]["openAPIV3Schema"]["properties"]["spec"] = shared
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.fuzz.example.com"},
        "spec": {
            "group": "fuzz.example.com",
            "scope": draw(st.sampled_from(["Namespaced", "Cluster"])),
            "names": {
                "kind": kind,
                "plural": plural,
                "singular": kind.lower(),
                "listKind": f"{kind}List",
            },
            "versions": versions,
        },
    }


@st.composite
def _version(draw: DrawFn, name: str, stored: bool, depth: int) -> dict[str, Any]:
    schema = draw(root(depth))
    version: dict[str, Any] = {
        "name": name,
        "served": stored or draw(st.booleans()),
        "storage": stored,
        "schema": {"openAPIV3Schema": schema},
    }
    if "status" in schema["properties"] and draw(st.booleans()):
        version["subresources"] = {"status": {}}
        for key in (PRESERVE, "nullable"):
            schema.pop(key, None)
    if draw(_RARE):
        version["deprecated"] = True
        if draw(st.booleans()):
            version["deprecationWarning"] = 'use "v9"; `really`'
    if draw(_SOME):
        version["additionalPrinterColumns"] = [
            {
                "name": draw(st.sampled_from(["Age", "a b", 'x"y', "é;"])),
                "type": draw(st.sampled_from(["string", "date", "integer"])),
                "jsonPath": draw(
                    st.sampled_from([".spec.name", '.a[?(@.b=="c")].d', ".a\\.b"])
                ),
                "description": draw(TEXTS),
                "priority": draw(st.sampled_from([0, 1])),
            }
        ]
    return version
