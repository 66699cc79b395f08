"""Where the files that ship beside the Python code are.

A checkout has them at its root; a wheel carries them under ``scaffold/_data``
with the same relative paths.
"""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def root() -> Path:
    """Return the folder that holds ``copier.yml``, ``templates`` and ``examples``."""
    packaged = _PACKAGE / "_data"
    return packaged if packaged.is_dir() else _PACKAGE.parent


def cache() -> Path:
    """Return the cache folder: ``CTXSCAFFOLD_CACHE`` or the user's cache folder.

    It is not created here.
    """
    if named := os.environ.get("CTXSCAFFOLD_CACHE"):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "ctxscaffold"
