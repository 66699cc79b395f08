"""The only writer: a plan is carried out whole or not at all.

New contents are staged below ``.ctxscaffold/journal`` and synced. A child
process with a session of its own, which no kill of the caller or of its
process group reaches, then renames ``pending.json`` to ``journal.json``, the
point of no return, and carries the journal out. What a power cut leaves is
finished by the next command: :func:`recover`.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scaffold.errors import OwnershipError, ScaffoldError
from scaffold.manifest import FOLDER
from scaffold.plan import Plan

_FOLDER = f"{FOLDER}/journal"
_JOURNAL = "journal.json"


def apply(project: Path, plan: Plan) -> None:
    """Carry out ``plan``. Raises :class:`ScaffoldError`, the tree then unchanged."""
    if not plan.changes:
        return
    journal = project / _FOLDER
    try:
        _stage(journal, plan)
        _verify(project, plan)
    except OSError as error:
        shutil.rmtree(journal, ignore_errors=True)
        raise ScaffoldError(
            f"nothing was written: {error.strerror}",
            where=str(error.filename or project),
            fix="make the project writable, with room on the disk, and run it again",
        ) from error
    except ScaffoldError:
        shutil.rmtree(journal, ignore_errors=True)
        raise
    _commit(project)


def recover(project: Path) -> None:
    """Finish what an interrupted :func:`apply` left, forwards or backwards."""
    journal = project / _FOLDER
    if (journal / _JOURNAL).exists():
        _finish(project)
    elif journal.exists():
        shutil.rmtree(journal)


@contextmanager
def exclusive(project: Path) -> Iterator[None]:
    """Hold the project against a second ctxscaffold until the block ends."""
    folder = project / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise ScaffoldError(
            f"the project cannot be written: {error.strerror}",
            where=str(folder),
            fix="make it writable for you",
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _stage(journal: Path, plan: Plan) -> None:
    shutil.rmtree(journal, ignore_errors=True)
    journal.mkdir(parents=True)
    steps = []
    for number, change in enumerate(plan.changes):
        staged = None
        if change.new is not None:
            staged = f"{number}.new"
            with (journal / staged).open("xb") as file:
                file.write(change.new)
                os.fsync(file.fileno())
        steps.append({"path": change.path, "staged": staged})
    with (journal / "pending.json").open("x") as file:
        json.dump(steps, file)
        file.flush()
        os.fsync(file.fileno())


def _verify(project: Path, plan: Plan) -> None:
    """Check that every step can be done, and nobody wrote since the plan was made."""
    for change in plan.changes:
        path = project / change.path
        folder = next(parent for parent in path.parents if parent.exists())
        if not os.access(folder, os.W_OK | os.X_OK):
            raise OwnershipError(
                f"{change.path} cannot be written: the folder is read-only",
                where=str(folder),
                fix="make it writable for you and run the command again",
            )
        now = path.read_bytes() if path.exists() else None
        if now != change.old:
            raise OwnershipError(
                "the file changed while it was being regenerated",
                where=str(path),
                fix="run the command again",
            )


def _commit(project: Path) -> None:
    """Pass the point of no return and finish, out of reach of any signal."""
    journal = project / _FOLDER
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setsid()
            _rename_synced(journal / "pending.json", journal / _JOURNAL)
            _finish(project)
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    if status != 0:
        raise ScaffoldError(
            "the change was begun and could not be finished",
            where=str(journal),
            fix="make every folder of the project writable and run the command "
            "again: it goes on where it stopped",
        )


def _finish(project: Path) -> None:
    """Carry out the journal. Safe to repeat: a step that is done is passed over."""
    journal = project / _FOLDER
    for step in json.loads((journal / _JOURNAL).read_bytes()):
        target = project / step["path"]
        if step["staged"] is None:
            target.unlink(missing_ok=True)
            _remove_empty(target.parent, project)
        elif (staged := journal / step["staged"]).exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                shutil.copymode(target, staged)
            staged.replace(target)
    (journal / _JOURNAL).unlink()
    shutil.rmtree(journal)


def _remove_empty(folder: Path, stop: Path) -> None:
    while folder != stop and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def _rename_synced(source: Path, target: Path) -> None:
    source.rename(target)
    handle = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
