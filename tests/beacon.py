"""A project made of examples/minimal, with a user's code in it, to be changed by tests."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from scaffold import project as projects

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
USER = "internal/controller/beacon/beacon.go"
CRD = "crds/beacon.yaml"
RULES = "internal/webhook/beacon/beacon.go"

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


def make(project: Path) -> Path:
    """Make the project, committed, and return its folder."""
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
