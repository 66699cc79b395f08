"""The CRD files of a project, and files that are to join them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from scaffold.crd.model import Kind
from scaffold.crd.read import read
from scaffold.errors import OwnershipError, ProjectError
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
        elif not source.is_dir():
            known = source.is_file() and source.read_bytes() in contents
            new += [] if known else [source]
        else:
            new += [
                path for path in _files(source) if path.read_bytes() not in contents
            ]
            if not any(_files(source)):
                new.append(source)
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
                    fix="rename one of the two; to replace the CRD, copy it over "
                    f"{target} yourself",
                )
            wanted[path] = (content, origin)
    return [
        Change(path, None, content)
        for path, (content, _) in sorted(wanted.items())
        if not (project / path).exists()
    ]


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            if path.suffix in _SUFFIXES and path.is_file():
                yield path


def _named(source: Path | bytes) -> Iterator[tuple[str, bytes, str]]:
    if isinstance(source, bytes):
        yield "stdin.yaml", source, "standard input"
    elif source.is_dir():
        for path in _files(source):
            yield path.name, path.read_bytes(), str(path)
    else:
        yield source.name, source.read_bytes(), str(source)
