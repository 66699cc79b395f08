"""What applying rendered files to a project would change, and whether it may.

All five rules of ownership are checked here, before anything is written:

1. a generated file is rewritten, but not if somebody edited it;
2. a user's file is written once and never again;
3. a kind that is gone takes its generated files along; its user files hold
   the run up until it is dropped by name, and then they move aside;
4. and 5. (optional interfaces, ``main.go``) are kept by the templates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from scaffold import manifest as manifests
from scaffold.errors import OwnershipError, ScaffoldError, UsageError, raise_all
from scaffold.features import Owner
from scaffold.manifest import Manifest, digest
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

    ``beside`` names files of a dropped kind's folders that ctxscaffold never
    wrote and so leaves alone.
    """

    changes: tuple[Change, ...]
    beside: tuple[str, ...]


def make(
    project: Path,
    files: Mapping[str, File],
    version: str,
    *,
    drop: Iterable[str] = (),
    overwrite: bool = False,
) -> Plan:
    """Compare ``files`` with ``project`` and return what must change.

    ``drop`` names kinds (``Widget`` or ``Widget.example.com``) whose user
    files may be moved aside. ``overwrite`` gives up edits made to generated
    files. Raises :class:`OwnershipError` (or several) if something a person
    wrote would be lost, :class:`UsageError` for a kind that cannot be dropped.
    """
    known = manifests.load(project)
    record = known or Manifest(version)
    differences = _Differences(project, record, overwrite)
    kinds = {file.kind for file in files.values() if file.kind}
    dropped = _resolve_drops(drop, kinds, set(record.user.values()))

    fresh = Manifest(version)
    for path, file in sorted(files.items()):
        content = file.text.encode()
        if file.owner is Owner.GENERATED:
            fresh.generated[path] = digest(content)
            differences.generate(path, content)
        else:
            fresh.user[path] = file.kind or ""
            if path not in record.user:
                differences.create(path, content)
    for path in sorted(record.generated.keys() - fresh.generated.keys()):
        differences.remove(path)
    for path, kind in sorted(record.user.items()):
        if path in fresh.user:
            continue
        if kind in kinds or not kind:
            fresh.user[path] = kind  # a feature turned off: the file stays the user's
        elif kind in dropped:
            differences.move_aside(path)
        else:
            differences.orphan(path, kind)
    differences.finish()
    changes = differences.changes
    old = differences.read(manifests.PATH)
    if (new := fresh.dump()) != old:
        changes.append(Change(manifests.PATH, old, new))
    return Plan(tuple(changes), tuple(sorted(differences.beside)))


def _resolve_drops(
    names: Iterable[str], present: set[str], recorded: set[str]
) -> set[str]:
    """Return the full names of the kinds to drop."""
    resolved = set()
    errors: list[ScaffoldError] = []
    for name in names:
        matching = {kind for kind in present | recorded if _is(kind, name)}
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
        elif not matching:
            errors.append(
                UsageError(
                    f"there is no kind {name} to drop",
                    fix="name a kind whose CustomResourceDefinition was removed",
                )
            )
        resolved |= matching
    raise_all(errors)
    return resolved


def _is(kind: str, name: str) -> bool:
    return bool(kind) and name in (kind, kind.partition(".")[0])


class _Differences:
    """Collects changes and refusals file by file."""

    def __init__(self, project: Path, record: Manifest, overwrite: bool) -> None:
        self._project = project
        self._record = record
        self._overwrite = overwrite
        self._orphans: dict[str, list[str]] = {}
        self._errors: list[ScaffoldError] = []
        self.changes: list[Change] = []
        self.beside: set[str] = set()

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
        if self._read(path) is None:
            self.changes.append(Change(path, None, content))

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
        folder = (self._project / path).parent
        self.beside |= {
            str(other.relative_to(self._project))
            for other in folder.iterdir()
            if str(other.relative_to(self._project))
            not in self._record.user.keys() | self._record.generated.keys()
        }

    def orphan(self, path: str, kind: str) -> None:
        if self._read(path) is not None:
            self._orphans.setdefault(kind, []).append(path)

    def finish(self) -> None:
        """Raise everything that was refused."""
        for kind, paths in self._orphans.items():
            self._errors.append(
                OwnershipError(
                    f"{kind} is no longer in crds/, but your files for it are here: "
                    + ", ".join(paths),
                    fix="put its CustomResourceDefinition back, or run ctxscaffold "
                    f"generate --drop {kind}, which moves them to {DROPPED}/",
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
        """Tell whether ``old`` may be overwritten, and note the refusal if not."""
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
