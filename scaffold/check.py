"""``ctxscaffold check``: nothing is stale, the project builds and vets."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from scaffold.errors import StaleError, ToolError
from scaffold.generate import generate


def check(project: Path) -> Iterator[str]:
    """Yield the name of each step that holds; raise at the first that does not."""
    stale = generate(project, write=False).visible
    if stale:
        raise StaleError(
            "not what crds/ asks for: " + ", ".join(change.path for change in stale),
            where=str(project),
            fix="run ctxscaffold generate and commit what it writes",
        )
    yield "generated files are current"
    go = shutil.which("go")
    if go is None:
        raise ToolError("go is not on the PATH", fix="install Go 1.26 or later")
    for step in ("build", "vet"):
        run = subprocess.run(
            [go, step, "./..."], cwd=project, capture_output=True, text=True
        )
        if run.returncode != 0:
            raise ToolError(
                f"go {step} fails:\n{run.stderr.strip()}",
                where=str(project),
                fix="mend the lines it names",
            )
        yield f"go {step}"
