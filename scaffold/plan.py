"""What applying rendered files to a project would change, and whether it may.

All five rules of ownership are checked here, before anything is written:

1. a generated file is rewritten, but not if somebody edited it;
2. a user's file is written once and never again;
3. a user's Go file that loses its place, because nothing is generated any more
   that it belongs to or imports, holds the run up until it is dropped by name; then
   it moves aside, and comes back when its place does;
4. and 5. (optional interfaces, ``main.go``) are kept by the templates.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from scaffold import gofiles
from scaffold import manifest as manifests
from scaffold.errors import OwnershipError, ScaffoldError, UsageError, raise_all
from scaffold.features import Owner
from scaffold.manifest import Manifest, digest
from scaffold.moves import Moves
from scaffold.places import Places
from scaffold.render import File

DROPPED = f"{manifests.FOLDER}/dropped"


@dataclass(frozen=True, slots=True)
class Change:
    """One file that will differ; ``None`` stands for a file that is not there."""

    path: str
    old: bytes | None
    new: bytes | None


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes that make a project current, in the order of their paths.

    ``beside`` names files of the user's that nothing goes with any more and that,
    being no Go, stay where they are.
    """

    changes: tuple[Change, ...]
    beside: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Lost:
    """A user's file without a place: the kind it went with, and what it says of it."""

    path: str
    kind: str = ""
    what: str = ""
    where: str | None = None
    way: str = ""


def make(
    project: Path,
    files: Mapping[str, File],
    version: str,
    *,
    places: Places | None = None,
    modules: tuple[str, str] = ("", ""),
    moves: Moves | None = None,
    drop: Iterable[str] = (),
    overwrite: bool = False,
) -> Plan:
    """Compare ``files`` with ``project`` and return what must change.

    ``places`` are those of the kinds, ``modules`` the Go module that the project's
    files import and the one it is now. ``moves`` are the kinds that go on as others.
    ``drop`` names kinds that are gone (``Widget`` or ``Widget.example.com``), files
    and folders: what lost its place of their user files is moved aside.
    ``overwrite`` gives up edits made to generated files. Raises
    :class:`OwnershipError` (or several) if something a person wrote would be lost,
    :class:`UsageError` for what cannot be dropped.
    """
    known = manifests.load(project)
    record = known or Manifest(version)
    moves = moves or Moves()
    for path, kind in record.user.items():
        record.user[path] = moves.kinds.get(kind, kind)
    differences = _Differences(project, record, overwrite)
    kinds = {file.kind for file in files.values() if file.kind}
    lost = _lost(project, record, files, modules, moves.module)
    dropped = _resolve_drops(drop, kinds, record, lost)

    fresh = Manifest(version, places=places or Places())
    for path, file in sorted(files.items()):
        content = file.text.encode()
        if file.owner is Owner.GENERATED:
            fresh.generated[path] = digest(content)
            differences.generate(path, content)
        else:
            fresh.user[path] = file.kind or ""
            if path not in record.user:
                differences.create(path, content)
    differences.bring_back(_folders(files) - _folders(record.generated | record.user))
    for path in sorted(record.generated.keys() - fresh.generated.keys()):
        differences.remove(path)
    if moves.module:
        for path, was, now in gofiles.renamed(project, *modules):
            if path not in record.generated | fresh.generated and path not in dropped:
                differences.changes.append(Change(path, was, now))
    for one in lost:
        if one.path in dropped:
            differences.move_aside(one.path)
        else:
            differences.refuse(one, is_gone=bool(one.kind) and one.kind not in kinds)
    differences.finish()
    changes = differences.changes
    old = differences.read(manifests.PATH)
    if (new := fresh.dump()) != old:
        changes.append(Change(manifests.PATH, old, new))
    beside = gofiles.others(project, _folders(record.user) - _folders(files))
    beside |= {
        path
        for path in record.user
        if not path.endswith(".go") and _is_left(project, path, files)
    }
    return Plan(tuple(changes), tuple(sorted(beside)))


def _lost(
    project: Path,
    record: Manifest,
    files: Mapping[str, File],
    modules: tuple[str, str],
    moves: bool,
) -> list[_Lost]:
    """Return the user's files that have no place in ``files``.

    They are those once written for what is not generated any more, Go files of the
    user's own in a package that is gone, and Go files that import one.
    """
    found = {
        path: _Lost(path, kind)
        for path, kind in record.user.items()
        if path.endswith(".go") and _is_left(project, path, files)
    }
    packages = _folders(record.generated | record.user, ".go")
    gone = packages - _folders(files, ".go")
    owners = {_folder(path): kind for path, kind in record.user.items()}
    for path in gofiles.inside(project, gone):
        if path not in record.generated:
            found.setdefault(path, _Lost(path, owners.get(_folder(path), "")))
    former, module = modules
    stale = {f"{former}/{folder}": "which is not generated any more" for folder in gone}
    if former != module and not moves:
        moved = f"but the module is called {module} now"
        stale |= {f"{former}/{folder}": moved for folder in packages - gone}
    for path, line, name in gofiles.imports(project, stale.keys()):
        if path not in record.generated:
            what = f"{path} imports {name}, {stale[name]}"
            where = f"{project / path}:{line}"
            way = (
                f" (all of them: --move {former}={module})" if former != module else ""
            )
            found.setdefault(path, _Lost(path, "", what, where, way))
    return [one for _, one in sorted(found.items())]


def _is_left(project: Path, path: str, files: Mapping[str, File]) -> bool:
    return path not in files and (project / path).exists()


def _folder(path: str) -> str:
    return str(PurePosixPath(path).parent)


def _folders(paths: Iterable[str], suffix: str = "") -> set[str]:
    return {_folder(path) for path in paths if path.endswith(suffix)}


def _resolve_drops(
    names: Iterable[str], present: set[str], record: Manifest, lost: list[_Lost]
) -> set[str]:
    """Return the paths that are dropped."""
    recorded = set(record.user.values())
    resolved = set()
    errors: list[ScaffoldError] = []
    for name in names:
        matching = {kind for kind in present | recorded if _is(kind, name)}
        path = PurePosixPath(name)
        inside = {
            one.path for one in lost if PurePosixPath(one.path).is_relative_to(path)
        }
        if len(matching) > 1:
            errors.append(
                UsageError(
                    f"--drop {name} could mean {' or '.join(sorted(matching))}",
                    fix="give the kind with its group",
                )
            )
        elif still := matching & present:
            errors.append(
                UsageError(
                    f"{still.pop()} is still defined in crds/",
                    fix=f"remove its CustomResourceDefinition before --drop {name}",
                )
            )
        elif matching:
            resolved |= {one.path for one in lost if one.kind in matching}
        elif inside:
            resolved |= inside
        elif "/" in name:
            errors.append(
                UsageError(
                    f"nothing of yours at {name} has lost its place",
                    fix="drop what ctxscaffold generate names",
                )
            )
        else:
            errors.append(
                UsageError(
                    f"there is no kind {name} to drop",
                    fix="name a kind whose CustomResourceDefinition was removed",
                )
            )
    raise_all(errors)
    return resolved


def _joint(paths: list[str]) -> list[str]:
    """Return few paths that ``paths`` are at or below of, two folders deep at least."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for path in paths:
        groups.setdefault(PurePosixPath(path).parts[:2], []).append(path)
    return [os.path.commonpath(group) for group in groups.values()]


def _is(kind: str, name: str) -> bool:
    return bool(kind) and name in (kind, kind.partition(".")[0])


class _Differences:
    """Collects changes and refusals file by file."""

    def __init__(self, project: Path, record: Manifest, overwrite: bool) -> None:
        self._project = project
        self._record = record
        self._overwrite = overwrite
        self._orphans: dict[str, list[str]] = {}
        self._strays: list[str] = []
        self._errors: list[ScaffoldError] = []
        self.changes: list[Change] = []

    def read(self, path: str) -> bytes | None:
        """Return the bytes at ``path``, None if nothing is there."""
        target = self._project / path
        for part in [target, *target.parents]:
            if part == self._project:
                break
            if part.is_symlink():
                raise OwnershipError(
                    f"{path} leads through a symbolic link, which is not followed",
                    where=str(part),
                    fix="replace the link by a real file or folder",
                )
        try:
            return target.read_bytes()
        except FileNotFoundError:
            return None
        except NotADirectoryError as error:
            raise OwnershipError(
                f"{path} cannot be written: a file stands where its folder must go",
                where=str(error.filename),
                fix="move that file away",
            ) from error
        except IsADirectoryError as error:
            raise OwnershipError(
                f"{path} cannot be written: a folder has its name",
                where=str(target),
                fix="move that folder away",
            ) from error

    def generate(self, path: str, content: bytes) -> None:
        old = self._read(path)
        if old == content:
            return
        if old is not None and not self._ours(path, old):
            return
        self.changes.append(Change(path, old, content))

    def create(self, path: str, content: bytes) -> None:
        if self._read(path) is None and not self._brought_back(path):
            self.changes.append(Change(path, None, content))

    def bring_back(self, folders: set[str]) -> None:
        """Put back what was moved aside from folders that are generated in again."""
        already = {change.path for change in self.changes}
        for folder in sorted(folders):
            aside = self._project / DROPPED / folder
            for path in sorted(aside.iterdir()) if aside.is_dir() else ():
                target = f"{folder}/{path.name}"
                if path.is_file() and target not in already:
                    self._brought_back(target)

    def _brought_back(self, path: str) -> bool:
        """Report whether there is a file moved aside from ``path``, and put it back."""
        aside = f"{DROPPED}/{path}"
        content = self._read(aside)
        if content is None or self._read(path) is not None:
            return False
        self.changes.append(Change(path, None, content))
        self.changes.append(Change(aside, content, None))
        return True

    def remove(self, path: str) -> None:
        old = self._read(path)
        if old is not None and self._ours(path, old):
            self.changes.append(Change(path, old, None))

    def move_aside(self, path: str) -> None:
        old = self._read(path)
        if old is None:
            return
        aside = f"{DROPPED}/{path}"
        number = 0
        while self._read(aside) is not None:
            number += 1
            aside = f"{DROPPED}/{path}.{number}"
        self.changes.append(Change(aside, None, old))
        self.changes.append(Change(path, old, None))

    def refuse(self, lost: _Lost, is_gone: bool) -> None:
        """Note that a user's file lost its place, maybe as its kind is gone."""
        if lost.what:
            self._errors.append(
                OwnershipError(
                    lost.what,
                    where=lost.where,
                    fix=f"change the import first{lost.way}, or run ctxscaffold "
                    f"generate --drop {lost.path}, which moves the file to {DROPPED}/",
                )
            )
        elif is_gone:
            self._orphans.setdefault(lost.kind, []).append(lost.path)
        else:
            self._strays.append(lost.path)

    def finish(self) -> None:
        """Raise everything that was refused."""
        for kind, paths in self._orphans.items():
            self._errors.append(
                OwnershipError(
                    f"{kind} is no longer in crds/, but your files for it are here: "
                    + ", ".join(paths),
                    fix="put its CustomResourceDefinition back, or run ctxscaffold "
                    f"generate --drop {kind}, which moves them to {DROPPED}/; if "
                    f"another kind takes its place, --move {kind}=NEW",
                )
            )
        if self._strays:
            drops = " ".join(f"--drop {path}" for path in _joint(self._strays))
            self._errors.append(
                OwnershipError(
                    "nothing is generated any more that these files of yours belong "
                    "to: " + ", ".join(self._strays),
                    fix="take back the change of crds/ or of the settings, or run "
                    f"ctxscaffold generate {drops}, which moves them to {DROPPED}/",
                )
            )
        raise_all(self._errors)

    def _read(self, path: str) -> bytes | None:
        try:
            return self.read(path)
        except ScaffoldError as error:
            self._errors.append(error)
            return None

    def _ours(self, path: str, old: bytes) -> bool:
        """Report whether ``old`` may be overwritten, and note the refusal if not."""
        recorded = self._record.generated.get(path)
        if recorded == digest(old) or self._overwrite:
            return True
        if recorded is None:
            what = f"{path} was not written by ctxscaffold, and a generated file must go there"
            fix = "move it away, or give it up with ctxscaffold generate --overwrite"
        else:
            what = f"{path} is generated, and was edited by hand"
            fix = (
                "move the edit to a file of your own, then run ctxscaffold generate "
                "--overwrite to give up the edited text"
            )
        self._errors.append(
            OwnershipError(what, where=str(self._project / path), fix=fix)
        )
        return False
