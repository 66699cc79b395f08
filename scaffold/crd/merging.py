"""What a CRD says of the lists in a status, as the Go that tells the runtime."""

from __future__ import annotations

import json
from collections.abc import Iterator

from scaffold.crd import golang
from scaffold.crd.markers import LIST_KEYS, LIST_TYPE, Schema

# What stands for every field of a map.
_ANY = "*"


def lists(status: Schema) -> str:
    """Return the entries of a reconciler.Lists literal, '' if there are none.

    An entry is a field whose list has map keys or is declared atomic, or below
    which there is such a list. A set needs no entry: its elements are told apart by
    what they are. Lists directly in lists have no name, and get none.
    """
    return "\n".join(
        f"{golang.string(name)}: {text}," for name, text in _entries(status)
    )


def _entries(schema: Schema) -> Iterator[tuple[str, str]]:
    fields = dict(schema.get("properties") or {})
    if isinstance(schema.get("additionalProperties"), dict):
        fields[_ANY] = schema["additionalProperties"]
    for name in sorted(fields):
        parts = [*_said(fields[name]), *_within(fields[name])]
        if parts:
            yield name, f"{{{', '.join(parts)}}}"


def _said(schema: Schema) -> Iterator[str]:
    """Yield what is said of the list itself."""
    kind, keys = schema.get(LIST_TYPE), schema.get(LIST_KEYS) or ()
    if kind == "map" and keys:
        yield f"Keys: []string{{{', '.join(map(golang.string, keys))}}}"
        of_item = (schema.get("items") or {}).get("properties") or {}
        defaults = [
            f"{golang.string(key)}: {golang.string(json.dumps(of_item[key]['default']))}"
            for key in keys
            if of_item.get(key, {}).get("default") is not None
        ]
        if defaults:
            yield f"Defaults: map[string]string{{{', '.join(defaults)}}}"
    elif kind == "atomic":
        yield "Atomic: true"


def _within(schema: Schema) -> Iterator[str]:
    inner = lists(schema.get("items") or schema)
    if inner:
        yield f"Within: reconciler.Lists{{\n{inner}\n}}"
