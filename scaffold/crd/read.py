"""From files to kinds: the only entry to the model."""

from __future__ import annotations

import gc
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from scaffold.crd import build, document, keywords, rules
from scaffold.crd.document import Document
from scaffold.crd.model import Kind
from scaffold.errors import InputError, ScaffoldError, Several, raise_all
from scaffold.places import Places

STDIN = "<stdin>"
_SUFFIXES = (".json", ".yaml", ".yml")
# What the API server or kubectl adds to an object that was applied.
_SERVER_METADATA = frozenset(
    {
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generation",
        "managedFields",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    }
)
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


def read(
    sources: Sequence[Path | bytes],
    *,
    known_types: bool = True,
    places: Places | None = None,
) -> tuple[Kind, ...]:
    """Return the kinds of all CRDs in files, folders and standard input.

    A folder counts with those of its ``*.yaml``, ``*.yml`` and ``*.json`` files
    that hold a CRD, sorted by name; ``bytes`` are what was read from standard input.
    Objects of other kinds beside a CRD are passed over. ``known_types`` says whether the types of
    Kubernetes are recognised in schemas, ``places`` what was decided about kinds
    before. Everything wrong is raised at once, each fault as :class:`InputError`
    with ``file:line``.
    """
    with _uncollected():
        return _read(sources, known_types, places or Places())


@contextmanager
def _uncollected() -> Iterator[None]:
    """Pause the collection of cycles.

    Reading makes many objects that live on and hardly a cycle: looking for them
    again and again would take a tenth of the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _read(
    sources: Sequence[Path | bytes], known_types: bool, places: Places
) -> tuple[Kind, ...]:
    errors: list[ScaffoldError] = []
    crds: list[Document] = []
    for source in sources:
        try:
            found = _crds(source, errors)
        except ScaffoldError as error:
            errors += error.errors if isinstance(error, Several) else (error,)
        else:
            crds += found
    usable = []
    for crd in crds:
        findings = rules.Findings(crd)
        rules.check(crd.data, findings)
        errors += findings.errors()
        if not findings:
            usable.append(crd)
    errors += _duplicates(usable)
    raise_all(errors)
    cleaned_crds = [(crd, cleaned(crd.data)) for crd in usable]
    return build.kinds(cleaned_crds, known_types, places)


def cleaned(crd: dict[str, Any]) -> dict[str, Any]:
    """Return a CRD as it was meant to be applied, without what servers add.

    Labels go whose value no API server takes: they are the placeholders of a
    chart that the CRD was taken from.
    """
    metadata = {
        key: value
        for key, value in crd["metadata"].items()
        if key not in _SERVER_METADATA and value is not None
    }
    labels = metadata.pop("labels", None)
    if isinstance(labels, dict):
        labels = {k: v for k, v in labels.items() if _LABEL_VALUE.fullmatch(str(v))}
    if labels:
        metadata["labels"] = labels
    annotations = metadata.pop("annotations", None)
    if isinstance(annotations, dict):
        annotations = {k: v for k, v in annotations.items() if k != _LAST_APPLIED}
    if annotations:
        metadata["annotations"] = annotations
    rest = {
        key: value for key, value in crd.items() if key not in ("metadata", "status")
    }
    spec = {key: value for key, value in crd["spec"].items() if value is not None}
    versions = [
        {
            **{key: value for key, value in version.items() if value is not None},
            "schema": {
                "openAPIV3Schema": keywords.without_nulls(
                    version["schema"]["openAPIV3Schema"]
                )
            },
        }
        for version in spec["versions"]
    ]
    return {**rest, "metadata": metadata, "spec": {**spec, "versions": versions}}


def holds_crd(path: Path) -> bool:
    """Report whether a file holds a CRD; one that is no YAML does not say so."""
    try:
        documents = _parse(path)
    except ScaffoldError:
        return b"CustomResourceDefinition" in path.read_bytes()
    return any(
        isinstance(one.data, dict) and one.data.get("kind") == rules.KIND
        for one in _flat(documents)
    )


def files(folder: Path) -> list[Path]:
    """Return the files of a folder that hold CRDs, sorted by name.

    Raises :class:`InputError` if there is none: it says what to run instead.
    """
    found = _files(folder) or []
    if with_crds := [path for path in found if holds_crd(path)]:
        return with_crds
    raise InputError(
        (
            f"the folder holds no {rules.KIND}"
            if found
            else "the folder holds no *.yaml, *.yml or *.json file"
        ),
        where=str(folder),
        fix=_instead(folder),
    )


def _instead(folder: Path) -> str:
    """Return what to do about a folder without CRDs."""
    named = shlex.quote(str(folder))
    here = {path.name for path in folder.iterdir()}
    if here & {"kustomization.yaml", "kustomization.yml", "Kustomization"}:
        return f"kubectl kustomize {named} | ctxscaffold new DEST --crd -"
    if "Chart.yaml" in here:
        return f"helm template --include-crds {named} | ctxscaffold new DEST --crd -"
    for below in sorted(path for path in folder.rglob("*") if path.is_dir()):
        if any(holds_crd(path) for path in _files(below) or []):
            return f"there are some in {below}"
    return "put the CustomResourceDefinitions there"


def _crds(source: Path | bytes, errors: list[ScaffoldError]) -> list[Document]:
    """Return the CRDs of one source; raise if there is none."""
    if isinstance(source, bytes):
        return _only_crds(STDIN, document.parse(STDIN, source))
    if _files(source) is None:
        return _only_crds(str(source), _parse(source))
    documents: list[Document] = []
    for path in files(source):
        try:
            documents += _only_crds(str(path), _parse(path))
        except ScaffoldError as error:
            errors += error.errors if isinstance(error, Several) else (error,)
    return documents


def _files(source: Path) -> list[Path] | None:
    """Return the files of a folder in order, None for what is no folder."""
    try:
        if not source.is_dir():
            return None
        return sorted(
            path
            for path in source.iterdir()
            if path.suffix in _SUFFIXES and path.is_file()
        )
    except OSError as error:
        raise _unreadable(source, error) from None


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(
        f"cannot be read: {error.strerror}",
        where=str(path)[:200],
        fix="check the path and its permissions",
    )


def _other(path: Path) -> str:
    """Return what to do about a path that is not there."""
    if url := re.match(r"(https?):/+(.*)", str(path)):
        return f"curl -fsSL {url[1]}://{url[2]} | ctxscaffold new DEST --crd -"
    return "check the path"


def _parse(path: Path) -> list[Document]:
    """Return the documents of a regular file within the size limit."""
    try:
        if not path.exists():
            raise InputError("no such file", where=str(path), fix=_other(path))
        if not path.is_file():
            raise InputError(
                "neither a file nor a folder", where=str(path), fix="give a YAML file"
            )
        size = path.stat().st_size
        if size > document.MAX_BYTES:
            raise document.too_big(str(path), size)
        return document.parse(str(path), path.read_bytes())
    except OSError as error:
        raise _unreadable(path, error) from None


def _only_crds(name: str, documents: list[Document]) -> list[Document]:
    """Return the CRDs among documents, with the items of Lists spread out."""
    crds: list[Document] = []
    errors: list[ScaffoldError] = []
    others: list[str] = []
    for one in _flat(documents):
        data = one.data
        kind = data.get("kind") if isinstance(data, dict) else None
        version = data.get("apiVersion") if isinstance(data, dict) else None
        if not isinstance(kind, str) or not isinstance(version, str):
            errors.append(
                InputError(
                    "not a Kubernetes object: it has no apiVersion and kind",
                    where=one.where(),
                    fix=f"start it with 'apiVersion: {rules.API_VERSION}' "
                    f"and 'kind: {rules.KIND}'",
                )
            )
        elif kind == rules.KIND and version == rules.API_VERSION:
            crds.append(one)
        elif kind == rules.KIND:
            errors.append(
                InputError(
                    f"{rules.quoted(version)} CustomResourceDefinitions are not served any more",
                    where=one.where("apiVersion"),
                    fix=f"convert it to {rules.API_VERSION}, with a schema per version",
                )
            )
        else:
            others.append(kind)
    if not crds and not errors:
        seen = ", ".join(sorted(set(others)))[:200]
        errors.append(
            InputError(
                f"holds no {rules.KIND}" + (f", only {seen}" if seen else ""),
                where=name,
                fix="give a file with 'kind: CustomResourceDefinition'",
            )
        )
    raise_all(errors)
    return crds


def _flat(documents: list[Document]) -> Iterator[Document]:
    for one in documents:
        data = one.data
        items = data.get("items") if isinstance(data, dict) else None
        kind = data.get("kind") if isinstance(data, dict) else None
        if isinstance(items, list) and isinstance(kind, str) and kind.endswith("List"):
            for index in range(len(items)):
                item = one.child("items", index)
                if isinstance(item.data, dict) and kind != "List":
                    item = _with_type(
                        item, kind.removesuffix("List"), data.get("apiVersion")
                    )
                yield from _flat([item])
        else:
            yield one


def _with_type(item: Document, kind: str, version: Any) -> Document:
    """Return an item of a typed list with the type that its list gives it."""
    data = {"apiVersion": version, "kind": kind, **item.data}
    return replace(item, data=data)


def _duplicates(crds: list[Document]) -> list[ScaffoldError]:
    """Return an error for each CRD whose name or kind another one has already."""
    errors: list[ScaffoldError] = []
    seen: dict[tuple[str, str], Document] = {}
    for crd in crds:
        spec = crd.data["spec"]
        name, kind = crd.data["metadata"]["name"], spec["names"]["kind"]
        for what, key, path in (
            (f"CRD {rules.quoted(name)}", ("name", name), ("metadata", "name")),
            (
                f"kind {rules.quoted(kind)} of group {rules.quoted(spec['group'])}",
                (spec["group"], kind),
                ("spec", "names", "kind"),
            ),
        ):
            if first := seen.get(key):
                errors.append(
                    InputError(
                        f"the {what} is defined twice, first at {first.where(*path)}",
                        where=crd.where(*path),
                        fix="keep one of the two",
                    )
                )
                break
        else:
            seen["name", name] = crd
            seen[spec["group"], kind] = crd
    return errors
