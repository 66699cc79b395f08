"""CRDs change under a project with a user's code in it. Real trees, real Go."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scaffold import project as projects
from scaffold.check import check
from scaffold.errors import ScaffoldError, ToolError
from scaffold.generate import generate
from tests.trees import tree

pytestmark = pytest.mark.golang

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
USER = "internal/controller/beacon/beacon.go"
CRD = "crds/beacon.yaml"

# What a user wrote: it uses a field, and has a file of its own.
USES_COLOUR = """
// colour is what the light shows.
func colour(obj *Beacon) string {
	if obj.Spec.Colour == nil {
		return ""
	}
	return string(*obj.Spec.Colour)
}

var _ = colour
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a user's code, committed, that no test changes."""
    project = tmp_path_factory.mktemp("made") / "beacon"
    projects.new(
        project,
        [EXAMPLES / "minimal/crds"],
        {"project_name": "beacon", "module": "example.com/beacon"},
    )
    with (project / USER).open("a") as file:
        file.write(USES_COLOUR)
    own = project / "internal/controller/beacon/own.go"
    own.write_text(
        "package beacon\n\n// Own is the user's.\ntype Own struct{ Kind *Beacon }\n"
    )
    git(project, "init", "--quiet", "--initial-branch=main")
    commit(project, "start")
    return project


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    """A project of the test's own."""
    return Path(shutil.copytree(made, tmp_path / "beacon"))


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        [
            "git",
            "-c",
            "user.name=test",
            "-c",
            "user.email=test@localhost",
            *arguments,
        ],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def commit(folder: Path, message: str) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)


def edit(path: Path, change: Callable[[str], str]) -> None:
    before = path.read_text()
    after = change(before)
    assert after != before, f"the edit of {path} changes nothing"
    path.write_text(after)


def user_files(project: Path) -> dict[str, str]:
    return {
        path: text
        for path, text in tree(project).items()
        if not path.startswith((".ctxscaffold/", "crds/", "internal/runtime/", "api/"))
        and "zz_generated" not in path
        and not path.startswith("config/")
    }


def settled(project: Path, before: dict[str, str]) -> None:
    """Check that user files are as they were and that a second run has nothing to do."""
    now = user_files(project)
    assert {path: now.get(path) for path in before} == before
    assert generate(project).changes == ()


ADDED_FIELD = """\
                note:
                  description: Note is free text.
                  type: string
                  maxLength: 80
                colour:"""


def test_field_added(project: Path) -> None:
    before = user_files(project)
    edit(
        project / CRD,
        lambda text: text.replace("                colour:", ADDED_FIELD, 1),
    )
    changed = [change.path for change in generate(project).visible]
    assert "api/signals/v1alpha1/zz_generated.beacon.go" in changed
    assert "config/crd/bases/beacons.signals.example.com.yaml" in changed
    settled(project, before)
    api = (project / "api/signals/v1alpha1/zz_generated.beacon.go").read_text()
    assert re.search(r"Note\s+\*string\s+`json:\"note,omitempty\"`", api)
    deepcopy = (project / "api/signals/v1alpha1/zz_generated.deepcopy.go").read_text()
    assert "in.Note != nil" in deepcopy
    assert list(check(project))[-1] == "go vet"


def line_of(path: Path, text: str) -> int:
    return 1 + next(
        number
        for number, line in enumerate(path.read_text().splitlines())
        if text in line
    )


def test_field_removed_names_the_users_line(project: Path) -> None:
    before = user_files(project)
    edit(
        project / CRD,
        lambda text: re.sub(r" {16}colour:\n(?: {18}.*\n)+", "", text, count=1),
    )
    generate(project)
    settled(project, before)
    line = line_of(project / USER, "obj.Spec.Colour == nil")
    with pytest.raises(ToolError, match=rf"beacon\.go:{line}:\d+: obj\.Spec\.Colour"):
        list(check(project))


def test_type_changed_names_the_users_line(project: Path) -> None:
    before = user_files(project)
    edit(
        project / CRD,
        lambda text: text.replace(
            "                  enum: [Red, Green, White]\n"
            "                  default: White\n",
            "",
        ).replace(
            "                colour:\n"
            "                  description: Colour of the light.\n"
            "                  type: string\n",
            "                colour:\n"
            "                  description: Colour of the light, in kelvin.\n"
            "                  type: object\n"
            "                  properties:\n"
            "                    kelvin:\n"
            "                      type: integer\n",
        ),
    )
    generate(project)
    settled(project, before)
    line = line_of(project / USER, "return string(*obj.Spec.Colour)")
    with pytest.raises(ToolError, match=rf"beacon\.go:{line}:\d+: cannot convert"):
        list(check(project))


def test_version_added_and_made_storage(project: Path) -> None:
    before = user_files(project)

    def add_version(text: str) -> str:
        head, mark, version = text.partition("    - name: v1alpha1\n")
        old = version.replace("storage: true", "storage: false")
        return head + mark + old + "    - name: v1\n" + version

    edit(project / CRD, add_version)
    generate(project)
    settled(project, before)
    reconciler = (
        project / "internal/controller/beacon/zz_generated.reconciler.go"
    ).read_text()
    assert "type Beacon = signalsv1.Beacon" in reconciler
    assert (project / "api/signals/v1alpha1/zz_generated.beacon.go").exists()
    assert list(check(project))[-1] == "go vet"


def test_kind_added(project: Path) -> None:
    before = user_files(project)
    generate(project, add=[EXAMPLES / "cluster/crds"])
    settled(project, before)
    setup = (project / "internal/controller/zz_generated.setup.go").read_text()
    assert "tenantclass.Setup," in setup
    assert list(check(project))[-1] == "go vet"


def test_kind_removed_is_refused_until_dropped(project: Path) -> None:
    generate(project, add=[EXAMPLES / "cluster/crds"])
    (project / CRD).unlink()
    before = tree(project)
    with pytest.raises(ScaffoldError, match=re.escape(USER)) as caught:
        generate(project)
    assert "--drop Beacon.signals.example.com" in str(caught.value)
    assert tree(project) == before
    outcome = generate(project, drop=["Beacon"])
    assert outcome.beside == ("internal/controller/beacon/own.go",)
    assert (project / ".ctxscaffold/dropped" / USER).read_text() == before[USER]
    assert not (project / "api/signals").exists()
    assert generate(project).changes == ()
    # The user's own file still names the kind that is gone: Go says where.
    with pytest.raises(ToolError, match=r"own\.go:4:\d+: undefined: Beacon"):
        list(check(project))
    (project / "internal/controller/beacon/own.go").unlink()
    assert list(check(project))[-1] == "go vet"


RULES = "internal/webhook/beacon/beacon.go"


def test_webhooks_turned_off_and_on_again(project: Path) -> None:
    """The rules stay the user's; what calls them comes and goes with the answer."""
    before = (project / RULES).read_text()
    answers = project / ".copier-answers.yml"
    edit(answers, lambda text: text.replace("webhooks: true", "webhooks: false"))
    generate(project)
    assert (project / RULES).read_text() == before
    assert not (project / "config/webhook/manifests.yaml").exists()
    setup = project / "internal/controller/zz_generated.setup.go"
    assert "webhook" not in setup.read_text()
    assert (
        "resources: []" in (project / "config/webhook/kustomization.yaml").read_text()
    )
    edit(answers, lambda text: text.replace("webhooks: false", "webhooks: true"))
    generate(project)
    settled(project, {RULES: before})
    assert "webhook.SetupAll(rt)" in setup.read_text()


def test_the_http_api_turned_on_and_off_again(project: Path) -> None:
    """Routes stay the user's; what serves them comes and goes with the answer."""
    routes = project / "internal/httpapi/routes.go"
    setup = project / "internal/controller/zz_generated.setup.go"
    role = project / "config/rbac/role.yaml"
    component = project / "config/http/kustomization.yaml"
    assert not routes.exists()
    assert "resources: []" in component.read_text()
    assert "create, delete" not in role.read_text()

    answers = project / ".copier-answers.yml"
    edit(answers, lambda text: text.replace("http_api: false", "http_api: true"))
    generate(project)
    settled(project, {"internal/httpapi/routes.go": routes.read_text()})
    assert "httpapi.SetupAll(rt)" in setup.read_text()
    assert "create, delete" in role.read_text()
    assert "service.yaml" in component.read_text()

    edit(answers, lambda text: text.replace("http_api: true", "http_api: false"))
    generate(project)
    settled(project, {"internal/httpapi/routes.go": routes.read_text()})
    assert "httpapi" not in setup.read_text()
    assert not (project / "internal/httpapi/openapi.json").exists()


def test_conversion_comes_with_a_version_that_differs(project: Path) -> None:
    def add_version(text: str) -> str:
        head, mark, version = text.partition("    - name: v1alpha1\n")
        old = version.replace("storage: true", "storage: false")
        return head + mark + old + "    - name: v1\n" + version

    kustomization = project / "config/crd/kustomization.yaml"
    edit(project / CRD, add_version)
    generate(project)
    assert "strategy: Webhook" not in kustomization.read_text()
    edit(
        project / CRD,
        lambda text: text.replace("                colour:", ADDED_FIELD, 1),
    )
    before = user_files(project)
    generate(project)
    settled(project, before)
    assert "strategy: Webhook" in kustomization.read_text()
    setup = (project / "internal/webhook/zz_generated.setup.go").read_text()
    assert "admission.ConversionPath" in setup


def test_edited_generated_file_is_refused(project: Path) -> None:
    edit(
        project / CRD,
        lambda text: text.replace("description: Colour", "description: A colour"),
    )
    edit(
        project / "api/signals/v1alpha1/zz_generated.beacon.go",
        lambda text: text + "// mine\n",
    )
    before = tree(project)
    with pytest.raises(ScaffoldError, match="edited by hand") as caught:
        generate(project)
    assert "zz_generated.beacon.go" in str(caught.value)
    assert tree(project) == before


def test_crd_made_invalid_leaves_everything(project: Path) -> None:
    edit(project / CRD, lambda text: text.replace("type: integer", "type: integr", 1))
    before = tree(project)
    with pytest.raises(ScaffoldError) as caught:
        generate(project)
    assert re.search(r"crds/beacon\.yaml:\d+: ", str(caught.value))
    assert tree(project) == before


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
    commit(project, "mine")
    move_template_on(template)
    done = subprocess.run(
        ["ctxscaffold", "update", str(project)],
        capture_output=True,
        text=True,
        env=os.environ | {"CTXSCAFFOLD_DEBUG": "1"},
    )
    assert done.returncode == 1
    assert "conflict: README.md\n" in done.stdout
    assert "1 files were changed both by you and by the template" in done.stderr
    readme = (project / "README.md").read_text()
    assert "make mine" in readme and "make second" in readme


def test_update_needs_a_committed_tree(project: Path) -> None:
    (project / "README.md").write_text("mine\n")
    with pytest.raises(ScaffoldError, match="not committed"):
        projects.update(project)
