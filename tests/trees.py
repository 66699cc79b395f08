"""Small helpers to look at a folder as a dict of its files."""

from __future__ import annotations

from pathlib import Path

from scaffold.features import Owner
from scaffold.render import File


def tree(folder: Path) -> dict[str, str]:
    """Return path to text of every file below ``folder``, without .git."""
    return {
        path.relative_to(folder).as_posix(): path.read_text("utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }


def generated(text: str, kind: str | None = None) -> File:
    """Return a generated file."""
    return File(text, Owner.GENERATED, kind)


def user(text: str, kind: str | None = None) -> File:
    """Return a user's file."""
    return File(text, Owner.USER, kind)
