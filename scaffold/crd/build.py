"""From checked CRDs to the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scaffold.crd import names
from scaffold.crd.document import Document
from scaffold.crd.model import Column, Conversion, Kind, Scale, Version


def kinds(crds: Sequence[tuple[Document, dict[str, Any]]]) -> tuple[Kind, ...]:
    """Return the kinds of checked and cleaned CRDs, in their order."""
    keys = [(crd["spec"]["names"]["kind"], crd["spec"]["group"]) for _, crd in crds]
    groups = sorted({group for _, group in keys})
    dirs = dict(zip(groups, names.group_dirs(groups), strict=True))
    packages = names.package_names(keys)
    return tuple(
        _kind(source, crd, package, dirs[crd["spec"]["group"]])
        for (source, crd), package in zip(crds, packages, strict=True)
    )


def _kind(source: Document, crd: dict[str, Any], package: str, group_dir: str) -> Kind:
    spec = crd["spec"]
    called = spec["names"]
    kind = called["kind"]
    return Kind(
        group=spec["group"],
        name=names.kind_identifier(kind),
        kind=kind,
        plural=called["plural"],
        singular=called.get("singular") or kind.lower(),
        list_kind=called.get("listKind") or f"{kind}List",
        namespaced=spec["scope"] == "Namespaced",
        short_names=tuple(called.get("shortNames") or ()),
        categories=tuple(called.get("categories") or ()),
        crd_name=crd["metadata"]["name"],
        package=package,
        group_dir=group_dir,
        conversion=_conversion(spec.get("conversion") or {}),
        versions=tuple(_version(version) for version in spec["versions"]),
        document=crd,
        source=(source.name, source.line + source.first),
    )


def _conversion(conversion: dict[str, Any]) -> Conversion:
    webhook = conversion.get("webhook") or {}
    return Conversion(
        strategy=conversion.get("strategy") or "None",
        review_versions=tuple(webhook.get("conversionReviewVersions") or ()),
    )


def _version(version: dict[str, Any]) -> Version:
    schema = version["schema"]["openAPIV3Schema"]
    properties = schema.get("properties") or {}
    subresources = version.get("subresources") or {}
    return Version(
        name=version["name"],
        package=names.version_package(version["name"]),
        served=bool(version.get("served")),
        is_storage=bool(version.get("storage")),
        deprecated=bool(version.get("deprecated")),
        deprecation_warning=version.get("deprecationWarning") or "",
        has_status="status" in properties,
        status_subresource=subresources.get("status") is not None,
        scale=_scale(subresources.get("scale")),
        columns=tuple(map(_column, version.get("additionalPrinterColumns") or ())),
        selectable_fields=tuple(
            field["jsonPath"] for field in version.get("selectableFields") or ()
        ),
        conditions=False,
        observed_generation="",
        spec_type="",
        status_type="",
        schema=schema,
    )


def _scale(scale: dict[str, Any] | None) -> Scale | None:
    if not scale:
        return None
    return Scale(
        scale["specReplicasPath"],
        scale["statusReplicasPath"],
        scale.get("labelSelectorPath") or "",
    )


def _column(column: dict[str, Any]) -> Column:
    return Column(
        name=column["name"],
        type=column["type"],
        path=column["jsonPath"],
        description=column.get("description") or "",
        format=column.get("format") or "",
        priority=column.get("priority") or 0,
    )
