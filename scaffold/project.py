"""A project as a whole: started with copier, brought up to date with copier.

copier is imported inside the functions: ``generate`` must not pay for it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

from scaffold import __version__, periods, resources, settings, watches
from scaffold.crd.read import read
from scaffold.errors import ProjectError, ScaffoldError, ToolError
from scaffold.generate import Outcome, generate


def new(
    dest: Path, crds: Sequence[Path | bytes], answers: Mapping[str, object]
) -> Outcome:
    """Make a project at ``dest`` from ``crds`` (paths, or the bytes of one stream).

    Everything is made beside ``dest`` and moved there when it is whole.
    """
    _check_destination(dest)
    wanted = watches.from_answers(answers.get("watches"), "the settings")
    watches.resolve(wanted, read(crds), "the settings")
    parent = dest.absolute().parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{dest.name}-", dir=parent))
    except OSError as error:
        raise ProjectError(
            f"the project cannot be made: {error.strerror}", where=str(parent)
        ) from error
    try:
        _copy_skeleton(made, answers)
        outcome = generate(made, add=crds)
        made.chmod(0o777 & ~_umask())
        if dest.is_dir():
            dest.rmdir()
        made.rename(dest)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    return outcome


def update(project: Path) -> list[str]:
    """Merge the newest skeleton into ``project``; return the files in conflict.

    The derived files follow: copier's migration runs ``generate``.
    """
    settings.load(project)
    _require_clean_git(project)
    _make_template_repository_available()
    import copier
    from copier.errors import CopierError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            copier.run_update(
                str(project),
                defaults=True,
                overwrite=True,
                conflict="inline",
                unsafe=True,
                quiet=True,
            )
    except (CopierError, OSError, ValueError) as error:
        raise ProjectError(
            f"the update failed: {error}",
            where=str(project),
            fix="git status shows what it changed; everything was committed, so "
            "git reset --hard && git clean -fd takes it back",
        ) from error
    return _conflicts(project)


def _check_destination(dest: Path) -> None:
    if not dest.exists():
        return
    if not dest.is_dir() or any(dest.iterdir()):
        raise ProjectError(
            "the destination is there already and not empty",
            where=str(dest),
            fix="name a new folder; for a CRD that changed, put it into crds/ "
            f"and run ctxscaffold generate {dest}",
        )


def _copy_skeleton(dest: Path, answers: Mapping[str, object]) -> None:
    import copier
    from copier.errors import CopierError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a checkout with changes is fine
            copier.run_copy(
                str(_template()),
                dest,
                data=dict(answers),
                defaults=True,
                unsafe=True,
                quiet=True,
                skip_tasks=True,
                vcs_ref="HEAD",
            )
    except (CopierError, ValueError) as error:
        raise ScaffoldError(f"the skeleton could not be copied: {error}") from error


def _template() -> Path:
    """Return the template copier copies from: the checkout, or a repository of the wheel's.

    copier updates only from git, and a wheel has none: its skeleton is kept in
    the cache as a repository with one tag for each version that was used here.
    """
    root = resources.root()
    if (root / ".git").exists() or root.name != "_data":
        return root
    return _packaged_repository(root)


def _make_template_repository_available() -> None:
    """Tag this version in the cache's repository, so that an update can find it."""
    _template()


def _packaged_repository(root: Path) -> Path:
    repository = resources.cache() / "template"
    tag = f"v{__version__}"
    if not (repository / ".git").exists():
        repository.mkdir(parents=True, exist_ok=True)
        _git(repository, "init", "--quiet")
    if tag in _git(repository, "tag", "--list", tag).split():
        _git(repository, "checkout", "--quiet", tag)
        return repository
    for name in ("copier.yml", "templates"):
        target = repository / name
        if target.is_dir():
            shutil.rmtree(target)
        if (root / name).is_dir():
            shutil.copytree(root / name / "project", target / "project")
        else:
            shutil.copyfile(root / name, target)
    _git(repository, "add", "--all")
    _git(repository, "commit", "--quiet", "--allow-empty", "--message", tag)
    _git(repository, "tag", tag)
    return repository


def _git(folder: Path, *arguments: str) -> str:
    git = shutil.which("git")
    if git is None:
        raise ToolError("git is not on the PATH", fix="install git")
    identity = {
        "GIT_AUTHOR_NAME": "ctxscaffold",
        "GIT_AUTHOR_EMAIL": "ctxscaffold@localhost",
        "GIT_COMMITTER_NAME": "ctxscaffold",
        "GIT_COMMITTER_EMAIL": "ctxscaffold@localhost",
    }
    run = subprocess.run(
        [git, "-C", str(folder), *arguments],
        capture_output=True,
        text=True,
        env=os.environ | identity,
    )
    if run.returncode != 0:
        raise ToolError(
            f"git {arguments[0]} failed: {run.stderr.strip()}", where=str(folder)
        )
    return run.stdout


def _require_clean_git(project: Path) -> None:
    try:
        status = _git(project, "status", "--porcelain")
    except ToolError as error:
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
    changed = _git(
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
