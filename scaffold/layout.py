"""The operator as templates see it: kinds placed in the packages of a Go module."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from scaffold import openapi
from scaffold.crd import gotypes
from scaffold.crd.model import Kind, Similar, Version
from scaffold.places import Places
from scaffold.watches import Resource

WEBHOOKS = "webhooks"
"""The option that every kind has admission webhooks."""
HTTP_API = "http_api"
"""The option that the operator has an HTTP API."""
TENANCY = "tenancy"
"""The option that namespaces are tenants."""


@dataclass(frozen=True, slots=True)
class Member:
    """One version of one kind."""

    kind: Kind
    version: Version

    @property
    def in_use(self) -> bool:
        """Whether it is the version that the operator works in."""
        return self.version is self.kind.storage


@dataclass(frozen=True, slots=True)
class Api:
    """One Go package of API types: a group in one version.

    ``dir`` is relative to the module root; ``alias`` is the import alias used
    throughout emitted code.
    """

    group: str
    name: str
    package: str
    dir: str
    alias: str
    import_path: str
    members: tuple[Member, ...]

    @property
    def similar(self) -> tuple[Similar, ...]:
        """The types of the package that types of Kubernetes are similar to."""
        return tuple(
            one for member in self.members for one in member.version.code.similar
        )

    @property
    def similar_imports(self) -> tuple[str, ...]:
        """The import specs that the names of those types need."""
        return gotypes.specs({one.go.partition(".")[0] for one in self.similar})


@dataclass(frozen=True, slots=True)
class Group:
    """An API group with its packages, oldest first as the CRDs list them."""

    name: str
    dir: str
    apis: tuple[Api, ...]


@dataclass(frozen=True, slots=True)
class Project:
    """Everything a template may print about the operator as a whole."""

    name: str
    module: str
    options: frozenset[str]
    kinds: tuple[Kind, ...]
    groups: tuple[Group, ...]
    _apis: dict[tuple[str, str], Api] = field(repr=False, compare=False)
    _watches: Mapping[tuple[str, str], tuple[Resource, ...]]
    _places: Places

    def api(self, kind: Kind, version: Version) -> Api:
        """Return the package that holds ``kind`` in ``version``."""
        return self._apis[kind.group, version.name]

    def watches(self, kind: Kind) -> tuple[Resource, ...]:
        """Return the resources of others whose changes wake ``kind``."""
        return self._watches.get((kind.group, kind.kind), ())

    @property
    def watched(self) -> list[tuple[str, str]]:
        """Every group and resource that some kind watches."""
        found = (item for items in self._watches.values() for item in items)
        return sorted({(item.group, item.resource) for item in found})

    @property
    def apis(self) -> tuple[Api, ...]:
        """Every API package, by group and then version."""
        return tuple(api for group in self.groups for api in group.apis)

    @property
    def admits(self) -> bool:
        """Whether there are admission webhooks."""
        return WEBHOOKS in self.options and bool(self.kinds)

    @property
    def http_api(self) -> bool:
        """Whether there is an HTTP API."""
        return HTTP_API in self.options

    @property
    def tenancy(self) -> bool:
        """Whether namespaces are tenants."""
        return TENANCY in self.options

    @property
    def tenancy_group(self) -> str:
        """The API group of the tenants' quotas, of this operator alone."""
        return f"tenancy.{self.name}.ctxscaffold.dev"

    @property
    def openapi(self) -> str:
        """The OpenAPI description of the HTTP API, in JSON."""
        return openapi.text(self.name, self.kinds)

    def http_fields(self, kind: Kind) -> tuple[str, ...]:
        """Return the fields of ``kind`` that callers of the HTTP API may set."""
        return openapi.fields(kind)

    @property
    def converting(self) -> tuple[Kind, ...]:
        """The kinds whose versions are converted by the operator."""
        return tuple(kind for kind in self.kinds if kind.converts)

    @property
    def unconverted(self) -> tuple[Kind, ...]:
        """The kinds whose CRDs name a conversion webhook that nobody needs.

        It is that of another operator, from which the CRD was exported.
        """
        return tuple(
            kind
            for kind in self.kinds
            if kind.conversion.strategy == "Webhook" and not kind.converts
        )

    @property
    def has_webhooks(self) -> bool:
        """Whether the API server may ask this operator anything."""
        return self.admits or bool(self.converting)

    @property
    def webhook_sorts(self) -> str:
        """The sorts of webhooks there are, for people."""
        sorts = {
            "the conversions between versions": bool(self.converting),
            "the admission rules of every kind": self.admits,
        }
        return " and ".join(sort for sort, there in sorts.items() if there)

    def default_path(self, kind: Kind) -> str:
        """Return where the defaulting webhook of ``kind`` is served."""
        return self._webhook_path("mutate", kind)

    def validate_path(self, kind: Kind) -> str:
        """Return where the validating webhook of ``kind`` is served."""
        return self._webhook_path("validate", kind)

    def _webhook_path(self, verb: str, kind: Kind) -> str:
        """Return a path as controller-runtime's webhook builder first chose it.

        It stays when another version is stored.
        """
        group, version = kind.group.replace(".", "-"), self._places.webhook(kind)
        return f"/{verb}-{group}-{version}-{kind.kind.lower()}"


def place(
    name: str,
    module: str,
    options: Iterable[str],
    kinds: tuple[Kind, ...],
    watches: Mapping[tuple[str, str], tuple[Resource, ...]] | None = None,
    places: Places | None = None,
) -> Project:
    """Lay ``kinds`` out in ``module``, groups and kinds in the order of their names.

    ``watches`` holds the resources of others by group and kind, ``places`` what
    was decided about kinds before.
    """
    kinds = tuple(sorted(kinds, key=lambda kind: (kind.group, kind.kind)))
    groups: list[Group] = []
    apis: dict[tuple[str, str], Api] = {}
    for group_name in dict.fromkeys(kind.group for kind in kinds):
        inside = [kind for kind in kinds if kind.group == group_name]
        versions = dict.fromkeys(
            (version.name, version.package)
            for kind in inside
            for version in kind.versions
        )
        group_dir = inside[0].group_dir
        for version_name, package in sorted(versions):
            folder = f"api/{group_dir}/{package}"
            apis[group_name, version_name] = Api(
                group=group_name,
                name=version_name,
                package=package,
                dir=folder,
                alias=_alias(group_dir) + package,
                import_path=f"{module}/{folder}",
                members=tuple(
                    Member(kind, version)
                    for kind in inside
                    for version in kind.versions
                    if version.name == version_name
                ),
            )
        groups.append(
            Group(
                name=group_name,
                dir=group_dir,
                apis=tuple(apis[group_name, item] for item, _ in sorted(versions)),
            )
        )
    return Project(
        name,
        module,
        frozenset(options),
        kinds,
        tuple(groups),
        apis,
        watches or {},
        places or Places(),
    )


def _alias(group_dir: str) -> str:
    return "".join(char for char in group_dir if char.isalnum())
