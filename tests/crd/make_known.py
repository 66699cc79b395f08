"""Make scaffold/crd/known.json from releases of Kubernetes.

Run it as ``python -m tests.crd.make_known``; a test compares its output with
the committed table. Releases come as Go modules, whose checksums Go verifies
and the table records.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from scaffold import render
from scaffold.crd import gotypes, known, shapes
from scaffold.crd.markers import Schema
from scaffold.crd.shapes import Shapes
from tests.crd.oracle import Oracle, build

# The newest patch of each minor release that the Go module proxy serves; the pinned
# release, whose types emitted code uses, comes on top.
RELEASES = (
    "v0.24.17",
    "v0.25.16",
    "v0.26.15",
    "v0.27.16",
    "v0.28.15",
    "v0.29.15",
    "v0.30.14",
    "v0.31.14",
    "v0.32.13",
    "v0.33.13",
    "v0.34.13",
    "v0.35.10",
    "v0.36.6",
)
_MODULES = ("k8s.io/api", "k8s.io/apimachinery")


def pinned() -> str:
    """Return the release that emitted code is built with."""
    found = re.search(r"k8s\.io/api (\S+)", render.runtime_go_mod("x"))
    assert found
    return found[1]


class Release:
    """The struct types of one release, with the schemas controller-gen makes."""

    def __init__(self, version: str, oracle: Oracle) -> None:
        self.version = version
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            self.sums = _module(folder, version)
            # Without and with generateEmbeddedObjectMeta.
            self.types, self.embedded = (
                {
                    f"{one['package']}.{one['name']}": one
                    for one in oracle.ask(
                        "known",
                        dir=str(folder),
                        packages=known.PACKAGES,
                        embedded_meta=embedded,
                    )["types"]
                    if _stands_inside(one)
                }
                for embedded in (False, True)
            )


def _module(folder: Path, version: str) -> list[str]:
    """Make a module that requires a release; return what Go says of its sums."""
    imports = "".join(f'\t_ "{path}"\n' for path in known.PACKAGES)
    (folder / "go.mod").write_text("module known\n\ngo 1.26\n")
    (folder / "known.go").write_text(f"package known\n\nimport (\n{imports})\n")
    wanted = [f"{module}@{version}" for module in _MODULES]
    for command in (["get", *wanted], ["mod", "tidy"]):
        subprocess.run(
            ["go", *command],
            cwd=folder,
            check=True,
            capture_output=True,
            env={**os.environ, "GOFLAGS": "-mod=mod", "GOWORK": "off"},
        )
    lines = (folder / "go.sum").read_text().splitlines()
    starts = tuple(f"{module} {version} " for module in _MODULES)
    return [line for line in lines if line.startswith(starts)]


def _stands_inside(one: dict[str, Any]) -> bool:
    """Whether a type occurs inside of others: no object, no list, not empty."""
    properties = one["schema"].get("properties") or {}
    return bool(properties) and not {"apiVersion", "kind", "metadata"} <= set(
        properties
    )


def _is_own(name: str) -> bool:
    """Whether a type tells the state of Kubernetes' own kinds, of no others."""
    return name.endswith(("Status", "Condition")) and name != known.CONDITION


def _short(name: str) -> str:
    """Return a type's name as emitted code writes it, corev1.Affinity."""
    path, _, own = name.rpartition(".")
    return f"{gotypes.ALIASES[path]}.{own}"


def table(latest: Release, others: Sequence[Release]) -> str:
    """Return the text of the table; ``latest`` is the pinned release."""
    types, schemas = exact(latest)
    rows = {
        "releases": _list(one.sums for one in (*others, latest)),
        "fields": json.dumps(fields(latest)),
        "types": _list(types),
        "shapes": _list(similar(latest, others)),
        "schemas": _list(schemas),
    }
    members = ",\n".join(f'"{key}": {text}' for key, text in rows.items())
    return f"{{{members}}}\n"


def _list(rows: Iterable[Any]) -> str:
    return "[\n" + ",\n".join(json.dumps(row, sort_keys=True) for row in rows) + "\n]"


def exact(release: Release) -> tuple[list[dict[str, Any]], list[Schema]]:
    """Return the types of the pinned release, and the schemas they are made of.

    Types and schemas name a schema by its place among the latter, so that each
    is there once.
    """
    digests = Shapes()
    places: dict[str, int] = {}
    schemas: list[Schema] = []

    def place(schema: Schema) -> int:
        made = dict(schema)
        for key in ("items", "additionalProperties"):
            if isinstance(made.get(key), dict):
                made[key] = place(made[key])
        if "properties" in made:
            made["properties"] = {
                name: place(child) for name, child in made["properties"].items()
            }
        text = json.dumps(made, sort_keys=True)
        if text not in places:
            places[text] = len(schemas)
            schemas.append(made)
        return places[text]

    return [
        {
            "type": _short(name),
            "shallow": one["shallow"],
            "shape": digests.shape(one["schema"]),
            "digest": known.digest(one["schema"]),
            "weight": known.weight(one["schema"]),
            "schema": place(one["schema"]),
        }
        for name, one in release.types.items()
    ], schemas


def fields(release: Release) -> dict[str, list[str]]:
    """Return the names of the fields in a release's types that have a type of it."""
    types: dict[str, list[str]] = {}
    for name, one in release.types.items():
        types.setdefault(_with_words(one["schema"]), []).append(_short(name))
    found: dict[str, set[str]] = {}

    def visit(schema: Schema, field: str) -> None:
        if schema.get("properties") and field:
            for name in types.get(_with_words(schema), ()):
                found.setdefault(name, set()).add(field)
        for name, child in shapes.children(schema):
            visit(child, name[1:] if name.startswith(".") else field)

    for one in release.types.values():
        visit(one["schema"], "")
    return {name: sorted(found[name]) for name in sorted(found)}


def _with_words(schema: Schema) -> str:
    """Return a schema as text, but for what is a field's and not its type's."""
    own = {key: value for key, value in schema.items() if key in _OF_TYPE}
    return json.dumps(own, sort_keys=True)


_OF_TYPE = frozenset({"properties", "required", "type", "x-kubernetes-map-type"})


def similar(latest: Release, others: Sequence[Release]) -> Iterator[dict[str, Any]]:
    """Yield each shape that a type had, if the pinned release has all its fields."""
    digests = Shapes()
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for release in (*others, latest):
        for types in (release.types, release.embedded):
            for name, one in types.items():
                schema, now = one["schema"], latest.embedded.get(name)
                if (
                    _is_own(name)
                    or now is None
                    or shapes.missing(schema, now["schema"])
                ):
                    continue
                found.setdefault(
                    (name, digests.shape(schema)),
                    {
                        "type": _short(name),
                        "shape": digests.shape(schema),
                        "weight": shapes.size(schema),
                    },
                )
    return (found[key] for key in sorted(found))


def withheld(latest: Release, others: Sequence[Release]) -> Iterator[str]:
    """Yield the types of each release that hold what the pinned one does not."""
    for release in others:
        for name, one in release.types.items():
            now = latest.embedded.get(name)
            lost = [""] if now is None else shapes.missing(one["schema"], now["schema"])
            if lost:
                yield f"{release.version} {name}{lost[0]}"


def main() -> None:
    """Write the table, and print what it holds back."""
    with tempfile.TemporaryDirectory() as folder:
        binary = build(Path(folder))
        releases = []
        for version in (*RELEASES, pinned()):
            print(version, file=sys.stderr, flush=True)
            oracle = Oracle(binary)
            releases.append(Release(version, oracle))
            oracle.close()
        *others, latest = releases
        known.TABLE.write_text(table(latest, others), "utf-8")
        for line in withheld(latest, others):
            print(line)


if __name__ == "__main__":
    main()
