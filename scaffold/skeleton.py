"""The skeleton of a project, in each of its revisions, as copier wants it: in git.

copier merges a newer skeleton into a project from the one it was made of, by an
address and a revision that stand in the project's answers. Both are the same on every
machine: the address is nobody's, and git is told that it means a repository made for
one call, of what ships with this package. Nothing is kept between calls.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from scaffold import resources
from scaffold.errors import ProjectError, ScaffoldError, ToolError

# As in the template of the answers; nobody can ever register it (RFC 2606).
ADDRESS = "https://ctxscaffold.invalid/skeleton.git"
_KEPT = "templates/skeletons"
_REVISION = re.compile(r"^skeleton:\n(?:  .*\n)*?  default: (\d+)\n", re.MULTILINE)
_NOTED = re.compile(r"^(_src_path|_commit): *['\"]?(.*?)['\"]?$", re.MULTILINE)

Files = Mapping[str, bytes]


def revision() -> int:
    """Return the number of the skeleton that ships with this package."""
    found = _REVISION.search((resources.root() / "copier.yml").read_text("utf-8"))
    if found is None:
        raise ScaffoldError(
            "copier.yml does not say which skeleton it is",
            where=str(resources.root()),
            fix="install ctxscaffold anew",
        )
    return int(found[1])


def present() -> Files:
    """Return the files of the skeleton that ships with this package."""
    root = resources.root()
    paths = (root / "templates/project").rglob("*")
    files = [root / "copier.yml", *sorted(path for path in paths if path.is_file())]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def kept(number: int) -> Files | None:
    """Return the files of a revision, None if this package does not have it."""
    path = resources.root() / archive(number)
    if not path.is_file():
        return None
    with tarfile.open(path) as tar:
        return {
            member.name: file.read()
            for member in tar
            if (file := tar.extractfile(member)) is not None
        }


def archive(number: int) -> PurePosixPath:
    """Return where a revision is kept, from the root of what ships."""
    return PurePosixPath(_KEPT, f"{number}.tar.xz")


def pack(files: Files) -> bytes:
    """Return the archive of ``files``, which depends on nothing else."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def of_project(answers: Path) -> int:
    """Return the revision that a project's answers name.

    Raises :class:`ProjectError` if this package cannot merge from it.
    """
    noted = dict(_NOTED.findall(answers.read_text("utf-8")))
    number = noted.get("_commit", "").removeprefix("v")
    if noted.get("_src_path") != ADDRESS or not number.isdecimal():
        raise ProjectError(
            "the answers do not name a skeleton of ctxscaffold's, so that there is "
            "nothing to merge from",
            where=str(answers),
            fix=f"add the lines '_src_path: {ADDRESS}' and '_commit: v{revision()}', "
            "which takes the project's skeleton as the present one with your changes",
        )
    if int(number) > revision():
        raise ProjectError(
            f"the project has skeleton {number}, which is newer than that of this "
            f"ctxscaffold, {revision()}",
            where=str(answers),
            fix="install the ctxscaffold that wrote it, or a later one",
        )
    return int(number)


def copy(dest: Path, answers: Mapping[str, object]) -> None:
    """Copy the skeleton of this package to ``dest``, with these answers."""
    with _repository({revision(): present()}) as (repository, environment):
        data = repository.with_name("answers.json")  # which is YAML
        data.write_text(json.dumps(dict(answers)), "utf-8")
        _copier(
            environment,
            "the skeleton could not be copied",
            *("copy", "--overwrite", "--skip-tasks", "--data-file", str(data)),
            *(str(repository), str(dest)),
            fix="if that is not about your folders, report it",
        )


def merge(project: Path, answers: Path) -> None:
    """Merge the skeleton of this package into ``project``, conflicts marked in place.

    The project is in git, and has no changes that are not committed.
    """
    number = of_project(answers)
    old = kept(number) if number != revision() else present()
    if old is None:
        raise ProjectError(
            f"this ctxscaffold does not have skeleton {number}, of which the project "
            "was made",
            where=str(answers),
            fix="report this: every skeleton should ship with it",
        )
    with _repository({number: old, revision(): present()}) as (_, environment):
        _copier(
            environment,
            "the update failed",
            "update",
            *("--conflict", "inline", str(project)),
            fix="git status shows what it changed; everything was committed, so that "
            "git reset --hard && git clean -fd takes it back",
        )


def git(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> str:
    """Run git in ``folder``, and in no repository that the environment names."""
    command = shutil.which("git")
    if command is None:
        raise ToolError("git is not on the PATH", fix="install git")
    run = subprocess.run(
        [command, "-C", str(folder), *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        env=_unset(os.environ) if env is None else dict(env),
    )
    if run.returncode != 0:
        raise ToolError(
            f"git {arguments[0]} failed: {run.stderr.strip()}",
            where=str(folder),
            fix="do what git says",
        )
    return run.stdout


@contextmanager
def _repository(
    revisions: Mapping[int, Files],
) -> Iterator[tuple[Path, Mapping[str, str]]]:
    """Make a repository with a tag for each revision, and an environment for copier.

    In that the user's git settings, hooks and templates are not there, the address
    means the repository, and copier keeps nothing.
    """
    try:
        scratch = tempfile.TemporaryDirectory(prefix="ctxscaffold-")
    except OSError as error:
        raise ScaffoldError(
            f"there is no folder for what lasts one call: {error}",
            fix="set TMPDIR to a folder that can be written to",
        ) from error
    with scratch as name:
        folder = Path(name) / "skeleton"
        environment = _environment(Path(name), folder)
        try:
            folder.mkdir()
            git(folder, "init", "--quiet", env=environment)
            for number, files in sorted(revisions.items()):
                git(folder, "rm", "-rfq", "--ignore-unmatch", ".", env=environment)
                for path, content in files.items():
                    (folder / path).parent.mkdir(parents=True, exist_ok=True)
                    (folder / path).write_bytes(content)
                git(folder, "add", "--all", "--force", env=environment)
                message = f"--message=v{number}"
                git(folder, "commit", "-q", "--allow-empty", message, env=environment)
                git(folder, "tag", f"v{number}", env=environment)
        except OSError as error:
            raise ScaffoldError(
                f"the skeleton cannot be written: {error.strerror}",
                where=str(folder),
                fix="set TMPDIR to a folder with room",
            ) from error
        yield folder, environment


def _environment(scratch: Path, repository: Path) -> Mapping[str, str]:
    settings = {
        "user.name": "ctxscaffold",
        "user.email": "ctxscaffold@localhost",
        "core.hooksPath": os.devnull,
        "core.autocrlf": "false",
        "init.defaultBranch": "main",
        "protocol.file.allow": "always",
        "safe.directory": "*",  # whose the project is was git's question before
        f"url.{repository}.insteadOf": ADDRESS,
    }
    numbered = {"GIT_CONFIG_COUNT": str(len(settings))}
    for i, (key, value) in enumerate(settings.items()):
        numbered |= {f"GIT_CONFIG_KEY_{i}": key, f"GIT_CONFIG_VALUE_{i}": value}
    return {
        **_unset(os.environ),
        **numbered,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "COPIER_CACHE_DIR": str(scratch / "copier"),
    }


def _unset(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without what names a repository or sets git up."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith("GIT_")
        or name in ("GIT_SSL_CAINFO", "GIT_EXEC_PATH", "GIT_CONFIG_GLOBAL")
    }


def _copier(
    environment: Mapping[str, str], fault: str, *arguments: str, fix: str
) -> None:
    command, *rest = arguments
    run = subprocess.run(
        [
            *(sys.executable, "-P", "-W", "ignore", "-m", "copier", command),
            *("--trust", "--defaults", "--quiet", *rest),
        ],
        capture_output=True,
        text=True,
        errors="replace",
        env=dict(environment),
    )
    if run.returncode != 0:
        raise ScaffoldError(f"{fault}: {_said(run.stderr)}", fix=fix)


def _said(text: str) -> str:
    """Return what a program said, without the traceback it may have said it with."""
    lines = text.strip().splitlines()
    if "Traceback (most recent call last):" in lines:
        lines = [line for line in lines if not line.startswith(("  ", "Traceback"))]
    return "\n".join(lines[-20:]) or "it gave no reason"
