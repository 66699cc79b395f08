"""The features an operator is made of, one folder of ``templates/emit`` each.

A folder holds ``feature.toml`` and the templates it names::

    title = "Reconcilers"
    requires = ["api"]            # other features, rendered as well
    option = "webhooks"           # a project setting that turns it on; absent: always on
    runtime = ["reconciler"]      # packages of templates/runtime it stands on

    [[file]]
    template = "reconciler.go.jinja"
    each = "kind"                 # project | group | version | kind | kind_version
    when = "kind.namespaced"      # an attribute that must be true; absent: always
    path = "internal/controller/{kind.package}/zz_generated.reconciler.go"
    owner = "generated"           # generated | user
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any


class Owner(StrEnum):
    """Who may change a file after it was first written."""

    GENERATED = "generated"
    USER = "user"


class Each(StrEnum):
    """What a template is rendered once for."""

    PROJECT = "project"
    GROUP = "group"
    VERSION = "version"
    KIND = "kind"
    KIND_VERSION = "kind_version"


@dataclass(frozen=True, slots=True)
class FileRule:
    """One ``[[file]]`` of a feature."""

    template: str
    each: Each
    path: str
    owner: Owner
    when: str | None


@dataclass(frozen=True, slots=True)
class Feature:
    """One folder of ``templates/emit``."""

    name: str
    title: str
    requires: tuple[str, ...]
    option: str | None
    runtime: tuple[str, ...]
    files: tuple[FileRule, ...]


def load(folder: Path) -> tuple[Feature, ...]:
    """Read every ``feature.toml`` below ``folder``, sorted by feature name."""
    return tuple(
        _feature(path.parent.name, tomllib.loads(path.read_text("utf-8")))
        for path in sorted(folder.glob("*/feature.toml"))
    )


def active(features: tuple[Feature, ...], options: frozenset[str]) -> list[Feature]:
    """Return the features that ``options`` turn on, with all they require."""
    by_name = {feature.name: feature for feature in features}
    wanted: dict[str, Feature] = {}

    def add(feature: Feature) -> None:
        if feature.name not in wanted:
            wanted[feature.name] = feature
            for name in feature.requires:
                add(by_name[name])

    for feature in features:
        if feature.option is None or feature.option in options:
            add(feature)
    return [by_name[name] for name in sorted(wanted)]


def _feature(name: str, table: dict[str, Any]) -> Feature:
    return Feature(
        name=name,
        title=table["title"],
        requires=tuple(table.get("requires", ())),
        option=table.get("option"),
        runtime=tuple(table.get("runtime", ())),
        files=tuple(
            FileRule(
                template=f"{name}/{rule['template']}",
                each=Each(rule["each"]),
                path=rule["path"],
                owner=Owner(rule["owner"]),
                when=rule.get("when"),
            )
            for rule in table.get("file", ())
        ),
    )
