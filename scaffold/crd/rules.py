"""What the API server demands of a CustomResourceDefinition around its schemas."""

from __future__ import annotations

import re
from typing import Any

from scaffold.crd import fields, structural
from scaffold.crd.document import Document
from scaffold.crd.kubeyaml import Path
from scaffold.errors import InputError, ScaffoldError

API_VERSION = "apiextensions.k8s.io/v1"
KIND = "CustomResourceDefinition"
_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(
    r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
)
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS = (
    "int32",
    "int64",
    "float",
    "double",
    "byte",
    "date",
    "date-time",
    "password",
)
_APPROVAL = "api-approved.kubernetes.io"


class Findings:
    """Collects what is wrong with one document; turns paths into lines at the end."""

    def __init__(self, document: Document) -> None:
        """Collect for one document; its lines are looked up at the end."""
        self._document = document
        self._found: list[tuple[Path, str, str]] = []

    def __call__(self, path: Path, what: str, fix: str) -> None:
        """Record one fault at a path of the document."""
        self._found.append((path, what, fix))

    def __bool__(self) -> bool:
        """Whether anything is wrong."""
        return bool(self._found)

    def errors(self) -> list[ScaffoldError]:
        """Return the faults as errors with ``file:line``, in order of line."""
        if not self._found:
            return []
        lines = self._document.lines({path for path, _, _ in self._found})
        ordered = sorted(self._found, key=lambda item: lines[item[0]])
        return [
            InputError(
                f"{dotted(path)}: {what}" if path else what,
                where=f"{self._document.name}:{lines[path]}",
                fix=fix,
            )
            for path, what, fix in ordered
        ]


def dotted(path: Path) -> str:
    """Return a path as field paths are written: ``spec.versions[0].name``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif re.fullmatch(r"[\w-]+", step):
            text += f".{step}" if text else step
        else:
            text += f"[{quoted(step)}]"
    return text


def quoted(text: str) -> str:
    """Return user text for a message: one line, printable, not too long."""
    shown = text if len(text) <= 80 else text[:77] + "..."
    return ascii(shown) if not shown.isprintable() else f"'{shown}'"


def check(crd: dict[str, Any], report: Findings) -> None:
    """Report everything the API server would reject about a CRD on create."""
    fields.check(crd, report)
    spec = crd.get("spec")
    metadata = crd.get("metadata")
    if not isinstance(metadata, dict):
        report(("metadata",), "missing", "add metadata.name")
        metadata = {}
    if not isinstance(spec, dict):
        report(("spec",), "missing", "add the spec of the CustomResourceDefinition")
        return
    group = _text(spec, ("spec", "group"), report)
    if group and (not _SUBDOMAIN.fullmatch(group) or len(group) > 253):
        report(
            ("spec", "group"),
            f"{quoted(group)} is no DNS subdomain",
            "write it like apps.example.com",
        )
    elif group and "." not in group:
        report(
            ("spec", "group"),
            f"{quoted(group)} has no dot",
            "use a domain, such as apps.example.com",
        )
    if spec.get("scope") not in ("Cluster", "Namespaced"):
        report(
            ("spec", "scope"),
            "must be Cluster or Namespaced",
            "set 'scope: Namespaced'",
        )
    if spec.get("preserveUnknownFields") not in (None, False):
        report(
            ("spec", "preserveUnknownFields"),
            "must be false",
            "remove it; use x-kubernetes-preserve-unknown-fields in the schema",
        )
    names = spec.get("names")
    if isinstance(names, dict):
        _names(names, report)
        _object_name(metadata.get("name"), names.get("plural"), group, report)
    else:
        report(("spec", "names"), "missing", "add names.plural and names.kind")
    _approval(group, metadata, report)
    versions = spec.get("versions")
    if (
        isinstance(versions, list)
        and versions
        and all(isinstance(v, dict) for v in versions)
    ):
        _versions(versions, report)
    else:
        report(
            ("spec", "versions"), "must list at least one version", "add '- name: v1'"
        )
    if spec.get("conversion") is not None:
        _conversion(spec["conversion"], report)


def _text(parent: dict[str, Any], path: Path, report: Findings) -> str:
    """Return a required string, or report it and return nothing."""
    value = parent.get(str(path[-1]))
    if isinstance(value, str) and value:
        return value
    report(
        path,
        "missing" if value in (None, "") else "must be a string",
        f"set {dotted(path)}",
    )
    return ""


def _list(parent: dict[str, Any], key: str) -> Any:
    """Return an optional list, which a caller checks, or an empty one."""
    value = parent.get(key)
    return [] if value is None else value


def _object(parent: dict[str, Any], path: Path, report: Findings) -> dict[str, Any]:
    """Return an optional object; report what is none, and return an empty one."""
    value = parent.get(str(path[-1]))
    if value is not None and not isinstance(value, dict):
        report(path, "must be an object", "write it as 'key: value' lines, or {}")
    return value if isinstance(value, dict) else {}


def _label(value: Any, path: Path, report: Findings) -> None:
    if not isinstance(value, str) or not _LABEL.fullmatch(value) or len(value) > 63:
        report(
            path,
            f"{quoted(str(value))} is no DNS label",
            "use lower-case letters, digits and '-', first a letter, at most 63",
        )


def _names(names: dict[str, Any], report: Findings) -> None:
    at = ("spec", "names")
    if plural := _text(names, (*at, "plural"), report):
        _label(plural, (*at, "plural"), report)
    if names.get("singular") not in (None, ""):
        _label(names["singular"], (*at, "singular"), report)
    kind = _text(names, (*at, "kind"), report)
    for key in ("kind", "listKind"):
        value = names.get(key)
        if value not in (None, ""):
            _label(
                value.lower() if isinstance(value, str) else value, (*at, key), report
            )
    if kind and names.get("listKind") == kind:
        report((*at, "listKind"), "kind and listKind are the same", f"write {kind}List")
    for key in ("shortNames", "categories"):
        values = _list(names, key)
        if not isinstance(values, list):
            report((*at, key), "must be a list", "write it as '- name' lines")
            continue
        for index, value in enumerate(values):
            _label(value, (*at, key, index), report)


def _object_name(name: Any, plural: Any, group: str, report: Findings) -> None:
    if not isinstance(name, str) or not name:
        report(
            ("metadata", "name"),
            "missing",
            "set it to spec.names.plural + '.' + spec.group",
        )
    elif isinstance(plural, str) and plural and group and name != f"{plural}.{group}":
        report(
            ("metadata", "name"),
            f"{quoted(name)} is not spec.names.plural + '.' + spec.group",
            f"name it {quoted(f'{plural}.{group}')}",
        )
    elif len(name) > 253:
        report(
            ("metadata", "name"),
            "longer than 253 characters",
            "shorten plural or group",
        )


def _approval(group: str, metadata: dict[str, Any], report: Findings) -> None:
    if not (
        group.endswith((".k8s.io", ".kubernetes.io"))
        or group in ("k8s.io", "kubernetes.io")
    ):
        return
    annotations = metadata.get("annotations")
    value = annotations.get(_APPROVAL) if isinstance(annotations, dict) else None
    approved = isinstance(value, str) and (
        value.startswith("unapproved") or re.match(r"https?://[^/\s]+", value)
    )
    if not approved:
        report(
            ("metadata",),
            f"the group {quoted(group)} is protected and the CRD is not approved",
            f"use a group of your own, or set the annotation {_APPROVAL}",
        )


def _versions(versions: list[dict[str, Any]], report: Findings) -> None:
    seen: set[str] = set()
    for index, version in enumerate(versions):
        at = ("spec", "versions", index)
        name = _text(version, (*at, "name"), report)
        if name:
            _label(name, (*at, "name"), report)
        if name in seen:
            report((*at, "name"), f"version {quoted(name)} twice", "remove one of them")
        seen.add(name)
        for key in ("served", "storage", "deprecated"):
            if not isinstance(version.get(key), bool | None):
                report((*at, key), "must be true or false", "write true or false")
        _deprecation(version, at, report)
        schema = version.get("schema")
        root = schema.get("openAPIV3Schema") if isinstance(schema, dict) else None
        subresources = _object(version, (*at, "subresources"), report)
        _object(subresources, (*at, "subresources", "status"), report)
        if root is None:
            report(
                (*at, "schema"),
                "no structural schema",
                "add schema.openAPIV3Schema with 'type: object'",
            )
        else:
            has_status = subresources.get("status") is not None
            structural.check(
                root, (*at, "schema", "openAPIV3Schema"), has_status, report
            )
        if subresources.get("scale") is not None:
            _scale(subresources["scale"], (*at, "subresources", "scale"), report)
        _columns(
            _list(version, "additionalPrinterColumns"),
            (*at, "additionalPrinterColumns"),
            report,
        )
        if isinstance(root, dict):
            _selectable(
                _list(version, "selectableFields"),
                root,
                (*at, "selectableFields"),
                report,
            )
    stored = sum(version.get("storage") is True for version in versions)
    if stored != 1:
        report(
            ("spec", "versions"),
            f"{stored or 'no'} version{'s' if stored > 1 else ''} with storage: true",
            "mark exactly one version 'storage: true'",
        )


def _deprecation(version: dict[str, Any], at: Path, report: Findings) -> None:
    warning = version.get("deprecationWarning")
    if warning is None:
        return
    at = (*at, "deprecationWarning")
    if not version.get("deprecated"):
        report(at, "only for deprecated versions", "add 'deprecated: true'")
    if (
        not isinstance(warning, str)
        or not warning
        or len(warning.encode()) > 256
        or not warning.isprintable()
    ):
        report(at, "must be 1 to 256 printable characters", "shorten it to one line")


def _scale(scale: Any, at: Path, report: Findings) -> None:
    if not isinstance(scale, dict):
        report(at, "must be an object", "add specReplicasPath and statusReplicasPath")
        return
    for key, roots in (
        ("specReplicasPath", (".spec.",)),
        ("statusReplicasPath", (".status.",)),
        ("labelSelectorPath", (".spec.", ".status.")),
    ):
        value = scale.get(key)
        if value in (None, "") and key == "labelSelectorPath":
            continue
        if not isinstance(value, str) or not value.startswith(roots):
            report(
                (*at, key),
                f"must be a path below {' or '.join(roots)}",
                f"write it like {roots[0]}replicas",
            )


def _columns(columns: Any, at: Path, report: Findings) -> None:
    if not isinstance(columns, list) or not all(
        isinstance(column, dict) for column in columns
    ):
        report(at, "must be a list of columns", "write '- name: …'")
        return
    for index, column in enumerate(columns):
        here = (*at, index)
        _text(column, (*here, "name"), report)
        if column.get("type") not in _COLUMN_TYPES:
            report(
                (*here, "type"),
                "unknown column type",
                f"use one of {', '.join(_COLUMN_TYPES)}",
            )
        if column.get("format") and column["format"] not in _COLUMN_FORMATS:
            report(
                (*here, "format"),
                "unknown column format",
                f"use one of {', '.join(_COLUMN_FORMATS)}",
            )
        path = _text(column, (*here, "jsonPath"), report)
        if path and not path.startswith("."):
            report(
                (*here, "jsonPath"), "must start with a dot", "write it like .spec.size"
            )
        if not isinstance(column.get("description", ""), str | None):
            report((*here, "description"), "must be a string", "quote it")
        priority = column.get("priority", 0)
        if not isinstance(priority, int | None) or isinstance(priority, bool):
            report((*here, "priority"), "must be an integer", "write 0 or 1")


def _selectable(fields: Any, root: dict[str, Any], at: Path, report: Findings) -> None:
    if not isinstance(fields, list) or not all(
        isinstance(field, dict) for field in fields
    ):
        report(at, "must be a list", "write '- jsonPath: .spec.…'")
        return
    if len({str(field.get("jsonPath")) for field in fields}) > 8:
        report(at, "more than 8 selectable fields", "keep 8 at most")
    seen: set[str] = set()
    for index, field in enumerate(fields):
        here = (*at, index, "jsonPath")
        path = _text(field, here, report)
        if not path:
            continue
        if path in seen:
            report(here, f"{quoted(path)} twice", "remove one")
        seen.add(path)
        node: Any = root
        for step in path.removeprefix(".").split("."):
            node = node.get("properties") if isinstance(node, dict) else None
            node = node.get(step) if isinstance(node, dict) else None
        if (
            not path.startswith(".")
            or path.startswith(".metadata")
            or not isinstance(node, dict)
            or node.get("type") not in ("string", "boolean", "integer")
        ):
            report(
                here,
                f"{quoted(path)} is no string, boolean or integer field",
                "name a scalar field outside metadata",
            )


def _conversion(conversion: Any, report: Findings) -> None:
    at = ("spec", "conversion")
    strategy = conversion.get("strategy") if isinstance(conversion, dict) else None
    if strategy not in ("None", "Webhook"):
        report((*at, "strategy"), "must be None or Webhook", "set 'strategy: None'")
        return
    webhook = conversion.get("webhook")
    if strategy == "None":
        if webhook is not None:
            report(
                (*at, "webhook"),
                "a webhook with strategy None",
                "set 'strategy: Webhook' or remove it",
            )
        return
    if not isinstance(webhook, dict):
        report(
            at,
            "strategy Webhook without a webhook",
            "add webhook.clientConfig and conversionReviewVersions",
        )
        return
    client = webhook.get("clientConfig")
    if not isinstance(client, dict) or (client.get("url") is None) == (
        client.get("service") is None
    ):
        report(
            (*at, "webhook", "clientConfig"),
            "needs exactly one of url and service",
            "add 'service:'",
        )
    reviews = webhook.get("conversionReviewVersions")
    if not isinstance(reviews, list) or not {"v1", "v1beta1"} & {
        str(v) for v in reviews
    }:
        report(
            (*at, "webhook", "conversionReviewVersions"),
            "must include v1 or v1beta1",
            "write ['v1']",
        )
