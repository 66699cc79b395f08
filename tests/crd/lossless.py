"""Comparing an object with what became of it in Go."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from scaffold.crd.lists import Array, Map
from scaffold.crd.nodes import Known, Meta, Node, Quantity, Time
from scaffold.crd.residual import same
from scaffold.crd.structs import Root, Struct
from tests.crd.draw import amount, same_quantity

_EMPTY: tuple[Any, ...] = (None, "", "0", False, {}, [])


def difference(
    node: Node, before: Any, after: Any, path: str, counts: Counter[str]
) -> str:
    """Return where ``after`` lost something of ``before``, '' if nowhere.

    Canonical forms are no loss; they are counted: ``time``, ``quantity``, and
    ``upstream`` for empty values that a type of Kubernetes' own leaves out.
    """
    if same(before, after):
        return ""
    if before is None or after is None:
        return f"{path}: {before!r} became {after!r}"
    if isinstance(node, Time):
        counts["time"] += 1
        return (
            ""
            if _seconds(before) == _seconds(after)
            else f"{path}: {before} became {after}"
        )
    if isinstance(node, Quantity):
        counts["quantity"] += 1
        return (
            "" if same_quantity(before, after) else f"{path}: {before} became {after}"
        )
    if isinstance(node, Known | Meta):
        if not unlike(before, after):
            counts["upstream"] += 1
            return ""
        return f"{path}: {before!r} became {after!r}"
    if (
        isinstance(node, Struct)
        and isinstance(before, dict)
        and isinstance(after, dict)
    ):
        children = {one.json: one.node for one in node.fields}
        return _members(
            children, None, before, after, path, counts, isinstance(node, Root)
        )
    if isinstance(node, Map) and isinstance(before, dict) and isinstance(after, dict):
        return _members({}, node.values, before, after, path, counts, False)
    lists = isinstance(before, list) and isinstance(after, list)
    if isinstance(node, Array) and lists and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        found = (
            difference(node.items, a, b, f"{path}[{i}]", counts) for i, (a, b) in pairs
        )
        return next((one for one in found if one), "")
    return f"{path}: {before!r} became {after!r}"


def _members(
    children: dict[str, Node],
    values: Node | None,
    before: dict[str, Any],
    after: dict[str, Any],
    path: str,
    counts: Counter[str],
    is_root: bool,
) -> str:
    if before.keys() != after.keys():
        return f"{path}: {sorted(before.keys() ^ after.keys())} came or went"
    for name in sorted(before):
        if is_root and name in ("apiVersion", "kind", "metadata"):
            continue
        child = children.get(name, values)
        if child is None:
            if not same(before[name], after[name]):
                return f"{path}.{name}: {before[name]!r} became {after[name]!r}"
        elif found := difference(
            child, before[name], after[name], f"{path}.{name}", counts
        ):
            return found
    return ""


def _seconds(text: str) -> int:
    return int(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() // 1)


def unlike(before: Any, after: Any) -> bool:
    """Whether values of a type of Kubernetes' own differ in more than their form."""
    return not same(_bare(before), _bare(after))


def _bare(value: Any) -> Any:
    """Return a value of a type of Kubernetes' own, canonical, without what is empty."""
    if isinstance(value, dict):
        kept = {key: _bare(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in _EMPTY}
    if isinstance(value, list):
        return [_bare(item) for item in value]
    if isinstance(value, str) and value[10:11] == "T" and value[:4].isdigit():
        return _seconds(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        return value
    try:
        return str(amount(value))
    except (AssertionError, ValueError):
        return value
