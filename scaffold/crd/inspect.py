"""What was understood of CRDs, as data: for people, and for ``--json``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
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
    """One version: its fields, the types recognised in it, remarks on its sample.

    ``no_ready`` says why there can be no condition Ready, '' if there can.
    """

    name: str
    served: bool
    storage: bool
    deprecated: bool
    fields: int
    known_types: tuple[tuple[str, int], ...]
    similar_types: tuple[tuple[str, int], ...]
    sample_remarks: tuple[str, ...]
    no_ready: str


@dataclass(frozen=True, slots=True)
class KindReport:
    """One kind. ``exact`` says that its types alone give its schema back.

    ``constructs`` are what they cannot say and the residual patch restores;
    ``restored`` counts what it restores besides, which no API server notices:
    words, order, other form.
    """

    group: str
    kind: str
    go_type: str
    crd: str
    where: str
    scope: str
    versions: tuple[VersionReport, ...]
    exact: bool
    constructs: tuple[Construct, ...]
    restored: tuple[tuple[str, int], ...]


def inspect(kind: Kind) -> KindReport:
    """Return what was understood of a kind."""
    changes = [one for one in kind.residual if not _is_boilerplate(one["path"])]
    return KindReport(
        group=kind.group,
        kind=kind.kind,
        go_type=kind.name,
        crd=kind.crd_name,
        where=f"{kind.source[0]}:{kind.source[1]}",
        scope="Namespaced" if kind.namespaced else "Cluster",
        versions=tuple(_version(kind, version) for version in kind.versions),
        exact=kind.exact,
        constructs=_constructs(kind, [one for one in changes if not _form(one, kind)]),
        restored=tuple(
            sorted(
                Counter(form for one in changes if (form := _form(one, kind))).items()
            )
        ),
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
        similar_types=tuple(
            sorted(Counter(one.go for one in version.code.similar).items())
        ),
        sample_remarks=tuple(remarks),
        no_ready=version.no_ready,
    )


def without_ready(kinds: Iterable[Kind]) -> Iterator[str]:
    """Yield a line for each kind whose stored version cannot say that it is ready."""
    for kind in kinds:
        if why := kind.storage.no_ready:
            yield f"{kind.kind}.{kind.group} gets no condition Ready: {why}"


def _fields(schema: Schema) -> int:
    properties = schema.get("properties") or {}
    count = len(properties) + sum(_fields(child or {}) for child in properties.values())
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            count += _fields(schema[key])
    return count


def _form(operation: dict[str, Any], kind: Kind) -> str:
    """Return what of a schema's form an operation restores, '' if it is more.

    controller-gen sorts the required names and the versions, and breaks some
    descriptions elsewhere.
    """
    steps = ["", *operation["path"].split("/")]
    parent, last = steps[-2:]
    if last in residual.WORDS and parent != "properties":
        return "words"
    if operation["op"] == "move" or (parent == "required" and last.isdigit()):
        return "order"
    return "other form" if kind.exact else ""


def _constructs(
    kind: Kind, operations: Sequence[dict[str, Any]]
) -> tuple[Construct, ...]:
    """Return what operations of the residual patch close, with lines."""
    changes = [
        (_path(operation["path"], kind.document), operation["op"])
        for operation in operations
    ]
    lines = kind.origin.lines({path for path, _ in changes})
    return tuple(
        Construct(f"{kind.origin.name}:{lines[path]}", dotted(path), change)
        for path, change in changes
    )


def _is_boilerplate(pointer: str) -> bool:
    """Whether a pointer leads to the root's apiVersion, kind or metadata."""
    steps = pointer.split("/")
    if len(steps) < 8 or steps[5:7] != ["openAPIV3Schema", "properties"]:
        return False
    return steps[7] in residual.TYPE_META and steps[8:] in ([], ["description"])


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
