"""Format Go in one process, however many files there are."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from scaffold.errors import ScaffoldError, ToolError


def gofmt(sources: Mapping[str, str]) -> dict[str, str]:
    """Return ``sources`` (path to Go text) as gofmt would write them.

    Raises :class:`ScaffoldError` naming the file if one does not parse: that
    is a fault of a template, and the text is kept for the report.
    """
    if not sources:
        return {}
    command = _gofmt()
    with tempfile.TemporaryDirectory(prefix="ctxscaffold-") as name:
        folder = Path(name)
        staged = {path: folder / f"{i}.go" for i, path in enumerate(sources)}
        for path, file in staged.items():
            file.write_text(sources[path], "utf-8", newline="")
        run = subprocess.run(
            [command, "-w", "."], cwd=folder, capture_output=True, text=True
        )
        if run.returncode != 0:
            raise _unparsed(run.stderr, list(sources), staged)
        return {path: _read(file) for path, file in staged.items()}


def _read(file: Path) -> str:
    return file.read_bytes().decode("utf-8")


def _gofmt() -> str:
    if found := shutil.which("gofmt"):
        return found
    if go := shutil.which("go"):
        root = subprocess.run([go, "env", "GOROOT"], capture_output=True, text=True)
        beside = Path(root.stdout.strip()) / "bin" / "gofmt"
        if beside.is_file():
            return str(beside)
    raise ToolError(
        "gofmt is not on the PATH", fix="install Go 1.26 or later: https://go.dev/dl"
    )


def _unparsed(
    stderr: str, paths: list[str], staged: Mapping[str, Path]
) -> ScaffoldError:
    first = stderr.splitlines()[0] if stderr else "no message"
    number, _, rest = first.removeprefix("./").partition(".go:")
    path = paths[int(number)] if number.isdigit() else "?"
    if path == "?":
        return ToolError(f"gofmt failed: {first}", fix="run gofmt by hand: gofmt -l .")
    kept = Path(tempfile.mkdtemp(prefix="ctxscaffold-")) / Path(path).name
    shutil.copyfile(staged[path], kept)
    return ScaffoldError(
        f"the Go rendered for {path} does not parse ({rest.strip()})",
        where=str(kept),
        fix="this is a fault in ctxscaffold: report it with that file and the CRD",
    )
