"""The Go files of a project, as far as ownership asks: where they are, what they import."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from scaffold.places import text

# Below these is nothing of the module's own.
_FOREIGN = frozenset(("bin", "testdata", "vendor"))
_IMPORT = re.compile(r'^\s*(?:import\s+)?(?:[\w.]+\s+)?"([^"\s]+)"')
_RUNTIME = re.compile(r'^\t(?:\w+ )?"([^"]+)/internal/runtime/manager"$', re.MULTILINE)


def inside(project: Path, folders: Collection[str]) -> Iterator[str]:
    """Yield the paths of the Go files in ``folders``."""
    for folder in sorted(folders):
        for path in sorted((project / folder).glob("*.go")):
            yield path.relative_to(project).as_posix()


def others(project: Path, folders: Collection[str]) -> set[str]:
    """Return the paths of the files in ``folders`` that are no Go files."""
    return {
        path.relative_to(project).as_posix()
        for folder in folders
        if (project / folder).is_dir()
        for path in (project / folder).iterdir()
        if path.suffix != ".go" and path.is_file()
    }


def module(project: Path) -> str:
    """Return the module whose packages the generated files import, '' if unknown."""
    found = _RUNTIME.search(text(project / "internal/controller/zz_generated.setup.go"))
    return found[1] if found else ""


def imports(project: Path, names: Collection[str]) -> Iterator[tuple[str, int, str]]:
    """Yield path, line and name of every import of one of ``names``."""
    if not names:
        return
    for path in _files(project):
        for number, line in enumerate(text(project / path).splitlines(), 1):
            if (found := _IMPORT.match(line)) and found[1] in names:
                yield path, number, found[1]


def renamed(
    project: Path, former: str, module: str
) -> Iterator[tuple[str, bytes, bytes]]:
    """Yield path, old and new text of every file that imports packages of ``former``."""
    for path in _files(project):
        old = text(project / path)
        lines = [
            (
                line.replace(f'"{former}', f'"{module}', 1)
                if (found := _IMPORT.match(line))
                and f"{found[1]}/".startswith(f"{former}/")
                else line
            )
            for line in old.splitlines(keepends=True)
        ]
        if (new := "".join(lines)) != old:
            yield path, old.encode(), new.encode()


def _files(project: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(project):
        folders[:] = sorted(
            name for name in folders if name not in _FOREIGN and name[0] not in "._"
        )
        for name in sorted(files):
            if name.endswith(".go"):
                yield (Path(folder) / name).relative_to(project).as_posix()
