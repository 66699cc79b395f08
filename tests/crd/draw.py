"""Random objects of a schema, biased to the edges where encodings lose things.

Absent against empty, null where it is allowed, zero, unknown fields where they
are preserved, integers beyond 2^53, both forms of int-or-string, fractions of
seconds, many forms of one quantity.
"""

from __future__ import annotations

import base64
import random
import re
from fractions import Fraction
from typing import Any

from scaffold.crd.markers import EMBEDDED, INT_OR_STRING, PRESERVE, Schema
from scaffold.crd.nodes import QUANTITY_PATTERN
from scaffold.crd.strings import compiled, matching

_QUANTITIES = ("0", "1", "100m", "1.5", "1Gi", "0.5Gi", "1e3", "1000", "-2", "+3k", 7)
_TIMES = (
    "2020-01-01T00:00:00Z",
    "2021-06-30T23:59:59.123456789Z",
    "2022-02-28T12:00:00+05:30",
    "1970-01-01T00:00:00Z",
)
_UNKNOWN: tuple[Any, ...] = (
    {},
    [],
    None,
    0,
    "",
    {"a": [1, None, {"b": 1.5}]},
    9007199254740993,
    "\u2028<&>",
)
_TEXTS = ("", "a", "\u00e4\u2028", 'quote " back \\', "<&>", "0", "true", "null", " ")


class Drawer:
    """Draws objects; the same seed draws the same objects."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)
        # Nodes left to draw in this object, so that big schemas give small objects.
        self._budget = 0

    def object(self, schema: Schema, api_version: str, kind: str) -> dict[str, Any]:
        """Return an object of a version's root schema."""
        self._budget = 300
        made = self._object(schema, root=True)
        made |= {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}}
        return made

    def _value(self, schema: Schema) -> Any:
        self._budget -= 1
        if schema.get("nullable") and self._random.random() < 0.3:
            return None
        if schema.get("enum"):
            return self._random.choice(schema["enum"])
        kind = schema.get("type") or ""
        if kind == "object":
            return self._object(schema)
        if kind == "array":
            return self._array(schema)
        if kind == "string":
            return self._string(schema)
        if kind == "integer":
            return self._integer(schema)
        if kind == "number":
            return self._number(schema)
        if kind == "boolean":
            return self._random.random() < 0.5
        if schema.get(INT_OR_STRING):
            return self._int_or_string(schema)
        value = self._random.choice(_UNKNOWN)
        return {} if value is None else value

    def _object(self, schema: Schema, root: bool = False) -> dict[str, Any]:
        properties = schema.get("properties") or {}
        required = set(schema.get("required") or ())
        likely = 0.7 if root or len(properties) < 6 else 0.4
        made = {}
        for name in sorted(properties):
            if root and name in ("apiVersion", "kind", "metadata"):
                continue
            wanted = self._budget > 0 and self._random.random() < likely
            if name in required or wanted:
                made[name] = self._value(properties[name] or {})
        additional = schema.get("additionalProperties")
        if additional is True:
            additional = {PRESERVE: True}
        if isinstance(additional, dict):
            least = schema.get("minProperties") or 0
            count = max(
                least, self._random.choice((0, 0, 1, 2)) if self._budget > 0 else 0
            )
            for index in range(count):
                made[f"key-{index}"] = self._value(additional)
        elif schema.get(EMBEDDED):
            made |= {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}
        is_map = isinstance(additional, dict)
        if schema.get(PRESERVE) and not is_map and self._random.random() < 0.7:
            made["unknownField"] = self._random.choice(_UNKNOWN)
            made["unknown-2"] = self._random.choice(_UNKNOWN)
        return made

    def _array(self, schema: Schema) -> list[Any]:
        least = schema.get("minItems") or 0
        most = schema.get("maxItems")
        count = max(
            least, self._random.choice((0, 0, 1, 1, 2)) if self._budget > 0 else 0
        )
        count = min(count, most) if most is not None else count
        return [self._value(schema.get("items") or {}) for _ in range(count)]

    def _string(self, schema: Schema) -> str:
        if schema.get("format") == "date-time":
            return self._random.choice(_TIMES)
        if schema.get("format") == "byte":
            raw = self._random.randbytes(self._random.randint(0, 5))
            return base64.b64encode(raw).decode()
        pattern = compiled(schema["pattern"]) if schema.get("pattern") else None
        least, most = schema.get("minLength") or 0, schema.get("maxLength")
        fitting = [
            text
            for text in _TEXTS
            if len(text) >= least
            and (most is None or len(text) <= most)
            and (not schema.get("pattern") or (pattern and pattern.search(text)))
        ]
        if fitting and not schema.get("format"):
            return self._random.choice(fitting)
        return matching(schema) or "example"

    def _bounds(self, schema: Schema, low: float, high: float) -> tuple[float, float]:
        if schema.get("minimum") is not None:
            low = schema["minimum"] + (1 if schema.get("exclusiveMinimum") else 0)
        if schema.get("maximum") is not None:
            high = schema["maximum"] - (1 if schema.get("exclusiveMaximum") else 0)
        return low, high

    def _integer(self, schema: Schema) -> int:
        reach = 2**31 if schema.get("format") == "int32" else 2**63
        low, high = self._bounds(schema, -reach, reach - 1)
        low, high = max(int(low), -reach), min(int(high), reach - 1)
        edges = [n for n in (0, 1, -1, 2**53 + 1, low, high) if low <= n <= high]
        return self._random.choice(edges) if edges else low

    def _number(self, schema: Schema) -> int | float:
        low, high = self._bounds(schema, -1e9, 1e9)
        edges = [n for n in (0, 0.1, 1.5, 1e-7, -2.25, 1e6) if low <= n <= high]
        return self._random.choice(edges) if edges else low

    def _int_or_string(self, schema: Schema) -> int | str:
        if schema.get("pattern") == QUANTITY_PATTERN:
            return self._random.choice(_QUANTITIES)
        if schema.get("pattern"):
            return matching(schema) or 1
        return self._random.choice((0, 1, 2**31 - 1, "", "50%", "http"))


def same_quantity(left: str | int, right: str | int) -> bool:
    """Whether two spellings are one quantity."""
    return amount(left) == amount(right)


def amount(text: str | int) -> Fraction:
    """Return the number that a quantity is."""
    match = re.fullmatch(
        r"([-+]?[0-9.]+)([KMGTPE]i|[numkMGTPE]|[eE][-+]?[0-9]+)?", str(text)
    )
    assert match, text
    number, suffix = Fraction(match.group(1).rstrip(".")), match.group(2) or ""
    if suffix.endswith("i"):
        return number * (1 << 10 * ("KMGTPE".index(suffix[0]) + 1))
    powers = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12}
    powers |= {"P": 15, "E": 18}
    return number * Fraction(f"1e{powers.get(suffix, suffix[1:])}")
