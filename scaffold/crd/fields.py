"""The fields that a CustomResourceDefinition has, outside of metadata and schemas."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from scaffold.crd.keywords import Report
from scaffold.crd.kubeyaml import Path

# The fields there are, by the path to the object that has them; # is any index.
_FIELDS = {
    (): "apiVersion kind metadata spec status",
    # The last are of v1beta1: some still have them, and the API server drops them.
    ("spec",): (
        "conversion group names preserveUnknownFields scope versions "
        "additionalPrinterColumns subresources validation version"
    ),
    ("spec", "names"): "categories kind listKind plural shortNames singular",
    ("spec", "conversion"): "strategy webhook",
    ("spec", "conversion", "webhook"): "clientConfig conversionReviewVersions",
    ("spec", "conversion", "webhook", "clientConfig"): "caBundle service url",
    ("spec", "conversion", "webhook", "clientConfig", "service"): (
        "name namespace path port"
    ),
    ("spec", "versions", "#"): (
        "additionalPrinterColumns deprecated deprecationWarning name schema "
        "selectableFields served storage subresources"
    ),
    ("spec", "versions", "#", "schema"): "openAPIV3Schema",
    ("spec", "versions", "#", "subresources"): "scale status",
    ("spec", "versions", "#", "subresources", "status"): "",
    ("spec", "versions", "#", "subresources", "scale"): (
        "labelSelectorPath specReplicasPath statusReplicasPath"
    ),
    ("spec", "versions", "#", "additionalPrinterColumns", "#"): (
        "description format jsonPath name priority type"
    ),
    ("spec", "versions", "#", "selectableFields", "#"): "jsonPath",
}


def check(crd: dict[str, Any], report: Report) -> None:
    """Report fields outside of metadata, status and schemas that do not exist."""
    for pattern, known in _FIELDS.items():
        for path, node in _at(crd, pattern):
            if not isinstance(node, dict):
                continue
            for key in node:
                if key not in known.split():
                    near = difflib.get_close_matches(str(key), known.split(), 1)
                    report(
                        (*path, key),
                        "there is no such field",
                        f"write '{near[0]}'" if near else "remove it",
                    )


def _at(node: Any, pattern: tuple[str, ...]) -> Iterator[tuple[Path, Any]]:
    """Yield the nodes at a path, and where each is."""
    if not pattern:
        yield (), node
        return
    step, *rest = pattern
    children: list[tuple[str | int, Any]] = []
    if step == "#" and isinstance(node, list):
        children += enumerate(node)
    elif isinstance(node, dict) and step in node:
        children.append((step, node[step]))
    for key, child in children:
        for path, found in _at(child, tuple(rest)):
            yield (key, *path), found
