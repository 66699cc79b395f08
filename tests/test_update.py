"""The template moves on under a project: copier's update, and what is generated after it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scaffold import project as projects
from scaffold.errors import ScaffoldError
from tests import beacon
from tests.beacon import EXAMPLES, ROOT, RULES, USER, USES_COLOUR, commit, edit, git

pytestmark = pytest.mark.golang


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A repository of the template, at its first version."""
    repository = tmp_path / "template"
    shutil.copytree(
        ROOT,
        repository,
        ignore=shutil.ignore_patterns(
            ".git", ".venv", "golden", "__pycache__", ".*_cache", ".hypothesis", "tests"
        ),
    )
    git(repository, "init", "--quiet", "--initial-branch=main")
    commit(repository, "one")
    git(repository, "tag", "v1.0.0")
    return repository


def copier(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run copier as a user does who has nothing of the project but its template."""
    return subprocess.run(
        [shutil.which("copier") or "copier", *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "GIT_AUTHOR_NAME": "test",
            "GIT_AUTHOR_EMAIL": "test@localhost",
            "GIT_COMMITTER_NAME": "test",
            "GIT_COMMITTER_EMAIL": "test@localhost",
        },
    )


def move_template_on(template: Path) -> None:
    """Publish two more versions: of the skeleton, a feature and the runtime."""
    edit(
        template / "templates/project/README.md.jinja",
        lambda text: text.replace(
            "| `make verify` |", "| `make second` | new |\n| `make verify` |"
        ),
    )
    edit(
        template / "templates/project/cmd/manager/main.go.jinja",
        lambda text: text.replace(
            "// run returns when", "// run is explained anew.\n//\n// run returns when"
        ),
    )
    commit(template, "two")
    git(template, "tag", "v1.1.0")
    edit(
        template / "templates/emit/reconcile/setup.go.jinja",
        lambda text: text.replace(
            "// SetupAll registers", "// SetupAll (v1.2) registers"
        ),
    )
    edit(
        template / "templates/runtime/cause/doc.go",
        lambda text: text.replace("Package cause names", "Package cause (v1.2) names"),
    )
    edit(
        template / "templates/project/Makefile.jinja",
        lambda text: text + "\n.PHONY: third\nthird: ## new in the third version\n",
    )
    commit(template, "three")
    git(template, "tag", "v1.2.0")


def started(template: Path, project: Path, *, placed: bool) -> None:
    """Make a project by copier alone, CRDs as data or placed in the folder."""
    if placed:
        (project / "crds").mkdir(parents=True)
        shutil.copy(EXAMPLES / "minimal/crds/beacon.yaml", project / "crds")
        data = []
    else:
        data = ["--data", f"crds={EXAMPLES / 'minimal/crds/beacon.yaml'}"]
    done = copier(
        project.parent, "copy", "--trust", "--defaults", *data, template, project
    )
    assert done.returncode == 0, done.stderr
    assert (project / USER).exists()
    git(project, "init", "--quiet", "--initial-branch=main")
    commit(project, "start")


@pytest.mark.parametrize("placed", [False, True], ids=["crds as data", "crds placed"])
def test_template_moved_on_by_two_versions(
    template: Path, tmp_path: Path, placed: bool
) -> None:
    project = tmp_path / "beacon"
    started(template, project, placed=placed)
    # An edit in every file that is the user's.
    edits = {
        USER: USES_COLOUR,
        "internal/controller/beacon/beacon_test.go": "\n// mine\n",
        "cmd/manager/main.go": "\n// mine\n",
        "Makefile": "\n.PHONY: mine\nmine: ## mine\n",
        "README.md": "\nmine\n",
        "Dockerfile": "# mine\n",
        ".golangci.yml": "# mine\n",
        ".gitignore": "mine\n",
        "config/manager/manager.yaml": "# mine\n",
        "config/default/kustomization.yaml": "# mine\n",
        "config/rbac/custom_role.yaml": "# mine\n",
        "go.mod": "\n// mine\n",
    }
    for path, text in edits.items():
        if path == "Makefile":  # the template grows at the end, the user in front
            (project / path).write_text(text.lstrip() + (project / path).read_text())
        else:
            with (project / path).open("a") as file:
                file.write(text)
    commit(project, "mine")
    move_template_on(template)
    done = copier(project, "update", "--trust", "--defaults")
    assert done.returncode == 0, done.stderr
    for path, text in edits.items():
        assert text.strip() in (project / path).read_text(), path
    assert "make second" in (project / "README.md").read_text()
    assert "third: ## new" in (project / "Makefile").read_text()
    assert "explained anew" in (project / "cmd/manager/main.go").read_text()
    assert (
        "(v1.2)" in (project / "internal/controller/zz_generated.setup.go").read_text()
    )
    assert "(v1.2)" in (project / "internal/runtime/cause/doc.go").read_text()
    checked = subprocess.run(
        [sys.executable, "-P", "-m", "scaffold", "check", str(project)],
        env=os.environ | {"PYTHONPATH": str(template)},
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.splitlines() == [
        "ok: generated files are current",
        "ok: go build",
        "ok: go vet",
    ]


def test_update_gives_no_webhooks_to_a_project_without_them(
    template: Path, tmp_path: Path
) -> None:
    """As if the project had been made before there was the question."""
    question = re.compile(r"^webhooks:\n(?:  .*\n)+\n", re.MULTILINE)
    whole = (template / "copier.yml").read_text()
    edit(template / "copier.yml", lambda text: question.sub("", text))
    commit(template, "before the question")
    git(template, "tag", "v1.0.1")
    project = tmp_path / "beacon"
    started(template, project, placed=True)
    assert "webhooks:" not in (project / ".copier-answers.yml").read_text()
    assert not (project / RULES).exists()
    (template / "copier.yml").write_text(whole)
    move_template_on(template)
    done = copier(project, "update", "--trust", "--defaults")
    assert done.returncode == 0, done.stderr
    assert "\nwebhooks: false\n" in (project / ".copier-answers.yml").read_text()
    assert not (project / RULES).exists()
    assert (
        "resources: []" in (project / "config/webhook/kustomization.yaml").read_text()
    )


def test_update_lists_conflicts_and_fails(template: Path, tmp_path: Path) -> None:
    project = tmp_path / "beacon"
    started(template, project, placed=True)
    edit(
        project / "README.md",
        lambda text: text.replace(
            "| `make verify` |", "| `make mine` | mine |\n| `make verify` |"
        ),
    )
    manager = "config/manager/manager.yaml"
    edit(project / manager, lambda text: text.replace("memory: 256Mi", "memory: 1Gi"))
    commit(project, "mine")
    edit(
        template / "templates/project" / f"{manager}.jinja",
        lambda text: text.replace("memory: 256Mi", "memory: 512Mi"),
    )
    move_template_on(template)
    done = subprocess.run(
        ["ctxscaffold", "update", str(project)],
        capture_output=True,
        text=True,
        env=os.environ | {"CTXSCAFFOLD_DEBUG": "1"},
    )
    assert done.returncode == 1
    assert "conflict: README.md\n" in done.stdout
    assert f"conflict: {manager}\n" in done.stdout
    assert "2 files were changed both by you and by the template" in done.stderr
    readme = (project / "README.md").read_text()
    assert "make mine" in readme and "make second" in readme
    # What follows from the CRDs, the runtime too, did not wait for that.
    assert "(v1.2)" in (project / "internal/runtime/cause/doc.go").read_text()
    ours = re.compile(r"<<<<<<< .*\n((?:.*\n)*?)=======\n(?:.*\n)*?>>>>>>> .*\n")
    edit(project / manager, lambda text: ours.sub(r"\1", text))
    assert "memory: 1Gi" in (project / manager).read_text()
    settled = subprocess.run(
        [sys.executable, "-P", "-m", "scaffold", "generate", str(project)],
        env=os.environ | {"PYTHONPATH": str(template)},
        capture_output=True,
        text=True,
    )
    assert settled.returncode == 0, settled.stderr


def test_update_needs_a_committed_tree(tmp_path: Path) -> None:
    project = beacon.make(tmp_path / "beacon")
    (project / "README.md").write_text("mine\n")
    with pytest.raises(ScaffoldError, match="not committed"):
        projects.update(project)
