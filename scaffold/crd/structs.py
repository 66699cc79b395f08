"""The node class of objects with properties, and the Go code of their JSON.

A struct is *open* when it must keep what its fields cannot hold: unknown
fields under preserve-unknown-fields, properties whose names Go's JSON tags
cannot carry, and explicit nulls of optional fields. It then has the field
ExtraFields and JSON methods of its own; every other struct relies on tags.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from scaffold.crd import golang, gotypes, markers, names
from scaffold.crd.gotypes import External, GoType, Pointer
from scaffold.crd.markers import EMBEDDED, PRESERVE, Schema
from scaffold.crd.nodes import Declaration, Node, Place, Usage

EXTRA = "ExtraFields"
EXTRA_TYPE = gotypes.Map(gotypes.JSON)
# Names a field must not have, because the struct has a method or field of it.
RESERVED = frozenset(
    {
        "DeepCopy",
        "DeepCopyInto",
        "DeepCopyObject",
        "MarshalJSON",
        "UnmarshalJSON",
        EXTRA,
    }
)
# A field of a method's name would hide one that client.Object has of metav1.ObjectMeta.
_METADATA = (
    "Annotations CreationTimestamp DeletionGracePeriodSeconds DeletionTimestamp "
    "Finalizers GenerateName Generation Labels ManagedFields Name Namespace "
    "OwnerReferences ResourceVersion SelfLink UID"
)
_ROOT_RESERVED = (
    RESERVED
    | frozenset(verb + name for name in _METADATA.split() for verb in ("Get", "Set"))
    | frozenset(
        {
            "ConvertFrom",
            "ConvertTo",
            "GetObjectKind",
            "GetObjectMeta",
            "GroupVersionKind",
            "Hub",
            "ObjectMeta",
            "SetGroupVersionKind",
            "TypeMeta",
        }
    )
)
_META = ("apiVersion", "kind", "metadata")


@dataclass(slots=True)
class Field:
    """A property that has a struct field; ``kind`` is its type once emitted."""

    json: str
    go: str
    node: Node
    required: bool
    kind: GoType = gotypes.STRING

    @property
    def keeps_null(self) -> bool:
        """Whether absent and null must differ, which no Go type alone can say."""
        return bool(self.node.schema.get("nullable")) and not self.required


class Struct(Node):
    """An object with properties."""

    __slots__ = ("fields", "similar", "unnamed")
    openapi = "object"
    reserved = RESERVED

    def __init__(self, schema: Schema, children: dict[str, Node]) -> None:
        """Wrap an object whose properties are ``children``."""
        super().__init__(schema)
        self.declared = True
        # The type of Kubernetes that values can be turned into and back.
        self.similar: External | None = None
        required = frozenset(schema.get("required") or ())
        named = {name: node for name, node in children.items() if golang.taggable(name)}
        self.unnamed = sorted(children.keys() - named.keys())
        spelled = names.fields(sorted(named), self.reserved)
        self.fields = [
            Field(name, spelled[name], named[name], name in required)
            for name in sorted(named)
        ]

    def children(self) -> Iterator[tuple[str, Node]]:
        """Yield the nodes below with their words."""
        for one in self.fields:
            yield one.go, one.node

    def settle(self, place: Place) -> None:
        """Fix the place, and whether a type of its own is needed."""
        self.place = place
        for one in self.fields:
            one.node.settle(Place.FIELD)

    def wants_markers(self) -> bool:
        """Whether something is lost where no marker can stand."""
        return False

    @property
    def keeps_unknown(self) -> bool:
        """Whether fields without a property survive in the API server."""
        return bool(self.schema.get(PRESERVE) or self.schema.get(EMBEDDED))

    @property
    def is_open(self) -> bool:
        """Whether the struct has ExtraFields."""
        return (
            self.keeps_unknown
            or bool(self.unnamed)
            or any(one.keeps_null for one in self.fields)
        )

    def emit(self, declarations: list[Declaration]) -> Usage:
        """Declare what is needed and return the use."""
        go = gotypes.Struct(self.name)
        doc, described = self._type_doc()
        declaration = Declaration(go, doc, [], [])
        declarations.append(declaration)
        body, properties, required = self._body(go, declarations)
        found, given = self._type_markers()
        schema: Schema = {"type": "object", **described, **given}
        usage = Usage(go, schema)
        bounds, bounded = markers.constraints(
            _bounds(self.schema), "object", self._prefix()
        )
        if bounds and not self.is_open:
            bounds, bounded = markers.constraints(_bounds(self.schema), "object")
            found += bounds
            schema |= bounded
        elif bounds and self.place is not Place.BARE:
            # On a type with JSON methods controller-gen would refuse them.
            usage.markers += [
                f"+{markers.VALIDATION}{self._prefix()}Type=object",
                *bounds,
            ]
            schema |= bounded
        if properties:
            schema["properties"] = properties
        if required:
            schema["required"] = sorted(required)
        declaration.markers = found
        declaration.body = [f"type {self.name} struct {{", *body, "}"]
        if self.is_open:
            go.fields.append((EXTRA, EXTRA_TYPE))
            go.is_open = True
            declaration.after = self._json_methods()
        return usage

    def _prefix(self) -> str:
        return "items:" if self.place is Place.ITEM else ""

    def _type_markers(self) -> tuple[list[str], Schema]:
        rest = {key: value for key, value in self.schema.items() if key not in _BOUNDS}
        found, given = markers.constraints(rest, "object")
        topology, map_type = markers.topology(self.schema, "object", is_struct=True)
        opened, open_given = markers.openness(self.schema, {})
        found += topology + opened
        given |= {**map_type, **open_given}
        if self.place is not Place.FIELD:
            extra, documented = markers.documentation(self.schema)
            found += extra
            given |= documented
        return found, given

    def _body(
        self, go: gotypes.Struct, declarations: list[Declaration]
    ) -> tuple[list[str], Schema, list[str]]:
        """Return the lines between the braces, the properties and the required."""
        lines: list[str] = []
        properties: Schema = {}
        required = []
        for one in self.fields:
            usage = one.node.emit(declarations)
            one.kind, option = _pointer_and_option(usage.go, one)
            go.fields.append((one.go, one.kind))
            if lines:
                lines.append("")
            comment, properties[one.json] = _field_comment(one, usage)
            lines += comment
            lines.append(f"\t{one.go} {one.kind} {golang.tag(one.json, option)}")
            if one.required:
                required.append(one.json)
        if self.is_open:
            if lines:
                lines.append("")
            lines += [f"\t// {text}" for text in self._extra_doc()]
            lines.append(f'\t{EXTRA} {EXTRA_TYPE} `json:"-"`')
        return lines, properties, required

    def _extra_doc(self) -> list[str]:
        text = [f"{EXTRA} holds, by name, what no field above can hold:"]
        if self.keeps_unknown:
            text.append("fields the schema does not list,")
        if self.unnamed:
            text.append("fields whose names Go's JSON tags cannot carry,")
        if any(one.keeps_null for one in self.fields):
            text.append("nulls of optional fields that were given as null,")
        text[-1] = text[-1][:-1] + "."
        return text

    def _json_methods(self) -> list[str]:
        """Return MarshalJSON and UnmarshalJSON of an open struct."""
        nulls = [golang.string(one.json) for one in self.fields if one.keeps_null]
        plain = [golang.string(one.json) for one in self.fields if not one.keeps_null]
        plain += [golang.string(name) for name in self._implicit()]
        cases: list[str] = []
        if nulls:
            cases += [f"\t\tcase {', '.join(nulls)}:", "\t\t\treturn isNull"]
        if plain and (self.keeps_unknown or self.unnamed):
            cases += [f"\t\tcase {', '.join(plain)}:", "\t\t\treturn false"]
        if self.keeps_unknown:
            last = "\t\treturn true"
        elif self.unnamed:
            kept = ", ".join(golang.string(name) for name in self.unnamed)
            cases += [f"\t\tcase {kept}:", "\t\t\treturn true"]
            last = "\t\treturn false"
        else:
            last = "\t\treturn false"
        if cases:
            cases = ["\t\tswitch name {", *cases, "\t\t}"]
        null = "isNull" if nulls else "_"
        return [
            "",
            f"// MarshalJSON writes the fields and what {EXTRA} holds.",
            f"func (in {self.name}) MarshalJSON() ([]byte, error) {{",
            f"\ttype plain {self.name}",
            f"\treturn marshalWithExtra(plain(in), in.{EXTRA})",
            "}",
            "",
            f"// UnmarshalJSON reads the fields and keeps what they cannot hold in {EXTRA}.",
            f"func (in *{self.name}) UnmarshalJSON(data []byte) error {{",
            f"\ttype plain {self.name}",
            f"\treturn unmarshalWithExtra(data, (*plain)(in), &in.{EXTRA}, "
            f"func({'name' if cases else '_'} string, {null} bool) bool {{",
            *cases,
            last,
            "\t})",
            "}",
        ]

    def _implicit(self) -> tuple[str, ...]:
        """Return JSON names that Go holds in fields which are no properties."""
        return ()


class Root(Struct):
    """The schema of a version: what metav1 embeds, then the other properties."""

    __slots__ = ("metadata_required",)
    reserved = _ROOT_RESERVED

    def __init__(self, schema: Schema, children: dict[str, Node]) -> None:
        """Wrap a version's schema."""
        rest = {name: node for name, node in children.items() if name not in _META}
        super().__init__(schema, rest)
        self.metadata_required = "metadata" in (schema.get("required") or ())
        self.place = Place.BARE

    def settle(self, place: Place) -> None:
        """Fix the place, and whether a type of its own is needed."""
        super().settle(Place.BARE)

    def _implicit(self) -> tuple[str, ...]:
        return _META

    def _body(
        self, go: gotypes.Struct, declarations: list[Declaration]
    ) -> tuple[list[str], Schema, list[str]]:
        go.is_object = True
        go.fields += [
            ("TypeMeta", gotypes.TYPE_META),
            ("ObjectMeta", gotypes.OBJECT_META),
        ]
        lines, properties, required = super()._body(go, declarations)
        head = ['\tmetav1.TypeMeta `json:",inline"`']
        if self.metadata_required:
            head += ["", "\t// +required"]
            required.append("metadata")
        head.append('\tmetav1.ObjectMeta `json:"metadata,omitzero"`')
        if lines:
            head.append("")
        return head + lines, {**TYPE_META, **properties}, required


# What controller-gen makes of metav1.TypeMeta and, at the root, of ObjectMeta.
TYPE_META: Schema = {
    "apiVersion": {
        "description": "APIVersion defines the versioned schema of this representation of an object.\n"
        "Servers should convert recognized schemas to the latest internal value, and\n"
        "may reject unrecognized values.\n"
        "More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources",
        "type": "string",
    },
    "kind": {
        "description": "Kind is a string value representing the REST resource this object represents.\n"
        "Servers may infer this from the endpoint the client submits requests to.\n"
        "Cannot be updated.\n"
        "In CamelCase.\n"
        "More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds",
        "type": "string",
    },
    "metadata": {"type": "object"},
}
_BOUNDS = ("maxProperties", "minProperties")


def _bounds(schema: Schema) -> Schema:
    return {key: schema[key] for key in _BOUNDS if key in schema}


def _pointer_and_option(go: GoType, one: Field) -> tuple[GoType, str]:
    """Return a field's type and its JSON option.

    Optional values are pointers, so that absent differs from zero; lists and
    maps can be nil anyway. A required field with a default is left out when it
    is nil as well, so that the API server fills the default in.
    """
    may_be_absent = not one.required or one.node.schema.get("default") is not None
    if gotypes.is_reference(go):
        return go, "omitzero" if may_be_absent else ""
    if may_be_absent:
        return Pointer(go), "omitempty"
    return (Pointer(go) if one.node.schema.get("nullable") else go), ""


def _field_comment(one: Field, usage: Usage) -> tuple[list[str], Schema]:
    """Return a field's comment lines and what controller-gen makes of the field."""
    schema = one.node.schema
    doc = golang.comment_lines(schema.get("description") or "")
    found = ["+required" if one.required else "+optional"]
    given = dict(usage.schema)
    if given.get("anyOf", ()) is None:
        del given["anyOf"]
    for extra, more in (markers.of_field(schema), markers.documentation(schema)):
        found += extra
        given |= more
    found += usage.markers
    if doc:
        given["description"] = golang.read_back(doc)
    lines = [f"\t// {line}".rstrip() for line in (*doc, *found)]
    return lines, given
