"""CRDs in other words: what an edit of their documentation changes, and what not."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from scaffold.crd.markers import Schema
from scaffold.crd.model import Kind
from scaffold.crd.residual import TYPE_META, WORDS
from scaffold.crd.shapes import children

# What may become of a description.
EDITS: dict[str, Callable[[str], str]] = {
    "left out": lambda text: "",
    "cut": lambda text: text[:20],
    "in one line": lambda text: " ".join(text.split()),
    "put otherwise": lambda text: f"In other words: {text}\n\n- so",
}


def reworded(document: Any, edit: Callable[[str], str]) -> Any:
    """Return a CRD in which every node of its schemas is described anew."""
    made = copy.deepcopy(document)
    for version in made["spec"]["versions"]:
        for schema in _below(version["schema"]["openAPIV3Schema"]):
            text = edit(schema.get("description") or "")
            for key in WORDS & schema.keys():
                del schema[key]
            if text:
                schema["description"] = text
    return made


def _below(root: Schema) -> Iterator[Schema]:
    """Yield the nodes that a CRD describes: the API server has its own words for others."""
    for name, child in (root.get("properties") or {}).items():
        if name not in TYPE_META:
            yield from _nodes(child or {})


def _nodes(schema: Schema) -> Iterator[Schema]:
    yield schema
    for _, child in children(schema):
        yield from _nodes(child)


def go(kind: Kind) -> list[object]:
    """Return what there is of a kind in Go, without comments."""
    return [
        (
            version.name,
            version.code.imports,
            [_without_comments(block) for block in version.code.blocks],
            version.code.deepcopy,
            version.code.similar,
            version.conditions,
            version.own_conditions,
            version.lists,
            version.spoke and version.spoke.functions,
        )
        for version in kind.versions
    ]


def _without_comments(block: str) -> list[str]:
    """Return the lines of a declaration, alike whether it is in a group or not."""
    lines = (line.strip().removeprefix("type ") for line in block.splitlines())
    return [line for line in lines if line not in ("", "(", ")") and line[:2] != "//"]
