"""The intermediate representation: one class for each kind of schema node.

A node knows its Go type, the markers its schema needs and what controller-gen
makes of both. Building goes in passes over the tree: :func:`parse` classifies,
:meth:`Node.settle` decides which nodes get a type of their own,
:mod:`scaffold.crd.package` names those, :meth:`Node.emit` declares them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from scaffold.crd import golang, gotypes, markers
from scaffold.crd.gotypes import External, GoType, Named
from scaffold.crd.markers import EMBEDDED, INT_OR_STRING, PRESERVE, Schema

QUANTITY_PATTERN = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|"
    r"([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)
_ANY_OF = [{"type": "integer"}, {"type": "string"}]


# What controller-gen makes of the types of Kubernetes that stand for a node.
_TIME: Schema = {"type": "string", "format": "date-time"}
_QUANTITY: Schema = {
    "anyOf": _ANY_OF,
    "pattern": QUANTITY_PATTERN,
    INT_OR_STRING: True,
}
_INT_OR_STRING: Schema = {"anyOf": _ANY_OF, INT_OR_STRING: True}
_ANY_VALUE: Schema = {PRESERVE: True}
_FREE_OBJECT: Schema = {"type": "object", PRESERVE: True}
_OBJECT: Schema = {"type": "object"}


class Place(Enum):
    """Where a node stands, which decides where its markers can go."""

    FIELD = auto()
    ITEM = auto()
    BARE = auto()


@dataclass(slots=True)
class Usage:
    """A node's Go type where it is used.

    ``schema`` is what controller-gen makes of the type and ``markers``, which
    stand on the enclosing field or array type.
    """

    go: GoType
    schema: Schema
    markers: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Declaration:
    """One declared type: its comments, markers, definition and what follows it."""

    go: gotypes.Struct | Named
    doc: list[str]
    markers: list[str]
    body: list[str]
    after: list[str] = field(default_factory=list)


class Node:
    """A schema node; ``openapi`` is its type as controller-gen sees the Go type."""

    __slots__ = ("declared", "name", "path", "place", "schema")
    openapi = ""

    def __init__(self, schema: Schema) -> None:
        """Wrap a node of a checked schema."""
        self.schema = schema
        self.place = Place.FIELD
        self.declared = False
        # The Go type's name, given by the package, and where it comes from.
        self.name = ""
        self.path = ""

    def children(self) -> Iterator[tuple[str, Node]]:
        """Yield the nodes below with the word each adds to a type's name."""
        return iter(())

    def settle(self, place: Place) -> None:
        """Fix where the node stands and whether it needs a type of its own."""
        self.place = place

    def wants_markers(self) -> bool:
        """Whether the node loses something where no marker can stand."""
        return bool(self._constraints("")[0])

    def emit(self, declarations: list[Declaration]) -> Usage:
        """Declare what the node needs and return how it is used."""
        raise NotImplementedError

    def _constraints(self, prefix: str) -> tuple[list[str], Schema]:
        return markers.constraints(self.schema, self.openapi, prefix)

    def _type_doc(self) -> tuple[list[str], Schema]:
        """Return the doc comment of the node's own type and what it gives back.

        On a field with a description of its own the type's comment has no say,
        so it can tell where the type belongs; on one without it would become
        the description, so there is none.
        """
        text = self.schema.get("description") or ""
        if self.place is Place.FIELD:
            return (
                [f"{self.name} is {self.path}."] if golang.comment_lines(text) else []
            ), {}
        lines = golang.comment_lines(text)
        back = golang.read_back(lines) if lines else ""
        return lines, {"description": back} if back else {}

    def _declare(
        self,
        declarations: list[Declaration],
        go: GoType,
        base: Schema,
        found: list[str],
        after: list[str],
    ) -> Usage:
        """Declare a named type on top of ``go`` and return its use."""
        named = Named(self.name, go)
        doc, described = self._type_doc()
        schema = {**base, **described}
        if self.place is not Place.FIELD:
            extra, given = markers.documentation(self.schema)
            found = found + extra
            schema |= given
        declarations.append(
            Declaration(named, doc, found, [f"type {self.name} {go}"], after)
        )
        return Usage(named, schema)


class Scalar(Node):
    """A string, number or boolean: inline, or a named type where markers demand it."""

    __slots__ = ()
    go: GoType = gotypes.STRING
    own_format = ""

    def settle(self, place: Place) -> None:
        """Fix the place, and whether a type of its own is needed."""
        self.place = place
        self.declared = place is Place.BARE and self.wants_markers()

    def wants_markers(self) -> bool:
        """Whether something is lost where no marker can stand."""
        return bool(self._all("")[0])

    def _all(self, prefix: str) -> tuple[list[str], Schema]:
        found, given = self._constraints(prefix)
        more, formatted = markers.format_marker(self.schema, self.own_format, prefix)
        opened, open_given = markers.openness(self.schema, {}, prefix)
        return more + found + opened, {
            "type": self.openapi,
            **formatted,
            **given,
            **open_given,
        }

    def emit(self, declarations: list[Declaration]) -> Usage:
        """Declare what is needed and return the use."""
        prefix = "items:" if self.place is Place.ITEM and not self.declared else ""
        found, schema = self._all(prefix)
        if self.declared:
            return self._declare(declarations, self.go, schema, found, [])
        return Usage(self.go, schema, found)


class String(Scalar):
    """``type: string`` without a Go type of its own."""

    __slots__ = ()
    openapi = "string"


class StringEnum(String):
    """A string with an enum: a named type with a constant for each value."""

    __slots__ = ("constants",)

    def __init__(self, schema: Schema) -> None:
        """Wrap a string whose enum is all strings."""
        super().__init__(schema)
        # Go name -> value, given by the package.
        self.constants: dict[str, str] = {}

    def settle(self, place: Place) -> None:
        """Fix the place, and whether a type of its own is needed."""
        self.place = place
        self.declared = True

    def emit(self, declarations: list[Declaration]) -> Usage:
        """Declare what is needed and return the use."""
        found, schema = self._all("")
        after = ["", f"// The values of {self.name}.", "const ("]
        after += [
            f"\t{name} {self.name} = {golang.string(value)}"
            for name, value in self.constants.items()
        ]
        return self._declare(declarations, self.go, schema, found, [*after, ")"])


class Integer(Scalar):
    """``type: integer``: int32 and int64 by format, int without one."""

    __slots__ = ("go", "own_format")
    openapi = "integer"

    def __init__(self, schema: Schema) -> None:
        """Choose the Go type by the format."""
        super().__init__(schema)
        wanted = schema.get("format") or ""
        name = {"": "int", "int32": "int32"}.get(wanted, "int64")
        self.go = gotypes.Basic(name)
        self.own_format = "" if name == "int" else name


class Number(Scalar):
    """``type: number``: float64."""

    __slots__ = ()
    openapi = "number"
    go = gotypes.Basic("float64")


class Boolean(Scalar):
    """``type: boolean``."""

    __slots__ = ()
    openapi = "boolean"
    go = gotypes.BOOL


class Bytes(Node):
    """``type: string`` with ``format: byte`` and nothing else: ``[]byte``."""

    __slots__ = ()

    def wants_markers(self) -> bool:
        """Whether something is lost where no marker can stand."""
        return False

    def emit(self, declarations: list[Declaration]) -> Usage:
        """Declare what is needed and return the use."""
        return Usage(gotypes.BYTES, {"type": "string", "format": "byte"})


class Foreign(Node):
    """A node with a type of Kubernetes' own; ``base`` is that type's schema."""

    __slots__ = ()
    go: External = gotypes.JSON
    base: Schema

    def emit(self, declarations: list[Declaration]) -> Usage:
        """Declare what is needed and return the use."""
        if self.place is Place.BARE:
            return Usage(self.go, dict(self.base))
        prefix = "items:" if self.place is Place.ITEM else ""
        found, given = self._found(prefix)
        return Usage(self.go, {**self.base, **given}, found)

    def _found(self, prefix: str) -> tuple[list[str], Schema]:
        found, given = self._constraints(prefix)
        opened, open_given = markers.openness(self.schema, self.base, prefix)
        return found + opened, {**given, **open_given}

    def wants_markers(self) -> bool:
        """Whether something is lost where no marker can stand."""
        return False


class Time(Foreign):
    """``format: date-time`` and nothing else: metav1.Time."""

    __slots__ = ()
    go = gotypes.TIME
    base = _TIME


class Quantity(Foreign):
    """An int-or-string with the pattern of resource.Quantity."""

    __slots__ = ()
    go = gotypes.QUANTITY
    base = _QUANTITY


class IntOrString(Foreign):
    """``x-kubernetes-int-or-string``: intstr.IntOrString."""

    __slots__ = ()
    go = gotypes.INT_OR_STRING
    base = _INT_OR_STRING

    def _found(self, prefix: str) -> tuple[list[str], Schema]:
        bare = not self.schema.get("anyOf") and not prefix
        found, given = markers.constraints(self.schema, "string", prefix)
        if found or bare:
            # Without it the markers of strings are refused on this type.
            found.insert(0, f"+{markers.VALIDATION}{prefix}XIntOrString")
        if bare:
            found.insert(0, f"+{markers.VALIDATION}Schemaless")
            given["anyOf"] = None
        return found, given


class AnyValue(Foreign):
    """No type and preserve-unknown-fields: any JSON."""

    __slots__ = ()
    go = gotypes.JSON
    base = _ANY_VALUE


class FreeObject(Foreign):
    """An object of unknown fields: runtime.RawExtension."""

    __slots__ = ()
    go = gotypes.RAW_EXTENSION
    base = _FREE_OBJECT

    def _found(self, prefix: str) -> tuple[list[str], Schema]:
        found, given = super()._found(prefix)
        bounds, bounded = markers.constraints(
            _only_bounds(self.schema), "object", prefix
        )
        if bounds:
            found += [f"+{markers.VALIDATION}{prefix}Type=object", *bounds]
        topology, map_type = markers.topology(self.schema, "object", is_struct=True)
        if topology and not prefix:
            found += topology
            given |= map_type
        return found, {**given, **bounded}


def _only_bounds(schema: Schema) -> Schema:
    return {k: schema[k] for k in ("maxProperties", "minProperties") if k in schema}


class Meta(Foreign):
    """The metadata of an embedded resource: metav1.ObjectMeta."""

    __slots__ = ()
    go = gotypes.OBJECT_META
    base = _OBJECT


class Known(Foreign):
    """A node whose schema is that of a type in k8s.io/api, but for words."""

    __slots__ = ("base", "go")

    def __init__(self, schema: Schema, go: External, base: Schema) -> None:
        """Use ``go``, whose schema is ``base``."""
        super().__init__(schema)
        self.go = go
        self.base = base

    def _found(self, prefix: str) -> tuple[list[str], Schema]:
        return [], {}


def is_string_enum(schema: Schema) -> bool:
    """Whether a string node lists its values, all of them strings."""
    enum = schema.get("enum")
    return bool(enum) and all(isinstance(value, str) for value in enum or ())


def scalar(schema: Schema) -> Node | None:
    """Return the node of a schema that is no object and no array, else None."""
    kind = schema.get("type") or ""
    if kind == "string":
        return _string(schema)
    if kind == "integer":
        return Integer(schema)
    if kind == "number":
        return Number(schema)
    if kind == "boolean":
        return Boolean(schema)
    if kind:
        return None
    if schema.get(INT_OR_STRING):
        is_quantity = (
            schema.get("pattern") == QUANTITY_PATTERN and schema.get("anyOf") == _ANY_OF
        )
        if is_quantity and "maxLength" not in schema and "minLength" not in schema:
            return Quantity(schema)
        return IntOrString(schema)
    return AnyValue(schema)


def _string(schema: Schema) -> Node:
    if is_string_enum(schema):
        return StringEnum(schema)
    plain = not any(
        schema.get(key)
        for key in ("pattern", "maxLength", "minLength", "enum", EMBEDDED, PRESERVE)
    )
    plain = plain and not schema.get(markers.RULES)
    if plain and schema.get("format") == "date-time":
        return Time(schema)
    if plain and schema.get("format") == "byte":
        return Bytes(schema)
    return String(schema)
