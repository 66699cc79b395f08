"""The front door, called as a user calls it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trees import tree

ROOT = Path(__file__).parent.parent
BEACON = ROOT / "examples/minimal/crds/beacon.yaml"


def run(
    *arguments: str | Path, cwd: Path = ROOT, stdin: bytes = b""
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "scaffold", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that no test changes."""
    project = tmp_path_factory.mktemp("new") / "beacon-operator"
    done = run("new", project, "--crd", BEACON, "--module", "example.org/acme/beacon")
    assert done.returncode == 0, done.stderr
    return project


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    """A project of the test's own."""
    return Path(shutil.copytree(made, tmp_path / made.name))


def test_help_names_every_command() -> None:
    done = run("--help")
    assert done.returncode == 0
    for command in ("new", "generate", "update", "check", "demo", "controlplane"):
        assert re.search(rf"^    {command}\b", done.stdout, re.MULTILINE)


def test_new_makes_a_whole_project(made: Path) -> None:
    found = tree(made)
    assert found["go.mod"].startswith("module example.org/acme/beacon\n")
    assert "crds/beacon.yaml" in found
    assert "internal/controller/beacon/beacon.go" in found
    assert "internal/runtime/cause/cause.go" in found
    assert (
        '"example.org/acme/beacon/internal/controller"' in found["cmd/manager/main.go"]
    )
    for path, text in found.items():
        assert "templates/runtime" not in text, path
        assert str(ROOT) not in text or path == ".copier-answers.yml", path


def test_no_known_types_is_a_setting_of_the_project(tmp_path: Path) -> None:
    project = tmp_path / "beacon"
    done = run("new", project, "--crd", BEACON, "--no-known-types")
    assert done.returncode == 0, done.stderr
    answers = project / ".copier-answers.yml"
    assert "known_types: false" in answers.read_text().splitlines()
    types = next(project.glob("api/*/*/zz_generated.beacon.go"))
    own = types.read_text()
    assert "metav1.Condition" not in own
    assert "type BeaconStatusConditionsItem struct" in own
    assert run("generate", project, "--check").returncode == 0

    answers.write_text(answers.read_text().replace("types: false", "types: true"))
    assert run("generate", project, "--check").returncode == 1
    assert run("generate", project).returncode == 0
    assert "Conditions []metav1.Condition" in types.read_text()

    answers.write_text(answers.read_text().replace("types: true", "types: maybe"))
    done = run("generate", project)
    assert (done.returncode, done.stdout) == (1, "")
    assert "known_types 'maybe' is neither true nor false" in done.stderr


@pytest.mark.parametrize("switch", ["webhooks", "http_api", "tenancy"])
def test_a_feature_is_on_or_off(project: Path, switch: str) -> None:
    answers = project / ".copier-answers.yml"
    answers.write_text(
        re.sub(f"(?m)^{switch}: .*", f"{switch}: x", answers.read_text())
    )
    before = tree(project)
    done = run("generate", project)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{answers}: {switch} 'x' is neither true nor false" in done.stderr
    assert tree(project) == before


def test_generate_right_after_new_has_nothing_to_do(project: Path) -> None:
    before = tree(project)
    done = run("generate", project)
    assert (done.returncode, done.stdout) == (0, "nothing to do\n")
    assert tree(project) == before


def test_generate_works_in_the_current_folder(project: Path) -> None:
    assert run("generate", cwd=project).stdout == "nothing to do\n"


def test_copier_is_not_imported_by_generate(project: Path) -> None:
    code = (
        "import sys; from scaffold.cli import main\n"
        f"assert main(['generate', {str(project)!r}]) == 0\n"
        "assert 'copier' not in sys.modules and 'yaml' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT)
    assert done.returncode == 0


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from scaffold.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'copier', 'jinja2', 'ruamel', 'yaml'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    assert done.returncode == 0


def test_check_and_diff_write_nothing_and_fail_when_stale(project: Path) -> None:
    crd = project / "crds/beacon.yaml"
    crd.write_text(crd.read_text().replace("Colour of the light.", "Colour it shows."))
    before = tree(project)
    checked = run("generate", project, "--check")
    assert checked.returncode == 1
    assert "update api/signals/v1alpha1/zz_generated.beacon.go" in checked.stdout
    assert "run ctxscaffold generate" in checked.stderr
    diffed = run("generate", project, "--diff")
    assert diffed.returncode == 0
    assert "+++ b/api/signals/v1alpha1/zz_generated.beacon.go" in diffed.stdout
    assert "+\t// Colour it shows." in diffed.stdout
    assert tree(project) == before
    assert run("generate", project).returncode == 0
    assert run("generate", project, "--check").returncode == 0


def test_json_says_what_changed_and_what_failed(project: Path) -> None:
    (project / "api/signals/v1alpha1/zz_generated.beacon.go").unlink()
    done = run("generate", project, "--json")
    assert json.loads(done.stdout) == {
        "kinds": ["Beacon.signals.example.com"],
        "changes": [
            {
                "path": "api/signals/v1alpha1/zz_generated.beacon.go",
                "action": "create",
            }
        ],
        "left": [],
    }
    (project / "crds/beacon.yaml").write_text("kind: [\n")
    done = run("generate", project, "--json")
    assert done.returncode == 1
    (error,) = json.loads(done.stdout)["errors"]
    assert error["where"].startswith(f"{project}/crds/beacon.yaml:")
    assert error["what"] and error["fix"]
    assert done.stderr == ""


def test_new_with_and_without_webhooks(made: Path, tmp_path: Path) -> None:
    done = run("new", tmp_path / "plain", "--crd", BEACON, "--no-webhooks")
    assert done.returncode == 0, done.stderr
    plain, whole = tree(tmp_path / "plain"), tree(made)
    assert not [path for path in plain if path.startswith("internal/webhook/")]
    assert "--drain-delay" not in plain["config/manager/manager.yaml"]
    assert "internal/webhook/beacon/beacon.go" in whole
    assert "timeoutSeconds: 5" in whole["config/webhook/manifests.yaml"]
    assert "--drain-delay=5s" in whole["config/manager/manager.yaml"]


def test_new_from_standard_input(tmp_path: Path) -> None:
    done = run("new", tmp_path / "op", "--crd", "-", stdin=BEACON.read_bytes())
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "op/crds/stdin.yaml").read_bytes() == BEACON.read_bytes()


def test_generate_adds_a_crd(project: Path) -> None:
    added = ROOT / "examples/cluster/crds/tenantclass.yaml"
    done = run("generate", project, "--crd", added)
    assert done.returncode == 0, done.stderr
    assert "create crds/tenantclass.yaml" in done.stdout
    assert (project / "internal/controller/tenantclass/tenantclass.go").exists()
    assert run("generate", project, "--crd", added).stdout == "nothing to do\n"


def test_generate_refuses_a_crd_whose_file_name_is_taken(
    project: Path, tmp_path: Path
) -> None:
    other = tmp_path / "beacon.yaml"
    other.write_bytes((ROOT / "examples/cluster/crds/tenantclass.yaml").read_bytes())
    before = tree(project)
    done = run("generate", project, "--crd", other)
    assert done.returncode == 1
    assert "crds/beacon.yaml is another file already" in done.stderr
    assert tree(project) == before


REFUSED = {
    "no such file": ["new", "{tmp}/op", "--crd", "{tmp}/none.yaml"],
    "the destination is there already and not empty": [
        "new",
        "{full}",
        "--crd",
        str(BEACON),
    ],
    "cannot name an operator": ["new", "{tmp}/Op_1", "--crd", str(BEACON)],
    "is no Go module path": [
        "new",
        "{tmp}/op",
        "--crd",
        str(BEACON),
        "--module",
        "a b",
    ],
    "no ctxscaffold project here": ["generate", "{tmp}"],
    "there is no kind Gadget to drop": ["generate", "{full}", "--drop", "Gadget"],
    "is still defined in crds/": ["generate", "{full}", "--drop", "Beacon"],
    "the project is in no repository": ["update", "{full}"],
    "standard input (-) can be given once": [
        "new",
        "{tmp}/op",
        "--crd",
        "-",
        "--crd",
        "-",
    ],
}


@pytest.mark.parametrize("message", REFUSED)
def test_refusals_say_what_where_and_how_on(
    message: str, project: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    arguments = [
        part.format(tmp=empty, full=project, doc="") for part in REFUSED[message]
    ]
    before = tree(tmp_path)
    done = run(*arguments, cwd=empty)
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert "fix: " in done.stderr
    assert "Traceback" not in done.stderr
    assert tree(tmp_path) == before
    assert not list(empty.iterdir()), "something is half-written"


def test_unwritable_project_is_left_as_it_was(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = project / ".copier-answers.yml"
    answers.write_text("project_name: [")
    done = run("generate", project)
    assert done.returncode == 1
    assert f"{answers}:1" in done.stderr


def test_project_without_crds_is_an_operator_without_kinds(project: Path) -> None:
    (project / "crds/beacon.yaml").unlink()
    done = run("generate", project, "--drop", "Beacon")
    assert done.returncode == 0, done.stderr
    assert "crds/ holds no CustomResourceDefinition yet" in done.stdout
    assert not (project / "api").exists()
