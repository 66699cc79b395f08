"""Where a project can be made, and what is left when it is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scaffold import project as projects
from scaffold.errors import ProjectError
from tests.beacon import EXAMPLES, ROOT, git

pytestmark = pytest.mark.golang

CRDS = EXAMPLES / "minimal/crds"


def made(folder: Path) -> bool:
    return (folder / "go.mod").is_file() and not list(folder.glob(".*-*-*/"))


def test_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    projects.new(Path(), [CRDS], {"project_name": "beacon"})
    assert made(tmp_path)
    assert Path.cwd() == tmp_path and Path("Makefile").is_file()


def test_in_a_fresh_clone(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    projects.new(tmp_path, [CRDS], {"project_name": "beacon"})
    assert made(tmp_path) and (tmp_path / ".git/HEAD").is_file()


def test_through_a_link(tmp_path: Path) -> None:
    folder, link = tmp_path / "folder", tmp_path / "link"
    folder.mkdir()
    link.symlink_to(folder)
    projects.new(link, [CRDS], {"project_name": "beacon"})
    assert made(folder) and link.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "link"]


def test_not_where_something_is(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine\n")
    with pytest.raises(ProjectError, match="not empty"):
        projects.new(tmp_path, [CRDS], {"project_name": "beacon"})
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_all_or_nothing(tmp_path: Path) -> None:
    """What cannot be moved is not there, nor is what was moved before it."""
    source, dest = tmp_path / "source", tmp_path / "dest"
    for name in ("a", "b/b", "c/c"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name)
    (dest / "b/other").mkdir(parents=True)
    with pytest.raises(OSError):
        projects._move_entries(source, dest)
    assert [path.name for path in dest.iterdir()] == ["b"]
    assert sorted(path.name for path in source.iterdir()) == ["a", "b", "c"]


@pytest.mark.parametrize("there", [False, True], ids=["new folder", "empty folder"])
def test_stopped_half_way(tmp_path: Path, there: bool) -> None:
    dest = tmp_path / "beacon"
    if there:
        dest.mkdir()
    run = subprocess.Popen(
        [
            *(sys.executable, "-P", "-m", "scaffold", "new"),
            str(dest),
            "--crd",
            str(CRDS),
        ],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    while not (list(tmp_path.glob(".beacon-*")) or list(dest.glob(".beacon-*"))):
        assert run.poll() is None
        time.sleep(0.001)
    run.send_signal(signal.SIGTERM)
    assert run.wait() == 128 + signal.SIGTERM
    assert [path.name for path in tmp_path.iterdir()] == (["beacon"] if there else [])
    assert not there or not list(dest.iterdir())
