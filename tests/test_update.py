"""The template moves on under a project: copier's update, and what is generated after it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from scaffold import project as projects
from scaffold import skeleton
from scaffold.errors import ScaffoldError
from tests import beacon
from tests.beacon import EXAMPLES, ROOT, RULES, USER, USES_COLOUR, commit, edit, git

pytestmark = pytest.mark.golang


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A checkout of ctxscaffold, with the skeleton of this one."""
    repository = tmp_path / "template"
    shutil.copytree(
        ROOT,
        repository,
        ignore=shutil.ignore_patterns(
            ".git", ".venv", "golden", "__pycache__", ".*_cache", ".hypothesis", "tests"
        ),
    )
    (repository / "tests").mkdir()
    for name in ("__init__.py", "skeletons.py"):
        shutil.copy(ROOT / "tests" / name, repository / "tests")
    git(repository, "init", "--quiet", "--initial-branch=main")
    commit(repository, "one")
    return repository


def module(
    template: Path, name: str, *arguments: str | Path
) -> subprocess.CompletedProcess[str]:
    """Run a module of a checkout."""
    return subprocess.run(
        [sys.executable, "-P", "-m", name, *map(str, arguments)],
        cwd=template,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(template), "CTXSCAFFOLD_DEBUG": "1"},
    )


def publish(template: Path, message: str) -> None:
    """Keep the skeleton as it is now, as make golden does, and commit it."""
    kept = module(template, "tests.skeletons")
    assert kept.returncode == 0, kept.stderr
    commit(template, message)


def copier(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run copier as a user does who has nothing of the project but its template."""
    return subprocess.run(
        [shutil.which("copier") or "copier", *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
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
    publish(template, "two")
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
    publish(template, "three")


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
    done = module(template, "scaffold", "update", project)
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
    checked = module(template, "scaffold", "check", project)
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
    publish(template, "before the question")
    project = tmp_path / "beacon"
    started(template, project, placed=True)
    assert "webhooks:" not in (project / ".copier-answers.yml").read_text()
    assert not (project / RULES).exists()
    (template / "copier.yml").write_text(whole)
    move_template_on(template)
    done = module(template, "scaffold", "update", project)
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
    done = module(template, "scaffold", "update", project)
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
    settled = module(template, "scaffold", "generate", project)
    assert settled.returncode == 0, settled.stderr


def test_update_needs_a_committed_tree(tmp_path: Path) -> None:
    project = beacon.make(tmp_path / "beacon")
    (project / "README.md").write_text("mine\n")
    with pytest.raises(ScaffoldError, match="not committed"):
        projects.update(project)


def test_the_skeleton_is_kept_in_each_revision() -> None:
    """A change of it is a revision of its own: make golden counts."""
    assert skeleton.kept(skeleton.revision()) == skeleton.present()
    for number in range(1, skeleton.revision() + 1):
        files = skeleton.kept(number)
        assert files is not None, number
        assert f"  default: {number}\n".encode() in files["copier.yml"]
        assert (ROOT / skeleton.archive(number)).read_bytes() == skeleton.pack(files)


def test_nothing_of_the_users_git_reaches_the_skeleton(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signing that fails, hooks that fail, another repository, an unusable home."""
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for hook in ("pre-commit", "commit-msg", "post-checkout", "reference-transaction"):
        (hooks / hook).write_text("#!/bin/sh\nexit 1\n")
        (hooks / hook).chmod(0o755)
    mine = tmp_path / "mine"
    mine.mkdir()
    git(mine, "init", "--quiet")
    (mine / "mine").write_text("mine\n")
    commit(mine, "mine")
    before = git(mine, "for-each-ref") + git(mine, "status", "--porcelain")
    settings = tmp_path / "gitconfig"
    settings.write_text(
        "[commit]\n\tgpgSign = true\n[tag]\n\tgpgSign = true\n[gpg]\n\tprogram = false\n"
        f"[core]\n\thooksPath = {hooks}\n\tautocrlf = true\n[diff]\n\tnoprefix = true\n"
        "[user]\n\tuseConfigOnly = true\n"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    monkeypatch.setenv("GIT_DIR", str(mine / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(mine / ".git/index"))
    monkeypatch.setenv("GIT_WORK_TREE", str(mine))
    monkeypatch.setenv("HOME", "/proc/1/nowhere")
    made = tmp_path / "beacon"
    projects.new(made, [EXAMPLES / "minimal/crds"], {"project_name": "beacon"})
    assert b"\r" not in (made / "Makefile").read_bytes()
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"):
        monkeypatch.delenv(name)
    assert git(mine, "for-each-ref") + git(mine, "status", "--porcelain") == before


def test_first_runs_at_the_same_time(tmp_path: Path) -> None:
    """Each has a repository of its own, so that there is nothing to poison."""
    started = [
        subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "scaffold", "new", f"beacon-{i}"),
                *("--crd", str(EXAMPLES / "minimal/crds")),
            ],
            cwd=tmp_path,
            env=os.environ
            | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path / "cache")},
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(4)
    ]
    for run in started:
        assert run.wait() == 0, run.stderr and run.stderr.read()
    assert not (tmp_path / "cache/copier").exists()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("_commit: v999", "newer than that of this ctxscaffold"),
        ("_commit: 1a2b3c", "do not name a skeleton"),
        ("_commit: v0", "does not have skeleton 0"),
    ],
)
def test_update_from_a_skeleton_that_is_not_known(
    tmp_path: Path, answer: str, says: str
) -> None:
    project = beacon.make(tmp_path / "beacon")
    edit(
        project / ".copier-answers.yml",
        lambda text: re.sub(r"(?m)^_commit: .*$", answer, text),
    )
    git(project, "init", "--quiet")
    commit(project, "start")
    with pytest.raises(ScaffoldError, match=says):
        projects.update(project)
    assert git(project, "status", "--porcelain") == ""


@pytest.mark.parametrize("command", ["generate", "update", "check"])
def test_an_older_release_takes_nothing_back(tmp_path: Path, command: str) -> None:
    project = beacon.make(tmp_path / "beacon")
    edit(
        project / ".ctxscaffold/manifest.json",
        lambda text: re.sub(r'"ctxscaffold": "[^"]*"', '"ctxscaffold": "99.1.0"', text),
    )
    git(project, "init", "--quiet")
    commit(project, "start")
    refused = module(ROOT, "scaffold", command, project)
    assert refused.returncode == 1
    assert "ctxscaffold 99.1.0 wrote this project" in refused.stderr
    assert "fix: install ctxscaffold 99.1.0 or later" in refused.stderr
    assert git(project, "status", "--porcelain") == ""


def skeleton_files(template: Path) -> dict[Path, str]:
    """Return the files of the skeleton, and what each is called in a project."""
    root = template / "templates/project"
    return {
        path: path.relative_to(root).as_posix().removesuffix(".jinja")
        for path in sorted(root.rglob("*"))
        if path.is_file() and "_copier_conf" not in path.name
    }


def remarked(path: str, remark: str, text: str) -> str:
    """Return a text with a remark behind every line that can have one."""
    sign = "//" if path.endswith((".go", "go.mod")) else "#"
    return "".join(
        (
            f"{line} {sign} {remark}\n"
            if line.strip()
            and not line.rstrip().endswith(("\\", "{%", "|", ">-", "(", "{"))
            else f"{line}\n"
        )
        for line in text.splitlines()
    )


OURS = re.compile(r"<<<<<<< .*\n((?:.*\n)*?)=======\n(?:.*\n)*?>>>>>>> .*\n")


def alone() -> list[str]:
    """Return the files to try each alone, with UPDATE=long; else none."""
    files = sorted(set(skeleton_files(ROOT).values()) - {"tools/go.sum"})
    return files if os.environ.get("UPDATE") == "long" else []


@pytest.mark.parametrize("only", ["", *alone()], ids=lambda only: only or "all")
def test_every_line_changed_by_both(template: Path, tmp_path: Path, only: str) -> None:
    """Each file is in conflict, and all else is done: the runtime, the derived files."""
    project = tmp_path / "beacon"
    started(template, project, placed=True)
    files = skeleton_files(template)
    skipped = {"tools/go.sum", "LICENSE"} | {
        path for path in files.values() if not (project / path).exists()
    }
    changed = [path for path in files.values() if path not in skipped]
    assert len(changed) > 15
    if only:
        changed = [path for path in changed if path == only]
    for path in changed:
        edit(project / path, partial(remarked, path, "mine"))
    commit(project, "mine")
    for source, path in files.items():
        if path in changed:
            edit(source, partial(remarked, path, "theirs"))
    move_template_on(template)
    done = module(template, "scaffold", "update", project)
    assert done.returncode == (1 if changed else 0), done.stderr
    conflicts = set(re.findall(r"^conflict: (.*)$", done.stdout, re.MULTILINE))
    assert set(changed) <= conflicts, set(changed) - conflicts
    assert not changed or f"{len(conflicts)} files were changed both" in done.stderr
    assert "(v1.2)" in (project / "internal/runtime/cause/doc.go").read_text()
    for path in conflicts:
        edit(project / path, lambda text: OURS.sub(r"\1", text))
    assert all("mine" in (project / path).read_text() for path in changed)
    settled = module(template, "scaffold", "generate", project)
    assert settled.returncode == 0, settled.stderr
