"""Keep a project's go.mod at least as new as the pins of the runtime.

go.mod belongs to the user: it is written once. When the runtime moves on, its
requirements are raised with ``go mod edit -require``; a version the user has
raised further stays.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from scaffold.errors import ToolError
from scaffold.plan import Change

_REQUIRE = re.compile(r"^(?:require)?\s+(\S+\.\S+) (v\S+?)( // indirect)?$", re.M)


def raised(project: Path, pins: str, sums: str) -> list[Change]:
    """Return the changes to go.mod and go.sum that satisfy ``pins`` (a go.mod text).

    Nothing changes as long as every direct requirement of ``pins`` is met;
    then what the user tidied away stays away.
    """
    mod, total = project / "go.mod", project / "go.sum"
    if not mod.exists():
        return []
    have = {path: version for path, version, _ in _REQUIRE.findall(mod.read_text())}
    wanted = _REQUIRE.findall(pins)
    lacking = {
        path: version
        for path, version, _ in wanted
        if path not in have or _key(have[path]) < _key(version)
    }
    if not any(path in lacking and not indirect for path, _, indirect in wanted):
        return []
    old_sums = total.read_bytes() if total.exists() else b""
    lines = {*old_sums.decode().splitlines(), *sums.splitlines()} - {""}
    return [
        Change("go.mod", mod.read_bytes(), _edit(mod.read_bytes(), lacking)),
        Change("go.sum", old_sums or None, ("\n".join(sorted(lines)) + "\n").encode()),
    ]


def _edit(text: bytes, requirements: dict[str, str]) -> bytes:
    go = shutil.which("go")
    if go is None:
        raise ToolError("go is not on the PATH", fix="install Go 1.26 or later")
    with tempfile.TemporaryDirectory(prefix="ctxscaffold-") as name:
        copy = Path(name) / "go.mod"
        copy.write_bytes(text)
        flags = [f"-require={path}@{version}" for path, version in requirements.items()]
        run = subprocess.run(
            [go, "mod", "edit", *flags, str(copy)], capture_output=True, text=True
        )
        if run.returncode != 0:
            raise ToolError(
                f"go mod edit failed: {run.stderr.strip()}",
                where="go.mod",
                fix="mend go.mod: go mod edit -fmt says where it is wrong",
            )
        return copy.read_bytes()


def _key(version: str) -> tuple[object, ...]:
    """Order versions as Go does: numbers, then a release above its pre-releases."""
    core, _, pre = version.removeprefix("v").partition("+")[0].partition("-")
    numbers = tuple(int(part) for part in core.split(".") if part.isdigit())
    parts = tuple(
        (0, int(part), "") if part.isdigit() else (1, 0, part)
        for part in pre.split(".")
    )
    return (numbers, 0 if pre else 1, parts)
