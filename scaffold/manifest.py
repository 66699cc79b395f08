"""What ``ctxscaffold`` wrote into a project, and with which content."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from scaffold.errors import ProjectError

FOLDER = ".ctxscaffold"
PATH = f"{FOLDER}/manifest.json"


def digest(content: bytes) -> str:
    """Return the SHA-256 of ``content`` in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


@dataclass(slots=True)
class Manifest:
    """The record kept in ``.ctxscaffold/manifest.json``.

    ``generated`` maps a path to the digest of what was written there;
    ``user`` maps a path, once written and since then the user's, to the kind
    (``Name.group``) it goes with, or to an empty string.
    """

    version: str
    generated: dict[str, str] = field(default_factory=dict)
    user: dict[str, str] = field(default_factory=dict)

    def dump(self) -> bytes:
        """Return the JSON text, sorted, one entry per line so that git can merge it."""
        table = {
            "ctxscaffold": self.version,
            "generated": dict(sorted(self.generated.items())),
            "user": dict(sorted(self.user.items())),
        }
        return (json.dumps(table, indent=2) + "\n").encode()


def load(project: Path) -> Manifest | None:
    """Read the manifest of ``project``; None if there is none yet."""
    path = project / PATH
    try:
        table = json.loads(path.read_bytes())
        return Manifest(
            version=str(table["ctxscaffold"]),
            generated=_paths(table["generated"]),
            user=_paths(table["user"]),
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        raise ProjectError(
            "the manifest cannot be read (a merge conflict left in it?)",
            where=f"{path}:{line}",
            fix=f"restore it with git checkout -- {PATH}, or delete it and run "
            "ctxscaffold generate --overwrite",
        ) from error


def _paths(table: object) -> dict[str, str]:
    """Check a table keyed by paths; one that leaves the project must not be followed."""
    if not isinstance(table, dict):
        raise TypeError("not a table")
    for key, value in table.items():
        path = PurePosixPath(key)
        if path.is_absolute() or ".." in path.parts or not isinstance(value, str):
            raise ValueError(f"not a path inside the project: {key}")
    return table
