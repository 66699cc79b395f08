"""A project as a whole: started from the skeleton, brought up to date with it."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from scaffold import manifest, periods, settings, skeleton, watches
from scaffold.crd.read import read
from scaffold.errors import ProjectError, ToolError
from scaffold.generate import Outcome, generate


def new(
    dest: Path, crds: Sequence[Path | bytes], answers: Mapping[str, object]
) -> Outcome:
    """Make a project at ``dest`` from ``crds`` (paths, or the bytes of one stream).

    ``dest`` is not there, or a folder with nothing but a repository in it. Everything
    is made aside and moved there when it is whole.
    """
    _check_destination(dest)
    wanted = watches.from_answers(answers.get("watches"), "the settings")
    watches.resolve(wanted, read(crds), "the settings")
    into = dest.is_dir()
    parent = dest.resolve() if into else dest.absolute().parent
    # Named before it is there, so that there is no moment at which it would be left.
    made = parent / f".{dest.name}-{secrets.token_hex(4)}"
    try:
        try:
            made.mkdir(mode=0o700, parents=True)
        except OSError as error:
            raise ProjectError(
                f"the project cannot be made: {error.strerror}",
                where=str(parent),
                fix="name a folder in which you may make one",
            ) from error
        skeleton.copy(made, answers)
        outcome = generate(made, add=crds)
        if into:
            _move_entries(made, parent)
        else:
            made.chmod(0o777 & ~_umask())
            made.rename(dest)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return outcome


def _move_entries(made: Path, dest: Path) -> None:
    """Move what is in one folder into another, or nothing of it."""
    moved: list[Path] = []
    try:
        for entry in sorted(made.iterdir()):
            moved.append(entry.rename(dest / entry.name))
    except BaseException:
        for path in moved:
            path.rename(made / path.name)
        raise


def update(project: Path) -> list[str]:
    """Merge the newest skeleton into ``project``; return the files in conflict.

    The derived files follow: the skeleton's migration runs ``generate``.
    """
    settings.load(project)
    manifest.check(project)
    _require_clean_git(project)
    skeleton.merge(project, project / settings.ANSWERS)
    return _conflicts(project)


def _check_destination(dest: Path) -> None:
    if not dest.exists():
        return
    if not dest.is_dir() or any(path.name != ".git" for path in dest.iterdir()):
        raise ProjectError(
            "the destination is there already and not empty",
            where=str(dest),
            fix="name a new folder; for a CRD that changed, put it into crds/ "
            f"and run ctxscaffold generate {shlex.quote(str(dest))}",
        )


def _require_clean_git(project: Path) -> None:
    try:
        status = skeleton.git(project, "status", "--porcelain")
    except ToolError as error:
        if "not a git repository" not in str(error):
            raise
        raise ProjectError(
            "an update merges with git, and the project is in no repository",
            where=str(project),
            fix="git init && git add -A && git commit -m 'Start', then again",
        ) from error
    if status:
        raise ProjectError(
            "the project has changes that are not committed",
            where=str(project),
            fix="commit or stash them first, so that an update can be undone",
        )


def _conflicts(project: Path) -> list[str]:
    changed = skeleton.git(
        project, "ls-files", "--modified", "--others", "--exclude-standard", "-z"
    )
    return sorted(
        {
            name
            for name in changed.split("\0")
            if name
            and (project / name).is_file()
            and periods.CONFLICT.search((project / name).read_bytes())
        }
    )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
