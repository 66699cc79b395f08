"""The node classes of lists and maps."""

from __future__ import annotations

from collections.abc import Iterator

from scaffold.crd import gotypes, markers
from scaffold.crd.gotypes import Pointer, Slice
from scaffold.crd.markers import Schema
from scaffold.crd.nodes import Declaration, Node, Place, Usage


class Array(Node):
    """A list."""

    __slots__ = ("items",)
    openapi = "array"

    def __init__(self, schema: Schema, items: Node) -> None:
        """Wrap a list of ``items``."""
        super().__init__(schema)
        self.items = items

    def children(self) -> Iterator[tuple[str, Node]]:
        """Yield the nodes below with their words."""
        yield "Item", self.items

    def _own(self) -> tuple[list[str], Schema]:
        found, given = self._constraints("")
        listed, topology = markers.topology(self.schema, "array")
        opened, open_given = markers.openness(self.schema, {})
        return found + listed + opened, {**given, **topology, **open_given}

    def wants_markers(self) -> bool:
        """Whether something is lost where no marker can stand."""
        return bool(self._own()[0]) or self.items.wants_markers()

    def settle(self, place: Place) -> None:
        """Fix the place, and whether a type of its own is needed."""
        self.place = place
        self.declared = place is not Place.FIELD and self.wants_markers()
        marked = place is Place.FIELD or self.declared
        self.items.settle(Place.ITEM if marked else Place.BARE)

    def emit(self, declarations: list[Declaration]) -> Usage:
        """Declare what is needed and return the use."""
        inner = self.items.emit(declarations)
        elem = inner.go
        if self.items.schema.get("nullable") and not gotypes.is_reference(elem):
            elem = Pointer(elem)
        found, given = self._own()
        schema = {"type": "array", "items": inner.schema, **given}
        found = found + inner.markers
        if self.declared:
            return self._declare(declarations, Slice(elem), schema, found, [])
        return Usage(Slice(elem), schema, found)


class Map(Node):
    """An object with ``additionalProperties``."""

    __slots__ = ("values",)
    openapi = "object"

    def __init__(self, schema: Schema, values: Node) -> None:
        """Wrap a map to ``values``."""
        super().__init__(schema)
        self.values = values

    def children(self) -> Iterator[tuple[str, Node]]:
        """Yield the nodes below with their words."""
        yield "Value", self.values

    def _own(self) -> tuple[list[str], Schema]:
        found, given = self._constraints("")
        listed, topology = markers.topology(self.schema, "object")
        opened, open_given = markers.openness(self.schema, {})
        return found + listed + opened, {**given, **topology, **open_given}

    def wants_markers(self) -> bool:
        """Whether something is lost where no marker can stand."""
        return bool(self._own()[0])

    def settle(self, place: Place) -> None:
        """Fix the place, and whether a type of its own is needed."""
        self.place = place
        self.declared = place is not Place.FIELD and self.wants_markers()
        self.values.settle(Place.BARE)

    def emit(self, declarations: list[Declaration]) -> Usage:
        """Declare what is needed and return the use."""
        inner = self.values.emit(declarations)
        elem = inner.go
        if self.values.schema.get("nullable") and not gotypes.is_reference(elem):
            elem = Pointer(elem)
        found, given = self._own()
        schema = {"type": "object", "additionalProperties": inner.schema, **given}
        if self.declared:
            return self._declare(declarations, gotypes.Map(elem), schema, found, [])
        return Usage(gotypes.Map(elem), schema, found)
