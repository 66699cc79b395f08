"""Conversions between the versions of a kind, field by field.

The storage version is the hub. Every struct of another version gets two
functions, to and from the hub's struct at the same place. Fields of the same
JSON name are converted where their Go types allow it; what is left over on one
side travels in an annotation and comes back from ``was``, the object as it
stood there before it went through the other version. The items of a list that
has map keys are found there by their keys, those of other lists by their index.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from scaffold.crd import gotypes
from scaffold.crd.gotypes import (
    Basic,
    External,
    GoType,
    Map,
    Named,
    Pointer,
    Slice,
    Struct,
    underlying,
)
from scaffold.crd.lists import Array
from scaffold.crd.lists import Map as MapNode
from scaffold.crd.markers import LIST_KEYS
from scaffold.crd.nodes import Node
from scaffold.crd.structs import EXTRA
from scaffold.crd.structs import Struct as StructNode

HUB = "hub"
# Functions that conversions of a package share, where they are used.
HELPERS = ("former", "isZero", "valueOf")
_FAMILIES = {"int": "int", "int32": "int", "int64": "int"}
_BITS = {"int32": 32, "int": 64, "int64": 64}


@dataclass(slots=True)
class Spoke:
    """The conversion code of one kind in a version that is not the hub.

    ``functions`` are Go functions, ``lost`` the JSON paths that only one of the
    two versions has or whose types do not convert.
    """

    functions: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


def spoke(root: StructNode, hub: StructNode) -> Spoke:
    """Return the conversion between a version's root node and the hub's."""
    made = Spoke()
    _pair(root, hub, "", made)
    return made


def _pair(ours: StructNode, theirs: StructNode, path: str, made: Spoke) -> None:
    """Write both functions for a pair of structs, and those of structs below."""
    to_hub = _Writer(ours, theirs, to_hub=True)
    from_hub = _Writer(theirs, ours, to_hub=False)
    made.functions += ["\n".join(to_hub.function()), "\n".join(from_hub.function())]
    made.lost += sorted({f"{path}{name}" for name in (*to_hub.lost, *from_hub.lost)})
    for json_name, left, right in to_hub.below:
        _pair(left, right, f"{path}{json_name}.", made)


class _Writer:
    """Writes the function from one struct to another."""

    def __init__(self, source: StructNode, target: StructNode, *, to_hub: bool) -> None:
        self.source, self.target, self.to_hub = source, target, to_hub
        self.lines: list[str] = []
        self.lost: list[str] = []
        self.below: list[tuple[str, StructNode, StructNode]] = []
        self._depth = 1
        self._names = 0

    def function(self) -> Iterator[str]:
        """Yield the lines of the function."""
        name = _function(self.source if self.to_hub else self.target, self.to_hub)
        in_type, out_type = self._type(self.source.name, 0), self._type(
            self.target.name, 1
        )
        self._fields()
        uses_was = any("was" in line for line in self.lines)
        uses_in = any("in." in line for line in self.lines)
        yield f"func {name}({'in' if uses_in else '_'} *{in_type}, out *{out_type}, {'was' if uses_was else '_'} *{out_type}) {{"
        yield from self.lines
        yield "}"

    def _type(self, name: str, side: int) -> str:
        """Return a local type's name; side 0 is the source's, 1 the target's."""
        is_hub = self.to_hub == (side == 1)
        return f"{HUB}.{name}" if is_hub else name

    def _go(self, go: GoType, side: int) -> str:
        if isinstance(go, Slice):
            return f"[]{self._go(go.elem, side)}"
        if isinstance(go, Map):
            return f"map[string]{self._go(go.elem, side)}"
        if isinstance(go, Pointer):
            return f"*{self._go(go.elem, side)}"
        if isinstance(go, Struct | Named):
            return self._type(go.name, side)
        return str(go)

    def line(self, text: str) -> None:
        self.lines.append("\t" * self._depth + text)

    def _fields(self) -> None:
        ours = {one.json: one for one in self.source.fields}
        restored = []
        for one in self.target.fields:
            other = ours.pop(one.json, None)
            if other is None or not _converts(other.kind, one.kind):
                restored.append(one.go)
                self.lost.append(one.json)
                continue
            source, target = f"in.{other.go}", f"out.{one.go}"
            self._value(
                (other.kind, other.node),
                (one.kind, one.node),
                source,
                target,
                f"was.{one.go}",
                one.json,
            )
        self.lost += ours
        if self.target.is_open and self.source.is_open:
            self.line(f"out.{EXTRA} = in.{EXTRA}")
        elif self.target.is_open:
            restored.append(EXTRA)
        if restored:
            self.line("if was != nil {")
            for name in restored:
                self.line(f"\tout.{name} = was.{name}")
            self.line("}")

    def _value(
        self,
        source: tuple[GoType, Node],
        target: tuple[GoType, Node],
        value: str,
        place: str,
        was: str,
        path: str,
    ) -> None:
        """Write the conversion of ``value`` into ``place``.

        ``was`` is the expression of the old value, valid where the variable it
        begins with is not nil.
        """
        left, right = source[0], target[0]
        if _is_same(left, right):
            self.line(f"{place} = {value}")
            return
        inner_left = left.elem if isinstance(left, Pointer) else left
        inner_right = right.elem if isinstance(right, Pointer) else right
        if isinstance(inner_left, Struct) and isinstance(inner_right, Struct):
            self._struct(source, target, value, place, was, path)
        elif isinstance(underlying(inner_left), Slice):
            self._slice(source, target, value, place, was, path)
        elif isinstance(underlying(inner_left), Map):
            self._map(source, target, value, place, was, path)
        else:
            self._scalar(left, right, value, place, was)

    def _scalar(
        self, left: GoType, right: GoType, value: str, place: str, was: str
    ) -> None:
        to = self._go(right.elem if isinstance(right, Pointer) else right, 1)
        back = self._go(left.elem if isinstance(left, Pointer) else left, 0)
        holder = _holder(was)
        if isinstance(left, Pointer) and isinstance(right, Pointer):
            name = self._name("value")
            self.line(f"if {value} != nil {{")
            self.line(f"\t{name} := {to}(*{value})")
            self.line(f"\t{place} = &{name}")
            if _is_wider(right.elem, left.elem):
                self.line(
                    f"\tif {holder} != nil && {was} != nil && {back}(*{was}) == *{value} {{"
                )
                self.line(f"\t\t{place} = {was}")
                self.line("\t}")
            self.line("}")
        elif isinstance(left, Pointer):
            self.line(f"if {value} != nil {{")
            self.line(f"\t{place} = {to}(*{value})")
            if _is_wider(right, left.elem):
                self.line(f"\tif {holder} != nil && {back}({was}) == *{value} {{")
                self.line(f"\t\t{place} = {was}")
                self.line("\t}")
            self.line("}")
        elif isinstance(right, Pointer):
            name = self._name("value")
            self.line(f"{name} := {to}({value})")
            self.line(f"{place} = &{name}")
            self.line(
                f"if {holder} != nil && ({was} == nil && {value} == {_zero(left)} || {was} != nil && {back}(*{was}) == {value}) {{"
            )
            self.line(f"\t{place} = {was}")
            self.line("}")
        else:
            self.line(f"{place} = {to}({value})")
            if _is_wider(right, left):
                self.line(f"if {holder} != nil && {back}({was}) == {value} {{")
                self.line(f"\t{place} = {was}")
                self.line("}")

    def _struct(
        self,
        source: tuple[GoType, Node],
        target: tuple[GoType, Node],
        value: str,
        place: str,
        was: str,
        path: str,
    ) -> None:
        left, right = source[0], target[0]
        left_node, right_node = source[1], target[1]
        assert isinstance(left_node, StructNode) and isinstance(right_node, StructNode)
        self.below.append(
            (path, left_node, right_node)
            if self.to_hub
            else (path, right_node, left_node)
        )
        function = _function(left_node if self.to_hub else right_node, self.to_hub)
        old = self._name("old")
        name = self._go(right.elem if isinstance(right, Pointer) else right, 1)
        guarded = isinstance(left, Pointer)
        if guarded:
            self.line(f"if {value} != nil {{")
            self._depth += 1
        if isinstance(right, Pointer):
            self.line(f"{place} = new({name})")
        self.line(f"var {old} *{name}")
        self.line(f"if {_holder(was)} != nil {{")
        self.line(f"\t{old} = {was if isinstance(right, Pointer) else _address(was)}")
        self.line("}")
        taken = value if isinstance(left, Pointer) else f"&{value}"
        given = place if isinstance(right, Pointer) else f"&{place}"
        self.line(f"{function}({taken}, {given}, {old})")
        if guarded:
            self._depth -= 1
            self.line("}")
        elif isinstance(right, Pointer):
            self.line(f"if {_holder(was)} != nil && {was} == nil && isZero({value}) {{")
            self.line(f"\t{place} = nil")
            self.line("}")

    def _slice(
        self,
        source: tuple[GoType, Node],
        target: tuple[GoType, Node],
        value: str,
        place: str,
        was: str,
        path: str,
    ) -> None:
        left, right = underlying(source[0]), underlying(target[0])
        left_node, right_node = source[1], target[1]
        assert isinstance(left, Slice) and isinstance(right, Slice)
        assert isinstance(left_node, Array) and isinstance(right_node, Array)
        index, old = self._name("i"), self._name("old")
        elem = self._go(right.elem, 1)
        self.line(f"if {value} != nil {{")
        self._depth += 1
        self.line(f"{place} = make({self._go(target[0], 1)}, len({value}))")
        self.line(f"for {index} := range {value} {{")
        self._depth += 1
        before = len(self.lines)
        self._value(
            (left.elem, left_node.items),
            (right.elem, right_node.items),
            f"{value}[{index}]",
            f"{place}[{index}]",
            f"(*{old})",
            f"{path}[]",
        )
        same = self._same_key(source, target, f"{value}[{index}]")
        if same:
            finding = [
                f"if {_holder(was)} != nil {{",
                f"\t{old} = former({was}, {index}, func(one *{elem}) bool {{ return {same} }})",
                "}",
            ]
        else:
            finding = [
                f"if {_holder(was)} != nil && {index} < len({was}) {{",
                f"\t{old} = &{was}[{index}]",
                "}",
            ]
        self._declare_old(before, old, elem, finding)
        self._depth -= 1
        self.line("}")
        self._depth -= 1
        self.line("}")

    def _same_key(
        self, source: tuple[GoType, Node], target: tuple[GoType, Node], item: str
    ) -> str:
        """Return the Go condition that ``one`` has the map keys of ``item``.

        It is '' where the list has none, or one that only one side has.
        """
        assert isinstance(source[1], Array) and isinstance(target[1], Array)
        items = source[1].items, target[1].items
        keys = target[1].schema.get(LIST_KEYS) or source[1].schema.get(LIST_KEYS) or ()
        left, right = (
            (
                {one.json: one for one in node.fields}
                if isinstance(node, StructNode)
                else {}
            )
            for node in items
        )
        conditions = []
        for key in keys:
            if key not in left or key not in right:
                return ""
            mine, other = left[key], right[key]
            key_type = _narrower(mine.kind, other.kind)
            if not key_type or not _converts(mine.kind, other.kind):
                return ""
            sides = (
                _as_basic(key_type, f"one.{other.go}", other.kind),
                _as_basic(key_type, f"{item}.{mine.go}", mine.kind),
            )
            conditions.append(" == ".join(sides))
        return " && ".join(conditions)

    def _map(
        self,
        source: tuple[GoType, Node],
        target: tuple[GoType, Node],
        value: str,
        place: str,
        was: str,
        path: str,
    ) -> None:
        left, right = underlying(source[0]), underlying(target[0])
        left_node, right_node = source[1], target[1]
        assert isinstance(left, Map) and isinstance(right, Map)
        assert isinstance(left_node, MapNode) and isinstance(right_node, MapNode)
        key, item, made, old = (
            self._name(word) for word in ("key", "item", "made", "old")
        )
        elem = self._go(right.elem, 1)
        self.line(f"if {value} != nil {{")
        self._depth += 1
        self.line(f"{place} = make({self._go(target[0], 1)}, len({value}))")
        self.line(f"for {key}, {item} := range {value} {{")
        self._depth += 1
        self.line(f"var {made} {elem}")
        before = len(self.lines)
        self._value(
            (left.elem, left_node.values),
            (right.elem, right_node.values),
            item,
            made,
            f"(*{old})",
            f"{path}{{}}",
        )
        self._declare_old(
            before,
            old,
            elem,
            [
                f"if {_holder(was)} != nil {{",
                f"\tif former, found := {was}[{key}]; found {{",
                f"\t\t{old} = &former",
                "\t}",
                "}",
            ],
        )
        self.line(f"{place}[{key}] = {made}")
        self._depth -= 1
        self.line("}")
        self._depth -= 1
        self.line("}")

    def _declare_old(self, at: int, name: str, elem: str, setting: list[str]) -> None:
        """Put the declaration of an old element where its use begins, if any."""
        if any(name in line for line in self.lines[at:]):
            indent = "\t" * self._depth
            declared = [f"var {name} *{elem}", *setting]
            self.lines[at:at] = [indent + line for line in declared]

    def _name(self, word: str) -> str:
        """Return a variable name that is new in this function."""
        self._names += 1
        return f"{word}{self._names}"


def _narrower(left: GoType, right: GoType) -> str:
    """Return the predeclared type that values of both go through, '' if there is none."""
    names = []
    for go in (left, right):
        basic = underlying(go.elem if isinstance(go, Pointer) else go)
        if not isinstance(basic, Basic):
            return ""
        names.append(basic.name)
    return min(names, key=lambda name: _BITS.get(name, 0))


def _as_basic(name: str, value: str, go: GoType) -> str:
    """Return a value, nil as its zero, as one of a predeclared type."""
    if isinstance(go, Pointer):
        value, go = f"valueOf({value})", go.elem
    return value if go == Basic(name) else f"{name}({value})"


def _holder(was: str) -> str:
    """Return the pointer variable that an old value is reached through."""
    return was.removeprefix("(*").split(".")[0].rstrip(")")


def _address(was: str) -> str:
    """Return a pointer to an old value."""
    return _holder(was) if was == f"(*{_holder(was)})" else f"&{was}"


def _function(ours: StructNode, to_hub: bool) -> str:
    return f"convert{ours.name}{'ToHub' if to_hub else 'FromHub'}"


def _is_same(left: GoType, right: GoType) -> bool:
    """Whether both packages mean one and the same Go type."""
    if isinstance(left, Slice | Map | Pointer):
        return type(left) is type(right) and _is_same(left.elem, right.elem)
    return isinstance(left, Basic | External) and left == right


def _converts(left: GoType, right: GoType) -> bool:
    """Whether values of one type become values of the other without a choice."""
    if _is_same(left, right):
        return True
    left = left.elem if isinstance(left, Pointer) else left
    right = right.elem if isinstance(right, Pointer) else right
    if isinstance(left, Struct) and isinstance(right, Struct):
        return True
    a, b = underlying(left), underlying(right)
    if isinstance(a, Slice) and isinstance(b, Slice):
        return _converts(a.elem, b.elem)
    if isinstance(a, Map) and isinstance(b, Map):
        return _converts(a.elem, b.elem)
    if isinstance(a, Basic) and isinstance(b, Basic):
        return _FAMILIES.get(a.name, a.name) == _FAMILIES.get(b.name, b.name)
    return False


def _is_wider(right: GoType, left: GoType) -> bool:
    a, b = underlying(right), underlying(left)
    if not isinstance(a, Basic) or not isinstance(b, Basic):
        return False
    return _BITS.get(a.name, 0) > _BITS.get(b.name, 0)


def _zero(go: GoType) -> str:
    basic = underlying(go)
    assert isinstance(basic, Basic)
    return {"string": '""', "bool": "false"}.get(basic.name, "0")


def helpers(functions: Iterable[str]) -> tuple[str, ...]:
    """Return which of :data:`HELPERS` conversion functions call."""
    text = "\n".join(functions)
    return tuple(name for name in HELPERS if f"{name}(" in text)


def imports(functions: list[str]) -> list[str]:
    """Return the import specs that conversion functions need besides the hub's."""
    text = "\n".join(functions)
    return [
        f'{alias} "{path}"'
        for path, alias in sorted(gotypes.ALIASES.items())
        if f"{alias}." in text
    ]
