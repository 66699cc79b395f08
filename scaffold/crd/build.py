"""From checked CRDs to the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from scaffold.crd import conditions, conversion, merging, names, package, residual
from scaffold.crd.document import Document
from scaffold.crd.model import (
    Code,
    Column,
    Conversion,
    Kind,
    OwnConditions,
    Scale,
    Similar,
    Spoke,
    Version,
)
from scaffold.crd.package import Member
from scaffold.errors import InputError, ScaffoldError, raise_all
from scaffold.places import Places


def kinds(
    crds: Sequence[tuple[Document, dict[str, Any]]], known_types: bool, places: Places
) -> tuple[Kind, ...]:
    """Return the kinds of checked and cleaned CRDs, in their order.

    They keep the ``places`` they have.
    """
    keys = [(crd["spec"]["names"]["kind"], crd["spec"]["group"]) for _, crd in crds]
    groups = sorted({group for _, group in keys})
    dirs = dict(zip(groups, names.group_dirs(groups, places.groups), strict=True))
    packages = names.package_names(keys, places.packages)
    go_names = _go_names(crds)
    codes = _codes(crds, packages, go_names, known_types)
    spokes = _spokes(crds, packages, codes, places)
    return tuple(
        _kind(source, crd, package, dirs[crd["spec"]["group"]], go_name, code, spoke)
        for (source, crd), package, go_name, code, spoke in zip(
            crds, packages, go_names, codes, spokes, strict=True
        )
    )


def _go_names(crds: Sequence[tuple[Document, dict[str, Any]]]) -> list[str]:
    """Return the Go type name of each kind, distinct within a group."""
    errors: list[ScaffoldError] = []
    seen: dict[tuple[str, str], str] = {}
    chosen = []
    kinds = {(crd["spec"]["group"], crd["spec"]["names"]["kind"]) for _, crd in crds}
    for source, crd in crds:
        kind, group = crd["spec"]["names"]["kind"], crd["spec"]["group"]
        name = names.kind_identifier(kind)
        if (group, kind.removesuffix("List")) in kinds - {(group, kind)}:
            name += "Kind"  # where the list of another kind has the name
        other = seen.setdefault((group, name), kind)
        if other != kind:
            errors.append(
                InputError(
                    f"kinds {other} and {kind} of group {group} are both {name} in Go",
                    where=source.where("spec", "names", "kind"),
                    fix="put one of them into another project",
                )
            )
        chosen.append(name)
    raise_all(errors)
    return chosen


def _codes(
    crds: Sequence[tuple[Document, dict[str, Any]]],
    packages: Sequence[str],
    go_names: Sequence[str],
    known_types: bool,
) -> list[dict[str, tuple[Member, Code]]]:
    """Return the code of each kind by version name; packages are written whole."""
    codes: list[dict[str, tuple[Member, Code]]] = [{} for _ in crds]
    shared: dict[tuple[str, str], list[int]] = {}
    reserved: dict[str, set[str]] = {}
    # Members in the order of their files, which is the order of their packages.
    for index in sorted(range(len(crds)), key=lambda index: packages[index]):
        spec = crds[index][1]["spec"]
        reserved.setdefault(spec["group"], set()).update(
            (go_names[index], f"{go_names[index]}List")
        )
        for version in spec["versions"]:
            shared.setdefault((spec["group"], version["name"]), []).append(index)
    for (group, version_name), indices in shared.items():
        members = [
            Member(go_names[index], crds[index][1], version_name, known_types)
            for index in indices
        ]
        package.write(members, reserved[group])
        deepcopy = package.copies(names.version_package(version_name), members)
        first_open = next((m for m in members if m.is_open), None)
        for index, member in zip(indices, members, strict=True):
            code = Code(
                imports=tuple(member.imports),
                blocks=tuple(member.blocks),
                json_helpers=member is first_open,
                deepcopy=deepcopy,
                known_types=tuple(sorted(member.known_types.items())),
                similar=tuple(
                    Similar(name, str(go), names.api_package(go.path))
                    for name, go in sorted(member.similar.items())
                ),
            )
            codes[index][version_name] = member, code
    return codes


def _spokes(
    crds: Sequence[tuple[Document, dict[str, Any]]],
    packages: Sequence[str],
    codes: Sequence[dict[str, tuple[Member, Code]]],
    places: Places,
) -> list[dict[str, Spoke]]:
    """Return each kind's conversions by version name, none for single versions."""
    spokes: list[dict[str, Spoke]] = [{} for _ in crds]
    hubs = _hubs([crd["spec"] for _, crd in crds], places)
    # Where the first spoke of each package is, and the functions of all of them.
    first: dict[tuple[str, str], int] = {}
    shared: dict[tuple[str, str], list[str]] = {}
    for index in sorted(range(len(crds)), key=lambda index: packages[index]):
        spec = crds[index][1]["spec"]
        hub = hubs[index]
        for version in spec["versions"]:
            if version["name"] == hub:
                continue
            member, _ = codes[index][version["name"]]
            made = conversion.spoke(member.root, codes[index][hub][0].root)
            where = (spec["group"], version["name"])
            first.setdefault(where, index)
            shared.setdefault(where, []).extend(made.functions)
            spokes[index][version["name"]] = Spoke(
                imports=tuple(conversion.imports(made.functions)),
                functions=tuple(made.functions),
                lost=tuple(made.lost),
                helpers=None,
            )
    for where, index in first.items():
        name = where[1]
        spokes[index][name] = replace(
            spokes[index][name], helpers=conversion.helpers(shared[where])
        )
    return spokes


def _hubs(specs: Sequence[dict[str, Any]], places: Places) -> list[str]:
    """Return the version of each kind that its others are converted to.

    It is the one that ``places`` has, as long as the CRD does, else the stored
    one: a hub that followed the storage would leave every conversion behind that
    was written for the former one. Where the packages of a group would then import
    each other in a circle, which Go forbids, the choices give way, the new ones
    first: to the most stable version.
    """
    kept: dict[int, str] = {}
    stored: dict[int, str] = {}
    for index, spec in enumerate(specs):
        versions = {str(one["name"]): one for one in spec["versions"]}
        hub = places.hub(f"{spec['names']['kind']}.{spec['group']}")
        if hub in versions:
            kept[index] = hub
        else:
            stored[index] = next(
                name for name, one in versions.items() if one.get("storage")
            )
    hubs: dict[int, str] = {}
    for group in {spec["group"] for spec in specs}:
        inside = [index for index, spec in enumerate(specs) if spec["group"] == group]
        own = {index: kept[index] for index in inside if index in kept}
        stable = {
            index: max(
                (str(one["name"]) for one in specs[index]["versions"]),
                key=names.stability,
            )
            for index in inside
        }
        candidates = (
            {index: kept.get(index) or stored[index] for index in inside},
            stable | own,
            stable,
        )
        hubs |= next(
            one for one in candidates if one is stable or not _is_circular(specs, one)
        )
    return [hubs[index] for index in range(len(specs))]


def _is_circular(specs: Sequence[dict[str, Any]], hubs: dict[int, str]) -> bool:
    """Report whether packages of versions would import each other in a circle."""
    edges: dict[str, set[str]] = {}
    for index, hub in hubs.items():
        for one in specs[index]["versions"]:
            edges.setdefault(one["name"], set()).update({hub} - {one["name"]})
    return _has_cycle(edges)


def _has_cycle(edges: dict[str, set[str]]) -> bool:
    remaining = {node: set(targets) for node, targets in edges.items()}
    while free := [node for node, targets in remaining.items() if not targets]:
        for node in free:
            del remaining[node]
        for targets in remaining.values():
            targets.difference_update(free)
    return bool(remaining)


def _kind(
    source: Document,
    crd: dict[str, Any],
    package_name: str,
    group_dir: str,
    go_name: str,
    code: dict[str, tuple[Member, Code]],
    spokes: dict[str, Spoke],
) -> Kind:
    spec = crd["spec"]
    called = spec["names"]
    kind = called["kind"]
    made = residual.regenerated(
        crd,
        go_name,
        [(version, code[version["name"]][0].schema) for version in spec["versions"]],
    )
    return Kind(
        group=spec["group"],
        name=go_name,
        kind=kind,
        plural=called["plural"],
        singular=called.get("singular") or kind.lower(),
        list_kind=called.get("listKind") or f"{kind}List",
        namespaced=spec["scope"] == "Namespaced",
        short_names=tuple(called.get("shortNames") or ()),
        categories=tuple(called.get("categories") or ()),
        crd_name=crd["metadata"]["name"],
        package=package_name,
        group_dir=group_dir,
        conversion=_conversion(spec.get("conversion") or {}),
        versions=tuple(
            _version(
                version,
                *code[version["name"]],
                spokes.get(version["name"]),
                bool(spokes and version["name"] not in spokes),
            )
            for version in spec["versions"]
        ),
        exact=residual.same(residual.normal(made), residual.normal(crd)),
        residual=residual.patch(made, crd),
        document=crd,
        origin=source,
    )


def _conversion(conversion: dict[str, Any]) -> Conversion:
    webhook = conversion.get("webhook") or {}
    return Conversion(
        strategy=conversion.get("strategy") or "None",
        review_versions=tuple(webhook.get("conversionReviewVersions") or ()),
    )


def _version(
    version: dict[str, Any],
    member: Member,
    code: Code,
    spoke: Spoke | None,
    is_hub: bool,
) -> Version:
    types = member.field_types()
    found = conditions.find(member.root)
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
        conditions=found is None,
        own_conditions=found if isinstance(found, OwnConditions) else None,
        no_ready=found if isinstance(found, str) else "",
        observed_generation=types.get("status.observedGeneration", ""),
        status_struct=types.get("status", "").removeprefix("*"),
        status_pointer=types.get("status", "").startswith("*"),
        lists=merging.lists(properties.get("status") or {}),
        code=code,
        spoke=spoke,
        is_hub=is_hub,
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
