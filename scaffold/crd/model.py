"""The facts about kinds that templates print or decide on. Frozen; computed once."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from scaffold.crd import names, sample, yamltext
from scaffold.crd.document import Document


@dataclass(frozen=True, slots=True)
class Column:
    """A printer column; ``path`` is the JSON path below the object."""

    name: str
    type: str
    path: str
    description: str
    format: str
    priority: int


@dataclass(frozen=True, slots=True)
class Scale:
    """The scale subresource: JSON paths below the object, selector may be ''."""

    spec_path: str
    status_path: str
    selector_path: str


@dataclass(frozen=True, slots=True)
class Conversion:
    """How versions are converted: strategy ``None`` or ``Webhook``."""

    strategy: str
    review_versions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Similar:
    """A struct that holds what a type of Kubernetes does.

    ``name`` is the struct, ``go`` the type (``corev1.Affinity``), ``package``
    what its package is called in method names: Core, Meta, Apps and so on.
    """

    name: str
    go: str
    package: str


@dataclass(frozen=True, slots=True)
class Code:
    """The Go of one kind in one version, ready to be printed.

    ``imports`` are import specs; ``blocks`` are declarations, the kind first.
    ``json_helpers`` says that this file declares what open structs of its
    package call. ``deepcopy`` is the deepcopy file of the whole package, the
    same for all kinds in it. ``similar`` are the types that can be turned into
    a type of Kubernetes and back.
    """

    imports: tuple[str, ...]
    blocks: tuple[str, ...]
    json_helpers: bool
    deepcopy: str
    known_types: tuple[tuple[str, int], ...]
    similar: tuple[Similar, ...]


@dataclass(frozen=True, slots=True)
class Spoke:
    """The conversion code of a version that is not the storage version.

    ``functions`` are Go functions, ``imports`` what they need besides the hub's
    package. ``lost`` are JSON paths that only an annotation carries through the
    other version. ``helpers`` is None unless this file declares what the package's
    conversions share; it names the functions that not every package needs.
    """

    imports: tuple[str, ...]
    functions: tuple[str, ...]
    lost: tuple[str, ...]
    helpers: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class OwnConditions:
    """How Go reads and writes conditions of a type of the CRD's own.

    ``field`` is the field of the status, ``item`` the type. ``read`` are the fields
    of a metav1.Condition with what they are in terms of ``c``, an item; ``write``
    those of an item in terms of ``c``, a metav1.Condition, and of the time ``now``
    if ``stamps`` says so. ``types`` are the types that the CRD allows as Go strings,
    none if it allows any.
    """

    field: str
    item: str
    read: tuple[tuple[str, str], ...]
    write: tuple[tuple[str, str], ...]
    stamps: bool
    types: tuple[str, ...]

    def written(self, alias: str) -> tuple[tuple[str, str], ...]:
        """Return ``write`` where the API's package has a name."""
        return tuple((name, text.format(api=alias)) for name, text in self.write)


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a kind.

    ``package`` is the identifier of its Go package. ``conditions`` says that
    ``status.conditions`` is a ``[]metav1.Condition``, ``own_conditions`` that it is
    of another type which can hold the same; where it is neither ``no_ready`` says
    why there can be no condition Ready. ``observed_generation``
    is the Go type of ``status.observedGeneration``, '' if there is none.
    A kind of several versions has a hub, as a rule its storage version, and spokes.
    ``status_struct`` is the struct of the status, '' if that is none, and
    ``status_pointer`` says that the field is nil when the object has no status.
    ``lists`` are the entries of what the CRD says of the lists in the status.
    """

    name: str
    package: str
    served: bool
    is_storage: bool
    deprecated: bool
    deprecation_warning: str
    has_status: bool
    status_subresource: bool
    scale: Scale | None
    columns: tuple[Column, ...]
    selectable_fields: tuple[str, ...]
    conditions: bool
    own_conditions: OwnConditions | None
    no_ready: str
    observed_generation: str
    status_struct: str
    status_pointer: bool
    lists: str
    code: Code = field(repr=False, compare=False)
    spoke: Spoke | None = field(repr=False, compare=False)
    is_hub: bool
    schema: dict[str, Any] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind in all its versions, in the order of the CRD.

    ``name`` is the Go type, ``kind`` the CRD's spelling (they differ where Go
    cannot have it). ``package`` is the Go package of its controller and
    ``group_dir`` the folder of its group; both are unique in a project.
    ``document`` is the CRD as it is to be applied: without status and without
    what the API server adds. ``residual`` is the JSON patch that turns what
    controller-gen makes of the emitted types into that document, ``exact`` says
    that it changes nothing an API server would notice. ``origin`` is where the
    CRD was read.
    """

    group: str
    name: str
    kind: str
    plural: str
    singular: str
    list_kind: str
    namespaced: bool
    short_names: tuple[str, ...]
    categories: tuple[str, ...]
    crd_name: str
    package: str
    group_dir: str
    conversion: Conversion
    versions: tuple[Version, ...]
    exact: bool
    residual: tuple[dict[str, Any], ...] = field(repr=False)
    document: dict[str, Any] = field(repr=False, compare=False)
    origin: Document = field(repr=False, compare=False)

    @property
    def source(self) -> tuple[str, int]:
        """The file the CRD was read from, and the line it begins on."""
        return self.origin.name, self.origin.line + self.origin.first

    @property
    def storage(self) -> Version:
        """The version that the operator works in: the stored one, if it is served.

        Else it is the most stable one that is; the stored one again if the API
        server serves none.
        """
        stored = next(version for version in self.versions if version.is_storage)
        return stored if stored.served else self.sampled or stored

    @property
    def hub(self) -> Version:
        """The version that others are converted to; of one version, that one."""
        return next((one for one in self.versions if one.is_hub), self.storage)

    @property
    def converts(self) -> bool:
        """Whether an object in one version is not simply one in another."""
        if len(self.versions) == 1:
            return False
        first, *others = (_undescribed(version.schema) for version in self.versions)
        return self.conversion.strategy == "Webhook" or any(
            other != first for other in others
        )

    @property
    def served(self) -> tuple[Version, ...]:
        """The versions that the API server serves."""
        return tuple(version for version in self.versions if version.served)

    @property
    def sampled(self) -> Version | None:
        """The version samples are applied in: the stored one, if it is served.

        Else it is the most stable one that is; None if the API server serves none.
        """
        return max(
            self.served,
            key=lambda one: (one.is_storage, names.stability(one.name)),
            default=None,
        )

    @property
    def file(self) -> str:
        """The kind as it stands in file names."""
        return self.package

    @property
    def registers_as_named(self) -> bool:
        """Whether Go's names are the API's, so that a scheme can guess them."""
        return self.name == self.kind and self.list_kind == f"{self.kind}List"

    def sample(self, version: Version) -> str:
        """Return a sample object in a version as YAML text."""
        made, remarks = sample.sample(
            f"{self.group}/{version.name}",
            self.kind,
            f"{self.package}-sample",
            self.namespaced,
            version.schema,
        )
        return sample.text(made, remarks)

    @property
    def yaml(self) -> str:
        """The CRD as YAML text."""
        return yamltext.dump(self.document)

    @property
    def residual_json(self) -> str:
        """The residual patch as JSON text."""
        return json.dumps(self.residual, indent=2, sort_keys=True) + "\n"


def _undescribed(schema: Any) -> Any:
    """Return a schema without what only people read."""
    if isinstance(schema, dict):
        return {
            key: _undescribed(value)
            for key, value in schema.items()
            if not (key == "description" and isinstance(value, str))
        }
    if isinstance(schema, list):
        return [_undescribed(item) for item in schema]
    return schema
