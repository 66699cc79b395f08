"""Writing is all or nothing, whenever the process is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scaffold import apply, plan
from scaffold.errors import OwnershipError, ScaffoldError
from scaffold.render import File
from tests.trees import generated, tree

OLD = {f"pkg{n % 7}/zz_generated.{n}.go": generated(f"old {n}\n") for n in range(60)}
NEW = {f"pkg{n % 9}/zz_generated.{n}.go": generated(f"new {n}\n") for n in range(70)}

WRITER = """
import sys
from pathlib import Path
from scaffold import apply, plan
from tests.test_apply import NEW
project = Path(sys.argv[1])
print("ready", flush=True)
apply.apply(project, plan.make(project, NEW, "1.0"))
"""


def visible(folder: Path) -> dict[str, str]:
    return {
        path: text
        for path, text in tree(folder).items()
        if not path.startswith(".ctxscaffold/journal")
    }


def write(project: Path, files: dict[str, File]) -> None:
    apply.apply(project, plan.make(project, files, "1.0"))


def settle(project: Path) -> None:
    """Wait until a writer that outlived its parent is done: it holds the journal."""
    deadline = time.monotonic() + 10
    journal = project / ".ctxscaffold/journal/journal.json"
    while journal.exists() and time.monotonic() < deadline:
        time.sleep(0.001)
    assert not journal.exists(), "the detached writer did not finish"


def test_kill_at_any_moment_leaves_the_old_or_the_new_tree(tmp_path: Path) -> None:
    reference = tmp_path / "reference"
    reference.mkdir()
    write(reference, OLD)
    before = visible(reference)
    write(reference, NEW)
    after = visible(reference)

    def start(project: Path) -> subprocess.Popen[bytes]:
        project.mkdir()
        write(project, OLD)
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(project)],
            stdout=subprocess.PIPE,
            start_new_session=True,
            cwd=Path(__file__).parent.parent,
        )
        assert process.stdout is not None
        process.stdout.readline()
        return process

    process = start(tmp_path / "whole")
    begun = time.monotonic()
    assert process.wait() == 0
    whole = time.monotonic() - begun

    seen = set()
    for attempt in range(40):
        project = tmp_path / f"p{attempt}"
        process = start(project)
        time.sleep(whole * attempt / 30)  # sweeps the moment of the kill
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        settle(project)
        found = visible(project)
        assert found in (before, after), f"a mixed tree after kill {attempt}"
        seen.add(found == after)
        write(project, NEW)
        apply.recover(project)
        assert visible(project) == after
    assert seen == {False, True}, "the sweep must hit both sides of the commit"


@pytest.mark.parametrize("done", range(0, 121, 12))
def test_power_cut_in_the_middle_is_finished_by_the_next_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: int
) -> None:
    reference = tmp_path / "reference"
    project = tmp_path / "project"
    for folder in (reference, project):
        folder.mkdir()
        write(folder, OLD)
    write(reference, NEW)

    def cut(project: Path) -> None:
        journal = project / ".ctxscaffold/journal"
        (journal / "pending.json").rename(journal / "journal.json")

    with monkeypatch.context() as patch:
        patch.setattr(apply, "_commit", cut)
        write(project, NEW)
    count = 0
    with monkeypatch.context() as patch:
        for name in ("replace", "unlink"):
            original = getattr(Path, name)

            def limited(
                self: Path,
                *args: Any,
                original: Callable[..., object] = original,
                **options: Any,
            ) -> object:
                nonlocal count
                if count == done:
                    raise InterruptedError
                count += 1
                return original(self, *args, **options)

            patch.setattr(Path, name, limited)
        with pytest.raises(InterruptedError):
            apply.recover(project)
    apply.recover(project)
    assert tree(project) == tree(reference)


def test_interrupted_staging_is_thrown_away(tmp_path: Path) -> None:
    write(tmp_path, OLD)
    before = tree(tmp_path)
    journal = tmp_path / ".ctxscaffold/journal"
    journal.mkdir()
    (journal / "0.new").write_text("half")
    apply.recover(tmp_path)
    assert tree(tmp_path) == before
    assert not journal.exists()


def test_file_changed_between_plan_and_apply(tmp_path: Path) -> None:
    write(tmp_path, OLD)
    made = plan.make(tmp_path, NEW, "1.0")
    path = next(change.path for change in made.changes if change.old)
    (tmp_path / path).write_text("somebody else\n")
    before = tree(tmp_path)
    with pytest.raises(OwnershipError, match="changed while"):
        apply.apply(tmp_path, made)
    assert tree(tmp_path) == before


def test_full_disk_leaves_the_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, OLD)
    before = tree(tmp_path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ScaffoldError, match="No space left on device"):
        write(tmp_path, NEW)
    assert tree(tmp_path) == before


def test_read_only_folder_is_found_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, OLD)
    before = tree(tmp_path)
    # The tests may run as root, whom no mode stops.
    monkeypatch.setattr(os, "access", lambda path, _: Path(path).name != "pkg3")
    with pytest.raises(OwnershipError, match="read-only") as caught:
        write(tmp_path, NEW)
    assert caught.value.where == str(tmp_path / "pkg3")
    assert tree(tmp_path) == before


def test_file_modes_are_kept(tmp_path: Path) -> None:
    write(tmp_path, {"a/zz_generated.go": generated("old\n")})
    (tmp_path / "a/zz_generated.go").chmod(0o600)
    write(tmp_path, {"a/zz_generated.go": generated("new\n")})
    assert (tmp_path / "a/zz_generated.go").stat().st_mode & 0o777 == 0o600


def test_two_writers_take_turns(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from scaffold import apply\n"
        "project = Path(sys.argv[1])\n"
        "print('waiting', flush=True)\n"
        "with apply.exclusive(project): (project / 'second').touch()"
    )
    with apply.exclusive(tmp_path):
        second = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parent.parent,
        )
        assert second.stdout is not None
        second.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(0.2)
        assert not (tmp_path / "second").exists()
    assert second.wait(10) == 0
    assert (tmp_path / "second").exists()
