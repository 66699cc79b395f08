"""What is decided once for a kind and for a group, whatever joins them later.

The package of a kind is its folder, the name of its controller, the target in
its metrics and the end of its finalizer's name; the version in the paths of its
webhooks and the one its others are converted to are what clusters hold, too. So
the manifest keeps them, also of kinds that are gone: objects with a finalizer
may be left, and the kind may come back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scaffold.crd.model import Kind

_PACKAGE = re.compile(r"[a-z][a-z0-9]*")
_GO_NAME = re.compile(r"^type (\w+) = ", re.MULTILINE)
_FINALIZER = re.compile(r'^\t\tFinalizer: +"([^"/]+)/', re.MULTILINE)
_API_DIR = re.compile(r'^\t\w+ +"[^"]*/api/([^"/]+)/[^"/]+"$', re.MULTILINE)
_VALIDATE = re.compile(r'"/validate-([^"]+)"')
_HUB = re.compile(r"^// Hub marks \w+ in (\S+) as the version", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Place:
    """The place of one kind.

    ``webhook`` is the version in the paths of its webhooks, ``hub`` the one that
    its others are converted to; each is '' until it is chosen.
    """

    package: str
    webhook: str
    hub: str = ""


@dataclass(frozen=True, slots=True)
class Places:
    """The places of kinds by ``Name.group``, and the folder of each group."""

    kinds: Mapping[str, Place] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)

    @property
    def packages(self) -> dict[str, str]:
        """The package of each kind."""
        return {kind: place.package for kind, place in self.kinds.items()}

    def webhook(self, kind: Kind) -> str:
        """Return the version in the paths of the webhooks of ``kind``."""
        place = self.kinds.get(key(kind))
        return place.webhook if place and place.webhook else kind.storage.name

    def hub(self, kind: str) -> str:
        """Return the hub of a kind, '' if none was ever chosen."""
        place = self.kinds.get(kind)
        return place.hub if place else ""

    def joined(self, kinds: Iterable[Kind]) -> Places:
        """Return these places with those that ``kinds`` have now."""
        kinds = tuple(kinds)
        placed = {
            key(kind): Place(
                kind.package,
                self.webhook(kind),
                kind.hub.name if len(kind.versions) > 1 else self.hub(key(kind)),
            )
            for kind in kinds
        }
        dirs = {kind.group: kind.group_dir for kind in kinds}
        return Places({**self.kinds, **placed}, {**self.groups, **dirs})

    def dump(self) -> dict[str, object]:
        """Return what the manifest holds of them."""
        kinds = {}
        for kind, place in sorted(self.kinds.items()):
            kinds[kind] = {"package": place.package, "webhook": place.webhook}
            if place.hub:
                kinds[kind]["hub"] = place.hub
        return {"groups": dict(sorted(self.groups.items())), "kinds": kinds}


def key(kind: Kind) -> str:
    """Return ``Name.group``."""
    return f"{kind.kind}.{kind.group}"


def load(table: Mapping[str, Mapping[str, object]]) -> Places:
    """Check what a manifest holds. Raises ValueError (or what Python does)."""
    kinds = {
        kind: Place(_name(one["package"]), str(one["webhook"]), str(one.get("hub", "")))
        for kind, one in _tables(table["kinds"]).items()
    }
    groups = {group: _name(folder) for group, folder in table["groups"].items()}
    packages = [place.package for place in kinds.values()]
    for found in (packages, list(groups.values())):
        if twice := {name for name in found if found.count(name) > 1}:
            raise ValueError(f"two have the name {twice.pop()}")
    return Places(kinds, groups)


def seen(project: Path, owners: Mapping[str, str]) -> Places:
    """Read the places off the generated files of a project that has no record.

    ``owners`` are kinds by the path of a user's file of theirs.
    """
    kinds: dict[str, Place] = {}
    groups: dict[str, str] = {}
    pattern = "internal/controller/*/zz_generated.reconciler.go"
    for path in sorted(project.glob(pattern)):
        package, source = path.parent.name, text(path)
        name, group = _GO_NAME.search(source), _FINALIZER.search(source)
        folder = _API_DIR.search(source)
        if not (name and group and folder and _PACKAGE.fullmatch(package)):
            continue
        own = f"internal/controller/{package}/{package}.go"
        kind = owners.get(own) or f"{name[1]}.{group[1]}"
        groups[group[1]] = folder[1]
        kinds[kind] = Place(
            package,
            _webhook(project, package, kind),
            _hub(project, folder[1], package),
        )
    return Places(kinds, groups)


def _webhook(project: Path, package: str, kind: str) -> str:
    path = project / f"internal/webhook/{package}/zz_generated.webhook.go"
    found = _VALIDATE.search(text(path))
    if not found:
        return ""
    name, _, group = kind.partition(".")
    before, after = f"{group.replace('.', '-')}-", f"-{name.lower()}"
    return found[1].removeprefix(before).removesuffix(after)


def _hub(project: Path, folder: str, package: str) -> str:
    pattern = f"api/{folder}/*/zz_generated.conversion.{package}.go"
    for path in sorted(project.glob(pattern)):
        if found := _HUB.search(text(path)):
            return found[1]
    return ""


def text(path: Path) -> str:
    """Return what is in a file, '' if it cannot be read."""
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _name(value: object) -> str:
    if not isinstance(value, str) or not _PACKAGE.fullmatch(value):
        raise ValueError(f"{value!r} names no package")
    return value


def _tables(value: Mapping[str, object]) -> dict[str, dict[str, object]]:
    tables = {}
    for name, table in value.items():
        if not isinstance(table, dict):
            raise TypeError(f"{name} is no table")
        tables[name] = table
    return tables
