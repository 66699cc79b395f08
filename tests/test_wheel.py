"""What is installed from a wheel works without a checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.trees import tree

ROOT = Path(__file__).parent.parent
BEACON = ROOT / "examples/minimal/crds/beacon.yaml"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder a wheel of this tree was unpacked to."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    subprocess.run(
        [*command, "--no-build-isolation", "--wheel-dir", folder, ROOT], check=True
    )
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


def environment(site: Path, cache: Path) -> Mapping[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(site),
        "CTXSCAFFOLD_CACHE": str(cache),
        "GIT_AUTHOR_NAME": "test",
        "GIT_AUTHOR_EMAIL": "test@localhost",
        "GIT_COMMITTER_NAME": "test",
        "GIT_COMMITTER_EMAIL": "test@localhost",
    }


def run(
    site: Path, cache: Path, cwd: Path, *command: str | Path
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=environment(site, cache),
        capture_output=True,
        text=True,
    )


def test_wheel_carries_what_it_needs_and_no_more(installed: Path) -> None:
    data = installed / "scaffold/_data"
    assert (data / "copier.yml").is_file()
    assert (data / "templates/runtime/go.mod").is_file()
    assert (data / "tests/controlplane/go.mod").is_file()
    assert (data / "examples/payment-sync/crds/paymentsync.yaml").is_file()
    assert not list(installed.rglob("golden"))
    size = sum(path.stat().st_size for path in installed.rglob("*") if path.is_file())
    assert size < 5_000_000


def test_new_and_update_from_one_version_to_the_next(
    installed: Path, tmp_path: Path
) -> None:
    cache, project = tmp_path / "cache", tmp_path / "beacon"
    program = [sys.executable, "-m", "scaffold"]
    done = run(installed, cache, tmp_path, *program, "new", project, "--crd", BEACON)
    assert done.returncode == 0, done.stderr
    assert "internal/runtime/cause/cause.go" in tree(project)
    answers = (project / ".copier-answers.yml").read_text()
    assert str(tmp_path) not in answers and str(installed) not in answers
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "-qm", "start"]):
        assert run(installed, cache, project, "git", *command).returncode == 0
    main = project / "cmd/manager/main.go"
    main.write_text(main.read_text() + "\n// mine\n")
    assert (
        run(installed, cache, project, "git", "commit", "-qam", "mine").returncode == 0
    )

    newer = tmp_path / "newer"
    shutil.copytree(installed, newer)
    version = newer / "scaffold/__init__.py"
    version.write_text(
        re.sub(r'(__version__ = )".*"', r'\1"99.0.0"', version.read_text())
    )
    data = newer / "scaffold/_data"
    readme = data / "templates/project/README.md.jinja"
    readme.write_text(readme.read_text() + "\nnew in 99\n")
    question = data / "copier.yml"
    number = re.search(r"(?s)\nskeleton:\n.*?default: (\d+)\n", question.read_text())
    assert number
    question.write_text(
        question.read_text().replace(
            f"  default: {number[1]}\n", f"  default: {int(number[1]) + 1}\n"
        )
    )
    # Another user of another machine: nothing that was cached, and a clone elsewhere.
    cache, clone = tmp_path / "other", tmp_path / "elsewhere"
    project.rename(clone)
    project, main = clone, clone / "cmd/manager/main.go"
    done = run(newer, cache, tmp_path, *program, "update", project)
    assert done.returncode == 0, done.stderr
    assert "new in 99" in (project / "README.md").read_text()
    assert main.read_text().endswith("\n// mine\n")
    assert (
        '"ctxscaffold": "99.0.0"'
        in (project / ".ctxscaffold/manifest.json").read_text()
    )
    assert run(newer, cache, project, *program, "generate").stdout == "nothing to do\n"
