"""Files and folders that are not as they should be: a message, and nothing is lost."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from scaffold import project as projects
from tests.beacon import EXAMPLES, ROOT, commit, git

pytestmark = pytest.mark.golang

CRDS = EXAMPLES / "minimal/crds"
COMMANDS = {
    "generate": ("generate", "."),
    "generate --check": ("generate", "--check", "."),
    "generate --diff": ("generate", "--diff", "."),
    "inspect": ("inspect", "crds"),
    "update": ("update", "."),
}


def _gone(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _replaced(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def replace(path: Path) -> None:
        _gone(path)
        make(path)

    return replace


FAULTS: Mapping[str, Callable[[Path], object]] = {
    "gone": _gone,
    "a folder": _replaced(lambda path: path.mkdir()),
    "a file": _replaced(lambda path: path.write_text("x\n")),
    "no text": _replaced(lambda path: path.write_bytes(b"\xff\xfe\0\x80")),
    "empty": _replaced(lambda path: path.write_bytes(b"")),
    "a link to nothing": _replaced(lambda path: path.symlink_to("nowhere")),
    "a link to itself": _replaced(lambda path: path.symlink_to(path)),
    "unreadable": lambda path: path.chmod(0),
    "read-only": lambda path: path.chmod(0o555 if path.is_dir() else 0o444),
}


# As root, whom no mode keeps out otherwise.
_BOUND = "-dac_override,-dac_read_search"
_MORTAL = (
    ["setpriv", f"--bounding-set={_BOUND}", f"--inh-caps={_BOUND}"]
    if os.geteuid() == 0
    else []
)


def run(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run ctxscaffold as somebody whom the modes of files concern."""
    return subprocess.run(
        [*_MORTAL, sys.executable, "-P", "-m", "scaffold", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "HOME": str(folder.parent / "home"),
            "TMPDIR": str(folder.parent / "tmp"),
            **more,
        },
    )


def contents(folder: Path) -> dict[str, bytes | str]:
    """Return every file of a folder, and where links lead."""
    found: dict[str, bytes | str] = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if name.startswith(".git/") or "__pycache__" in name:
            continue
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a project, a home and a TMPDIR in it."""
    place = tmp_path_factory.mktemp("place")
    for name in ("home", "tmp"):
        (place / name).mkdir()
    projects.new(place / "made", [CRDS], {"project_name": "beacon"})
    git(place / "made", "init", "--quiet")
    commit(place / "made", "start")
    return place


def unsaid(done: subprocess.CompletedProcess[str]) -> str:
    """Return what is wrong with the way a command ended, empty for nothing."""
    said = done.stdout + done.stderr
    if done.returncode not in (0, 1):
        return f"exit code {done.returncode}: {said}"
    if "internal fault" in said or "Traceback" in said:
        return said
    if done.returncode and "fix: " not in said:
        return f"no way out: {said}"
    return ""


def touched(project: Path) -> list[str]:
    """Return what the commands read or write: files of each sort, and their folders."""
    return [
        *(".copier-answers.yml", ".ctxscaffold", ".ctxscaffold/manifest.json", "crds"),
        *("crds/beacon.yaml", "go.mod", "go.sum", "config", "config/crd/bases"),
        *("config/manager/manager.yaml", "config/rbac/role.yaml", "internal", "api"),
        *("internal/controller/beacon/beacon.go", "internal/runtime/cause/doc.go"),
        *("internal/controller/zz_generated.setup.go", "internal/controller/beacon"),
        *("README.md", "Makefile", "."),
    ]


def test_whatever_is_wrong_with_a_file(place: Path) -> None:
    """ENVIRONMENT=all tries each command, file and fault with each other."""
    cases = [
        (command, path, fault)
        for command in COMMANDS
        for path in touched(place / "made")
        for fault in FAULTS
        if path != "." or fault in ("unreadable", "read-only")
    ]
    if os.environ.get("ENVIRONMENT") != "all":
        cases = random.Random(3).sample(cases, 60)
    failed, wrong = 0, []
    for command, path, fault in cases:
        project = place / "op"
        shutil.copytree(place / "made", project, symlinks=True)
        FAULTS[fault](project / path)
        before = contents(project)
        done = run(project, *COMMANDS[command])
        what = f"{command}: {path} is {fault}"
        if said := unsaid(done):
            wrong.append(f"{what}: {said}")
        for one in (project, *project.rglob("*")):
            if one.is_dir() and not one.is_symlink():
                one.chmod(0o777)
        if done.returncode == 1 and command != "update":
            after = contents(project)
            lost = {name for name in before if after.get(name) != before[name]}
            if lost or not set(after) <= set(before):
                wrong.append(f"{what}: changed {lost or set(after) - set(before)}")
            failed += 1
        shutil.rmtree(project)
    assert not wrong, "\n".join(wrong)
    assert failed > len(cases) // 4


@pytest.mark.parametrize("variable", ["HOME", "TMPDIR", "XDG_CACHE_HOME"])
@pytest.mark.parametrize("value", ["/nonexistent", "/proc/1", "/dev/null"])
def test_wherever_the_user_has_no_place(place: Path, variable: str, value: str) -> None:
    dest = place / "new"
    done = run(
        place,
        "new",
        str(dest),
        "--crd",
        str(CRDS),
        "--name",
        "beacon",
        **{variable: value},
    )
    assert not unsaid(done)
    assert dest.exists() == (done.returncode == 0)
    assert sorted(path.name for path in place.iterdir() if path.name[0] == ".") == []
    if dest.exists():
        done = run(dest, "generate", "--check", ".", **{variable: value})
        assert done.returncode == 0, done.stderr
        shutil.rmtree(dest)


def test_a_locale_without_letters(place: Path, tmp_path: Path) -> None:
    project = place / "op"
    shutil.copytree(place / "made", project)
    crd = project / "crds/beacon.yaml"
    crd.write_text(
        crd.read_text("utf-8").replace("description: ", "description: Ünïcode ", 1)
    )
    plain = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    done = run(project, "generate", "--diff", ".", **plain)
    assert not done.stderr
    assert "\\xdcn" in done.stdout and "zz_generated" in done.stdout
    assert run(project, "generate", ".", **plain).returncode == 0
    shutil.rmtree(project)
