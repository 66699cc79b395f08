"""The setting ``watches``: turned on, kept, turned off, and refused with reason."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from scaffold import apply, cli, settings, watches
from scaffold.check import check
from scaffold.errors import ScaffoldError
from scaffold.generate import generate
from scaffold.settings import ANSWERS

pytestmark = pytest.mark.golang

EXAMPLES = Path(__file__).parent.parent / "examples"
FOLDER = "internal/controller/beacon"
OWN = f"{FOLDER}/watches.go"
GENERATED = {
    f"{FOLDER}/zz_generated.watches.go",
    f"{FOLDER}/zz_generated.watches_test.go",
}
ROLE = "config/rbac/role.yaml"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which nothing is watched."""
    project = tmp_path_factory.mktemp("made") / "beacon"
    crds = str(EXAMPLES / "minimal/crds")
    assert cli.main(["new", str(project), "--crd", crds]) == 0
    return project


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "beacon"))


def turn_on(project: Path, *flags: str) -> int:
    return cli.main(["generate", str(project), *(f"--watch={flag}" for flag in flags)])


def test_off_leaves_no_trace(made: Path) -> None:
    assert not (made / OWN).exists()
    assert "Watched" not in (made / ROLE).read_text()


def test_on_builds_and_off_again_too(project: Path) -> None:
    assert turn_on(project, "Beacon=apps/v1/deployments", "Beacon=v1/configmaps") == 0
    assert {OWN, *GENERATED} <= set(files(project))
    list(check(project))  # builds, vets, and nothing is stale
    role = (project / ROLE).read_text()
    for group, resource in (("apps", "deployments"), ("", "configmaps")):
        rule = f'  - apiGroups: ["{group}"]\n    resources: [{resource}]\n'
        assert role.count(rule + "    verbs: [get, list, watch]\n") == 1
    assert turn_on(project, "Beacon=v1/configmaps") == 0
    assert generate(project).changes == ()
    assert "watches" in settings.load(project).options

    answers = (project / ANSWERS).read_text()
    (project / ANSWERS).write_text(
        re.sub(r"^watches:\n([ -].*\n)+", "", answers, flags=re.M)
    )
    with pytest.raises(ScaffoldError, match=re.escape(f"--drop {OWN}")):
        generate(project)
    generate(project, drop=[OWN])
    assert not GENERATED & set(files(project))
    assert "Watched" not in (project / ROLE).read_text()
    list(check(project))


def test_new_turns_it_on(tmp_path: Path) -> None:
    dest, crds = tmp_path / "beacon", str(EXAMPLES / "minimal/crds")
    arguments = ["new", str(dest), "--crd", crds, "--watch", "Beacon=v1/secrets"]
    assert cli.main(arguments) == 0
    assert {OWN, *GENERATED} <= set(files(dest))
    assert generate(dest).changes == ()


def test_the_users_mapping_survives(project: Path) -> None:
    assert turn_on(project, "Beacon=v1/configmaps") == 0
    with (project / OWN).open("a") as file:
        file.write("\n// Mine.\n")
    mine = (project / OWN).read_text()
    assert turn_on(project, "Beacon=v1/secrets") == 0
    assert (project / OWN).read_text() == mine
    edit(project, "- v1/configmaps", "- v1/pods")
    generate(project)
    assert (project / OWN).read_text() == mine
    assert "pods" in (project / ROLE).read_text()


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("Beacon", "--watch Beacon names no resource"),
        ("Beacon=deployments", "--watch Beacon=deployments names no resource"),
        ("=v1/pods", "--watch =v1/pods names no resource"),
        ("Beacon=v1/pods/log/x", "names no resource"),
        ("Beacon=apps/v1/Deployment", "names no resource"),
        ("Lamp=v1/pods", "crds/ has no kind Lamp\n  fix: name one of Beacon.signals"),
    ],
)
def test_bad_flags(
    project: Path, capsys: pytest.CaptureFixture[str], flag: str, message: str
) -> None:
    before = {path: (project / path).read_bytes() for path in files(project)}
    assert turn_on(project, flag) in (1, 2)
    assert message in capsys.readouterr().err
    assert {path: (project / path).read_bytes() for path in files(project)} == before


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("watches: [1]", "watches is no table"),
        ("watches: {Beacon: [3]}", "watches of Beacon: 3 names no resource"),
        ("watches: {Lamp: [v1/pods]}", "crds/ has no kind Lamp"),
    ],
)
def test_bad_settings(
    project: Path, capsys: pytest.CaptureFixture[str], setting: str, message: str
) -> None:
    edit(project, "watches: {}", setting)
    assert cli.main(["generate", str(project)]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert f"{project / ANSWERS}: " in error


def test_a_kind_in_two_groups_needs_its_group(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dest, crds = tmp_path / "fleet", str(EXAMPLES / "fleet/crds")
    arguments = ["new", str(dest), "--crd", crds, "--watch", "Depot=v1/pods"]
    assert cli.main(arguments) == 1
    assert "Depot could be each of Depot." in capsys.readouterr().err
    assert not dest.exists()


def files(project: Path) -> list[str]:
    return [
        path.relative_to(project).as_posix()
        for path in project.rglob("*")
        if path.is_file() and path.name != "lock"
    ]


def edit(project: Path, old: str, new: str) -> None:
    text = (project / ANSWERS).read_text()
    assert old in text
    (project / ANSWERS).write_text(text.replace(old, new))


def test_a_watch_survives_a_run_that_was_killed(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the point of no return: the next run finishes it, and then reads."""

    def killed(project: Path) -> None:
        journal = project / ".ctxscaffold/journal"
        (journal / "pending.json").rename(journal / "journal.json")
        raise InterruptedError

    wanted = watches.from_flags(["Beacon=apps/v1/deployments"])
    with monkeypatch.context() as patch:
        patch.setattr(apply, "_commit", killed)
        with pytest.raises(InterruptedError):
            generate(project, watches=wanted)
    generate(project)
    answers = (project / ".copier-answers.yml").read_text("utf-8")
    assert "apps/v1/deployments" in answers
    assert generate(project, write=False).changes == ()
