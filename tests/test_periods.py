"""reconcile < shutdown < pod grace, asked of the manifest a user may have edited."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scaffold import periods
from scaffold.errors import InputError, ProjectError
from tests import golden

# Without webhooks, and so without a drain delay.
MANIFEST = golden.EXAMPLES / "fleet/golden" / periods.MANIFEST
RUNTIME = Path(__file__).parent.parent / "templates/runtime/manager/settings.go"


def project(tmp_path: Path, *edits: tuple[str, str]) -> Path:
    text = MANIFEST.read_text("utf-8")
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    manifest = tmp_path / periods.MANIFEST
    manifest.parent.mkdir(parents=True)
    manifest.write_text(text, "utf-8")
    return tmp_path


@pytest.mark.parametrize("name", golden.names())
def test_what_is_emitted_fits(name: str) -> None:
    folder = golden.EXAMPLES / name / "golden"
    assert "--pod-grace=" in (folder / periods.MANIFEST).read_text("utf-8")
    periods.check(folder)


def test_the_drain_delay_counts(tmp_path: Path) -> None:
    edit = ("--reconcile-timeout=20s", "--drain-delay=5s")
    with pytest.raises(ProjectError, match="a shutdown of 30 s does not fit"):
        periods.check(project(tmp_path, edit))


def test_a_longer_reconcile_fits_with_a_longer_grace(tmp_path: Path) -> None:
    periods.check(
        project(
            tmp_path,
            ("--reconcile-timeout=20s", "--reconcile-timeout=1m30s"),
            ("--pod-grace=30s", "--pod-grace=100s"),
            ("terminationGracePeriodSeconds: 30", "terminationGracePeriodSeconds: 100"),
        )
    )


@pytest.mark.parametrize(
    ("edits", "line", "message", "fix"),
    [
        pytest.param(
            [("--reconcile-timeout=20s", "--reconcile-timeout=25s")],
            "terminationGracePeriodSeconds",
            "a shutdown of 30 s does not fit into the pod's grace period of 30 s",
            "to 35 s",
            id="reconcile",
        ),
        pytest.param(
            [("--reconcile-timeout=20s", "--shutdown-timeout=20s")],
            "--shutdown-timeout",
            "does not fit into --shutdown-timeout=20s",
            "raise --shutdown-timeout",
            id="shutdown",
        ),
        pytest.param(
            [
                (
                    "terminationGracePeriodSeconds: 30",
                    "terminationGracePeriodSeconds: 20",
                )
            ],
            "--pod-grace",
            "which is 20",
            "the same value",
            id="grace",
        ),
        pytest.param(
            [("--reconcile-timeout=20s", "--reconcile-timeout=20")],
            "--reconcile-timeout",
            "--reconcile-timeout=20 is no duration",
            "90s",
            id="no unit",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, edits: list[tuple[str, str]], line: str, message: str, fix: str
) -> None:
    folder = project(tmp_path, *edits)
    with pytest.raises(ProjectError) as caught:
        periods.check(folder)
    assert message in caught.value.what
    assert fix in (caught.value.fix or "")
    path, _, number = (caught.value.where or "").rpartition(":")
    assert line in Path(path).read_text("utf-8").splitlines()[int(number) - 1]


def test_no_yaml(tmp_path: Path) -> None:
    folder = project(tmp_path, ("apiVersion", "<<<<< ours\n:"))
    with pytest.raises(InputError, match=r"manager\.yaml:2: not valid YAML"):
        periods.check(folder)


def test_a_conflict_is_left_to_who_settles_it(tmp_path: Path) -> None:
    periods.check(project(tmp_path, ("apiVersion", "<<<<<<< ours\n:")))


def test_a_manifest_of_another_sort_is_left_alone(tmp_path: Path) -> None:
    periods.check(tmp_path)
    periods.check(project(tmp_path, ("            - --pod-grace=30s\n", "")))


def test_constants_are_those_of_the_runtime() -> None:
    text = RUNTIME.read_text("utf-8")
    for name, value in (
        ("Margin", periods._MARGIN),
        ("DefaultReconcileTimeout", periods._RECONCILE),
    ):
        match = re.search(rf"^const {name} = (\d+) \* time\.Second$", text, re.M)
        assert match and float(match[1]) == value
