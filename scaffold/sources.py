"""The CRD files of a project, and files that are to join them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from scaffold.crd.model import Kind
from scaffold.crd.read import files, holds_crd, read
from scaffold.errors import InputError, OwnershipError, ProjectError
from scaffold.places import Places
from scaffold.plan import Change

FOLDER = "crds"
_SUFFIXES = (".yaml", ".yml", ".json")


def kinds(
    project: Path,
    known_types: bool,
    places: Places,
    added: Sequence[Path | bytes] = (),
) -> tuple[Kind, ...]:
    """Read ``crds/`` of ``project`` together with what is to be added to it.

    ``known_types`` is the project's setting of that name, ``places`` is what was
    decided about its kinds.
    """
    folder = project / FOLDER
    if not folder.is_dir() and not added:
        raise ProjectError(
            f"there is no folder {FOLDER}/",
            where=str(project),
            fix=f"put the project's CustomResourceDefinitions into {folder}/",
        )
    present = list(_files(folder))
    contents = {path.read_bytes() for path in present}
    new: list[Path | bytes] = []
    for source in added:
        if isinstance(source, bytes):
            new += [source] if source not in contents else []
            continue
        for path in files(source) if source.is_dir() else [source]:
            known = path.is_file() and path.read_bytes() in contents
            new += [] if known else [path]
    sources = [*present, *new]
    if not sources:
        return ()
    return read(sources, known_types=known_types, places=places)


def additions(project: Path, added: Sequence[Path | bytes]) -> list[Change]:
    """Return the changes that put ``added`` into ``crds/``, under their own names.

    Standard input becomes ``crds/stdin.yaml``. Raises :class:`OwnershipError`
    where another file has the name.
    """
    wanted: dict[str, tuple[bytes, str]] = {}
    for source in added:
        for name, content, origin in _named(source):
            path = f"{FOLDER}/{name}"
            target = project / path
            present = target.read_bytes() if target.exists() else None
            if path in wanted:
                present = wanted[path][0]
            if present not in (None, content):
                raise OwnershipError(
                    f"{path} is another file already",
                    where=origin,
                    fix="rename one of the two; to replace the CRD, copy it there "
                    "yourself",
                )
            wanted[path] = (content, origin)
    return [
        Change(path, None, content)
        for path, (content, _) in sorted(wanted.items())
        if not (project / path).exists()
    ]


def passed_over(project: Path) -> list[str]:
    """Return the files in ``crds/`` that hold a CRD and are not read."""
    folder = project / FOLDER
    if not folder.is_dir():
        return []
    return [
        f"{FOLDER}/{path.relative_to(folder).as_posix()}"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and (path.parent != folder or path.suffix not in _SUFFIXES)
        and holds_crd(path)
    ]


def not_read(path: str) -> InputError:
    """Return what is wrong with a file in ``crds/`` that is passed over."""
    return InputError(
        "holds a CustomResourceDefinition and is not read: only files "
        f"{FOLDER}/*.yaml, *.yml and *.json are",
        where=path,
        fix=f"mv {shlex.quote(path)} {FOLDER}/{shlex.quote(Path(path).stem)}.yaml",
    )


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            if path.suffix in _SUFFIXES and path.is_file():
                yield path


def _named(source: Path | bytes) -> Iterator[tuple[str, bytes, str]]:
    """Yield the name, content and origin of each file; the name is one that is read."""
    if isinstance(source, bytes):
        yield "stdin.yaml", source, "standard input"
        return
    for path in files(source) if source.is_dir() else [source]:
        name = path.name if path.suffix in _SUFFIXES else f"{path.stem}.yaml"
        yield name, path.read_bytes(), str(path)
