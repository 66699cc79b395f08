"""Where a corpus comes from: a folder, an archive, or the Go modules of modules.txt.

Each is a set of projects, a project being a folder of CRD files.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scaffold.crd.read import read
from scaffold.errors import ScaffoldError

MODULES = Path(__file__).with_name("modules.txt")
_SUFFIXES = (".json", ".yaml", ".yml")


@contextmanager
def projects(corpus: Path | None) -> Iterator[dict[str, Path]]:
    """Yield the folder of each project by name; without a corpus, the modules'."""
    with tempfile.TemporaryDirectory() as scratch:
        if corpus is None:
            yield _from_modules(Path(scratch))
        elif corpus.is_dir():
            yield _inside(corpus)
        else:
            with tarfile.open(corpus) as archive:
                archive.extractall(scratch, filter="data")
            yield _inside(Path(scratch))


def _inside(folder: Path) -> dict[str, Path]:
    """Return the projects of a folder: those inside, or else the folder itself.

    An archive of one folder with projects counts as that folder.
    """
    inside = sorted(path for path in folder.iterdir() if path.is_dir())
    if len(inside) == 1 and any(path.is_dir() for path in inside[0].iterdir()):
        return _inside(inside[0])
    if any(path.suffix in _SUFFIXES for path in folder.iterdir()):
        return {folder.name: folder}
    return {path.name: path for path in inside}


def _from_modules(scratch: Path) -> dict[str, Path]:
    """Fetch the pinned modules and copy the CRDs they ship."""
    found = {}
    for line in MODULES.read_text("utf-8").splitlines():
        if line.startswith("#"):
            continue
        module, inside = line.split()
        answer = subprocess.run(
            ["go", "mod", "download", "-json", module],
            cwd=scratch,
            check=True,
            capture_output=True,
            env={**os.environ, "GOFLAGS": "-mod=mod", "GOWORK": "off"},
        ).stdout
        source = Path(json.loads(answer)["Dir"]) / inside
        name = module.partition("@")[0].replace("/", "-")
        target = scratch / name
        target.mkdir()
        for path in sorted(source.iterdir()) if source.is_dir() else [source]:
            if path.suffix in _SUFFIXES and _has_crd(path):
                shutil.copyfile(path, target / path.name)
        found[name] = target
    return found


def _has_crd(path: Path) -> bool:
    """Whether a file is no kustomization or patch but holds whole CRDs."""
    try:
        return bool(read([path]))
    except ScaffoldError:
        return False
