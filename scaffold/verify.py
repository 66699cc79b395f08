"""``ctxscaffold verify``: controller-gen agrees with what was generated.

controller-gen reads the Go types of the project and writes deepcopy methods and
CRDs of its own. The methods must be the generated ones byte for byte. A CRD
must differ from the original by exactly its residual patch, which holds what
Go types and markers cannot say.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from scaffold import manifest, settings, sources
from scaffold.crd import document, residual
from scaffold.errors import StaleError, ToolError

_COMMAND = (
    "tool",
    "-modfile=tools/go.mod",
    "controller-gen",
    "object",
    "crd:allowDangerousTypes=true,omitToolVersion=true",
    "paths=./api/...",
    "output:crd:dir=regenerated",
)


def verify(project: Path) -> Iterator[str]:
    """Yield what agrees, step by step; raise :class:`StaleError` at a difference."""
    known_types = settings.load(project).known_types
    kinds = sources.kinds(project, known_types, manifest.places(project))
    if not kinds:
        return
    go = shutil.which("go")
    if go is None:
        raise ToolError("go is not on the PATH", fix="install Go 1.26 or later")
    with tempfile.TemporaryDirectory(prefix="ctxscaffold-") as name:
        copy = Path(name) / "project"
        shutil.copytree(project, copy, ignore=shutil.ignore_patterns(".git", "bin"))
        run = subprocess.run([go, *_COMMAND], cwd=copy, capture_output=True, text=True)
        if run.returncode != 0:
            raise ToolError(
                f"controller-gen fails:\n{run.stderr.strip()}",
                fix="mend what it names; make verify runs it in a copy of the project",
            )
        _same_methods(project, copy)
        yield "deepcopy methods"
        for kind in kinds:
            plural, _, group = kind.crd_name.partition(".")
            path = copy / "regenerated" / f"{group}_{plural}.yaml"
            (made,) = document.parse(str(path), path.read_bytes())
            if residual.patch(made.data, kind.document) != kind.residual:
                raise StaleError(
                    f"the types of {kind.kind} give another CRD than "
                    f"config/crd/bases/{kind.crd_name}.yaml",
                    where=f"{kind.source[0]}:{kind.source[1]}",
                    fix="run ctxscaffold generate; if it has nothing to do, report "
                    "this with the CRD",
                )
            yield f"CRD {kind.crd_name}"


def _same_methods(project: Path, copy: Path) -> None:
    for path in sorted(copy.glob("api/*/*/zz_generated.deepcopy.go")):
        relative = path.relative_to(copy)
        original = project / relative
        if not original.exists() or original.read_bytes() != path.read_bytes():
            raise StaleError(
                "controller-gen writes other deepcopy methods",
                where=str(original),
                fix="keep types of your own out of api/, then run ctxscaffold generate",
            )
