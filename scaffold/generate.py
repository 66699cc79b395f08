"""``ctxscaffold generate``: from the CRDs of a project to its derived files."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from scaffold import (
    __version__,
    apply,
    gofiles,
    gomod,
    manifest,
    moves,
    periods,
    plan,
    render,
    settings,
    sources,
)
from scaffold.crd.model import Kind
from scaffold.errors import OwnershipError, raise_all
from scaffold.gofmt import gofmt
from scaffold.layout import place
from scaffold.places import key
from scaffold.plan import Change, Plan
from scaffold.watches import Watches, resolve


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run changed, or with ``write=False`` would change."""

    kinds: tuple[Kind, ...]
    changes: tuple[Change, ...]
    beside: tuple[str, ...]
    passed_over: tuple[str, ...] = ()

    @property
    def visible(self) -> tuple[Change, ...]:
        """The changes without the manifest."""
        return tuple(change for change in self.changes if change.path != manifest.PATH)


def generate(
    project: Path,
    *,
    add: Sequence[Path | bytes] = (),
    drop: Iterable[str] = (),
    move: Mapping[str, str] | None = None,
    overwrite: bool = False,
    write: bool = True,
    watches: Watches | None = None,
) -> Outcome:
    """Bring the derived files of ``project`` in line with its CRDs.

    ``add`` names CRD files and folders (or holds the bytes of one) that are
    copied into ``crds/`` in the same step; ``watches`` are added to the settings.
    ``drop`` and ``move`` say what becomes of user files that lose their place.

    Raises :class:`scaffold.errors.ScaffoldError`; the tree is then unchanged.
    """
    settings.load(project)  # before anything is made in what may be no project
    with apply.exclusive(project) if write else nullcontext():
        if write:
            apply.recover(project)
        # What a run that was killed had decided is read after it is finished.
        chosen = settings.load(project)
        manifest.check(project)
        periods.check(project)
        decided = manifest.places(project)
        former = gofiles.module(project) or chosen.module
        moved = moves.resolve(move or {}, decided, former, chosen.module)
        decided = moved.moved(decided)
        chosen, answered = settings.changed(
            project, chosen, watches or {}, new_module=moved.module
        )
        kinds = sources.kinds(project, chosen.known_types, decided, add)
        moved.check(key(kind) for kind in kinds)
        resolved = resolve(chosen.watches, kinds, str(project / settings.ANSWERS))
        files = _formatted(
            render.render(
                place(
                    chosen.name, chosen.module, chosen.options, kinds, resolved, decided
                )
            )
        )
        passed_over = sources.passed_over(project)
        try:
            made = plan.make(
                project,
                files,
                __version__,
                places=decided.joined(kinds),
                modules=(former, chosen.module),
                moves=moved,
                drop=drop,
                overwrite=overwrite,
            )
        except (
            OwnershipError
        ) as error:  # of which a CRD that is not read may be the cause
            raise_all([error, *map(sources.not_read, passed_over)])
            raise
        made = _joined(
            made,
            answered,
            sources.additions(project, add),
            gomod.raised(
                project, render.runtime_go_mod(chosen.module), render.runtime_go_sum()
            ),
        )
        if write:
            apply.apply(project, made)
    return Outcome(kinds, made.changes, made.beside, tuple(passed_over))


def unified_diff(changes: Iterable[Change]) -> Iterator[str]:
    """Yield the lines of a unified diff of ``changes``."""
    for change in changes:
        yield from difflib.unified_diff(
            _lines(change.old),
            _lines(change.new),
            f"a/{change.path}" if change.old is not None else "/dev/null",
            f"b/{change.path}" if change.new is not None else "/dev/null",
        )


def _lines(content: bytes | None) -> list[str]:
    return (content or b"").decode("utf-8", "replace").splitlines(keepends=True)


def _formatted(files: dict[str, render.File]) -> dict[str, render.File]:
    """Format the rendered Go; the runtime's own files are formatted as they are."""
    go = {
        path: file.text
        for path, file in files.items()
        if path.endswith(".go") and not path.startswith("internal/runtime/")
    }
    return files | {
        path: replace(files[path], text=text) for path, text in gofmt(go).items()
    }


def _joined(made: Plan, *more: list[Change]) -> Plan:
    changes = [*made.changes, *(change for some in more for change in some)]
    return Plan(tuple(sorted(changes, key=lambda change: change.path)), made.beside)
