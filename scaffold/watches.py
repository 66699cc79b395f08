"""The setting ``watches``: resources of others whose changes wake a kind.

It maps a kind, by its name or ``Name.group``, to API versions and resources::

    watches:
      Widget: [v1/configmaps, apps/v1/deployments]
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from scaffold.crd.model import Kind
from scaffold.errors import ProjectError, ScaffoldError, UsageError, raise_all

_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_RESOURCE = re.compile(
    rf"((?P<group>{_LABEL}(\.{_LABEL})*)/)?(?P<version>{_LABEL})/(?P<resource>{_LABEL})"
)
_FORM = "an API version and a plural, such as apps/v1/deployments or v1/configmaps"


@dataclass(frozen=True, slots=True, order=True)
class Resource:
    """A resource of the Kubernetes API; the core group is the empty string."""

    group: str
    version: str
    resource: str

    def __str__(self) -> str:
        parts = (self.group, self.version, self.resource)
        return "/".join(part for part in parts if part)


Watches = Mapping[str, tuple[Resource, ...]]


def from_flags(flags: Iterable[str]) -> Watches:
    """Read ``KIND=APIVERSION/RESOURCE`` of a command line. Raises :class:`UsageError`."""
    watches: dict[str, tuple[Resource, ...]] = {}
    for flag in flags:
        kind, sign, text = flag.partition("=")
        resource = _parse(text)
        if not kind or not sign or resource is None:
            raise UsageError(
                f"--watch {flag} names no resource",
                fix=f"give KIND=APIVERSION/RESOURCE: a kind of yours and {_FORM}",
            )
        watches = merged(watches, {kind: (resource,)})
    return watches


def from_answers(value: object, where: str) -> Watches:
    """Read the setting. Raises :class:`ProjectError` (or several)."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ProjectError(
            "watches is no table",
            where=where,
            fix="map each kind to a list of " + _FORM,
        )
    watches: dict[str, tuple[Resource, ...]] = {}
    errors: list[ScaffoldError] = []
    for kind, texts in value.items():
        found: list[Resource] = []
        for text in texts if isinstance(texts, list) else [texts]:
            if (resource := _parse(str(text))) is None:
                errors.append(
                    ProjectError(
                        f"watches of {kind}: {text!r} names no resource",
                        where=where,
                        fix="give " + _FORM,
                    )
                )
            else:
                found.append(resource)
        watches = merged(watches, {str(kind): tuple(found)})
    raise_all(errors)
    return watches


def to_answers(watches: Watches) -> dict[str, list[str]]:
    """Return the setting as it is written down."""
    return {kind: [str(one) for one in found] for kind, found in watches.items()}


def merged(some: Watches, more: Watches) -> dict[str, tuple[Resource, ...]]:
    """Return both; a resource that is named twice is watched once."""
    result = dict(some)
    for kind, found in more.items():
        result[kind] = tuple(dict.fromkeys((*result.get(kind, ()), *found)))
    return result


def resolve(
    watches: Watches, kinds: Iterable[Kind], where: str
) -> dict[tuple[str, str], tuple[Resource, ...]]:
    """Return the resources by group and kind. Raises :class:`ProjectError` (or several)."""
    kinds = tuple(kinds)
    resolved: dict[tuple[str, str], tuple[Resource, ...]] = {}
    errors: list[ScaffoldError] = []
    for name, resources in watches.items():
        meant = [k for k in kinds if name in (k.kind, f"{k.kind}.{k.group}")]
        if len(meant) == 1:
            key = meant[0].group, meant[0].kind
            resolved[key] = tuple(
                sorted(dict.fromkeys((*resolved.get(key, ()), *resources)))
            )
            continue
        full = ", ".join(f"{k.kind}.{k.group}" for k in meant or kinds)
        errors.append(
            ProjectError(
                (
                    f"watches: {name} could be each of {full}"
                    if meant
                    else f"watches: crds/ has no kind {name}"
                ),
                where=where,
                fix=f"name one of {full}" if full else "add its CRD, or take it out",
            )
        )
    raise_all(errors)
    return resolved


def _parse(text: str) -> Resource | None:
    match = _RESOURCE.fullmatch(text)
    if match is None:
        return None
    return Resource(match["group"] or "", match["version"], match["resource"])
