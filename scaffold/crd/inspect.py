"""What was understood of CRDs, as data: for people, and for ``--json``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scaffold.crd import residual, sample
from scaffold.crd.kubeyaml import Path
from scaffold.crd.markers import Schema
from scaffold.crd.model import Kind, Version
from scaffold.crd.rules import dotted


@dataclass(frozen=True, slots=True)
class Construct:
    """Something of a CRD that controller-gen cannot be told by Go types.

    ``where`` is ``file:line``, ``path`` the place in the CRD, ``change`` what
    the residual patch does there: add, remove, replace or move.
    """

    where: str
    path: str
    change: str


@dataclass(frozen=True, slots=True)
class VersionReport:
    """One version: its fields, the types recognised in it, remarks on its sample."""

    name: str
    served: bool
    storage: bool
    deprecated: bool
    fields: int
    known_types: tuple[tuple[str, int], ...]
    sample_remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KindReport:
    """One kind. ``exact`` says that its types alone give its schema back."""

    group: str
    kind: str
    go_type: str
    crd: str
    where: str
    scope: str
    versions: tuple[VersionReport, ...]
    exact: bool
    constructs: tuple[Construct, ...]


def inspect(kind: Kind) -> KindReport:
    """Return what was understood of a kind."""
    return KindReport(
        group=kind.group,
        kind=kind.kind,
        go_type=kind.name,
        crd=kind.crd_name,
        where=f"{kind.source[0]}:{kind.source[1]}",
        scope="Namespaced" if kind.namespaced else "Cluster",
        versions=tuple(_version(kind, version) for version in kind.versions),
        exact=kind.exact,
        constructs=_constructs(kind),
    )


def _version(kind: Kind, version: Version) -> VersionReport:
    _, remarks = sample.sample("", kind.kind, "", kind.namespaced, version.schema)
    return VersionReport(
        name=version.name,
        served=version.served,
        storage=version.is_storage,
        deprecated=version.deprecated,
        fields=_fields(version.schema),
        known_types=version.code.known_types,
        sample_remarks=tuple(remarks),
    )


def _fields(schema: Schema) -> int:
    properties = schema.get("properties") or {}
    count = len(properties) + sum(_fields(child or {}) for child in properties.values())
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            count += _fields(schema[key])
    return count


def _constructs(kind: Kind) -> tuple[Construct, ...]:
    """Return what the residual patch closes, boilerplate left out, with lines."""
    changes = [
        (_path(operation["path"], kind.document), operation["op"])
        for operation in kind.residual
        if not _is_boilerplate(operation["path"])
    ]
    lines = kind.origin.lines({path for path, _ in changes})
    return tuple(
        Construct(f"{kind.origin.name}:{lines[path]}", dotted(path), change)
        for path, change in changes
    )


def _is_boilerplate(pointer: str) -> bool:
    """Whether a pointer leads to the root's apiVersion, kind or metadata."""
    steps = pointer.split("/")
    return steps[5:7] == ["openAPIV3Schema", "properties"] and (
        steps[7] in residual.TYPE_META
        and (len(steps) == 8 or steps[8] == "description")
    )


def _path(pointer: str, document: Any) -> Path:
    """Return a JSON pointer as a path into a document."""
    path: list[str | int] = []
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        key: str | int = int(name) if isinstance(document, list) else name
        path.append(key)
        try:
            document = document[key]
        except (KeyError, IndexError, TypeError):
            document = None
    return tuple(path)
