"""What ``ctxscaffold`` wrote into a project, and with which content."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from scaffold import __version__
from scaffold import places as all_places
from scaffold.errors import ProjectError
from scaffold.places import Places

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
    (``Name.group``) it goes with, or to an empty string. ``places`` are None in
    the manifest of a release that kept none.
    """

    version: str
    generated: dict[str, str] = field(default_factory=dict)
    user: dict[str, str] = field(default_factory=dict)
    places: Places | None = None

    def dump(self) -> bytes:
        """Return the JSON text, sorted, one entry per line so that git can merge it."""
        table = {
            "ctxscaffold": self.version,
            "generated": dict(sorted(self.generated.items())),
            "places": (self.places or Places()).dump(),
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
            places=all_places.load(table["places"]) if "places" in table else None,
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


def check(project: Path) -> None:
    """Raise :class:`ProjectError` if a later ctxscaffold wrote ``project``."""
    record = load(project)
    if record and _release(record.version) > _release(__version__):
        raise ProjectError(
            f"ctxscaffold {record.version} wrote this project, and this is {__version__}: "
            "it would take back what the later one made better",
            where=str(project / PATH),
            fix=f"install ctxscaffold {record.version} or later",
        )


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0]))


def places(project: Path) -> Places:
    """Return what was decided in ``project``: on record, or seen in its files."""
    record = load(project)
    if record and record.places is not None:
        return record.places
    return all_places.seen(project, record.user if record else {})


def _paths(table: object) -> dict[str, str]:
    """Check a table keyed by paths; one that leaves the project must not be followed."""
    if not isinstance(table, dict):
        raise TypeError("not a table")
    for key, value in table.items():
        path = PurePosixPath(key)
        if path.is_absolute() or ".." in path.parts or not isinstance(value, str):
            raise ValueError(f"not a path inside the project: {key}")
    return table
