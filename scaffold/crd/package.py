"""From the kinds that share a Go package to its declarations."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from scaffold.crd import deepcopy, golang, gotypes, known, markers, names
from scaffold.crd.gotypes import METAV1, External
from scaffold.crd.lists import Array, Map
from scaffold.crd.markers import EMBEDDED, PRESERVE, Schema
from scaffold.crd.nodes import (
    AnyValue,
    Declaration,
    FreeObject,
    Known,
    Meta,
    Node,
    Place,
    StringEnum,
    scalar,
)
from scaffold.crd.shapes import Shapes
from scaffold.crd.structs import Root, Struct

# What zz_generated.groupversion.go and zz_generated.json.go declare.
_RESERVED = frozenset(
    {
        "AddToScheme",
        "GroupVersion",
        "SchemeBuilder",
    }
)


class Member:
    """One kind in the version of a package, and after :func:`write` its Go code.

    ``schema`` is what controller-gen will make of that code.
    """

    def __init__(
        self, name: str, crd: dict[str, Any], version_name: str, known_types: bool
    ) -> None:
        """Parse the version's schema; ``name`` is the kind's Go type."""
        self.name = name
        self.crd = crd
        self.version: dict[str, Any] = next(
            one for one in crd["spec"]["versions"] if one["name"] == version_name
        )
        self.root = parse_root(self.version["schema"]["openAPIV3Schema"], known_types)
        self.root.settle(Place.BARE)
        self.imports: list[str] = []
        self.blocks: list[str] = []
        self.types: list[gotypes.Struct | gotypes.Named] = []
        self.schema: Schema = {}
        self.known_types: Counter[str] = Counter()
        # Declared structs that a type of Kubernetes is similar to.
        self.similar: dict[str, External] = {}
        self.is_open = False

    def field_types(self) -> dict[str, str]:
        """Return the Go type of ``status`` and of its fields, if it is a struct."""
        types = {}
        for status in self.root.fields:
            if status.json == "status" and isinstance(status.node, Struct):
                types["status"] = str(status.kind)
                for one in status.node.fields:
                    types[f"status.{one.json}"] = str(one.kind)
        return types


def parse_root(schema: Schema, known_types: bool) -> Root:
    """Return the tree of nodes of a version's checked schema.

    With ``known_types`` the types of Kubernetes are recognised.
    """
    properties = schema.get("properties") or {}
    shapes = Shapes()
    parser = _Parser(shapes if known_types else None)
    root = Root(
        schema,
        {name: parser.node(child or {}, (name,)) for name, child in properties.items()},
    )
    if known_types:
        for one in root.fields:
            # Spec and status are the kind's own, whatever they look like.
            _mark_similar(one.node, (one.json,), shapes)
    return root


def _mark_similar(parent: Node, way: known.Way, shapes: Shapes) -> None:
    """Note the outermost structs in a node that types of Kubernetes are similar to.

    ``way`` are the fields that lead to the node.
    """
    for inside, node in _inside(parent, way):
        if isinstance(node, Struct):
            node.similar = known.similar(node.schema, inside, shapes)
            if node.similar:
                continue
        _mark_similar(node, inside, shapes)


def _inside(node: Node, way: known.Way) -> Iterator[tuple[known.Way, Node]]:
    """Yield the nodes right below one, each with the fields that lead to it."""
    if isinstance(node, Struct):
        for one in node.fields:
            yield (*way, one.json), one.node
    else:
        for _, child in node.children():
            yield way, child


class _Parser:
    """Classifies schemas as nodes."""

    def __init__(self, shapes: Shapes | None) -> None:
        # None where types of Kubernetes are not to be recognised.
        self._shapes = shapes

    def node(self, schema: Schema, way: known.Way) -> Node:
        """Return the tree of nodes of a schema below the root.

        ``way`` are the fields that lead to it.
        """
        if schema.get("type") == "array":
            return Array(schema, self.node(schema.get("items") or {}, way))
        if schema.get("type") != "object":
            node = scalar(schema)
            assert node, "a checked schema has a known type"
            return node
        if schema.get("properties"):
            return self._struct(schema, way)
        additional = schema.get("additionalProperties")
        if isinstance(additional, dict):
            return Map(schema, self.node(additional, way))
        if additional is True:
            return Map(schema, AnyValue({PRESERVE: True}))
        if schema.get(PRESERVE):
            return FreeObject(schema)
        return Struct(schema, {})

    def _struct(self, schema: Schema, way: known.Way) -> Node:
        # Spec and status are the kind's own, whatever they look like.
        if self._shapes and way not in (("spec",), ("status",)):
            found = known.recognise(schema, way, self._shapes)
            if found:
                return Known(schema, *found)
        properties = schema["properties"]
        children = {
            name: self.node(child or {}, (*way, name))
            for name, child in properties.items()
        }
        if schema.get(EMBEDDED) and "metadata" in children:
            children["metadata"] = Meta(properties["metadata"])
        return Struct(schema, children)


def write(members: Sequence[Member], reserved: Iterable[str]) -> None:
    """Fill in the code of a package's members.

    ``reserved`` are the kinds and list kinds of the whole group: controller-gen
    looks a kind up in every package of its group, so that a struct of that name
    anywhere would be taken for another version of it.
    """
    taken = {*_RESERVED, *reserved}
    for member in members:
        _name_types(member, taken)
    for member in members:
        _name_constants(member.root, taken)
    for member in members:
        _write(member)


def copies(package: str, members: Sequence[Member]) -> str:
    """Return the package's deepcopy file; members in the order of their files."""
    return deepcopy.source(package, (go for member in members for go in member.types))


def _name_types(member: Member, taken: set[str]) -> None:
    """Name the types below a kind, nearest to the root first.

    A name is the kind and the way to the node, without a repetition
    (``storage.storageClass`` is ``WidgetStorageClass``). Where two ways spell
    the same, the nearer one has it and the other carries a digest of its way.
    """
    member.root.name = member.name
    kind = member.crd["spec"]["names"]["kind"]
    queue: deque[tuple[Node, str, str, str]] = deque()
    queue.append((member.root, member.name, "", ""))
    while queue:
        parent, prefix, last, way = queue.popleft()
        for word, node in parent.children():
            short = _without_repetition(last, word)
            name = prefix + short
            json_way = _extend(way, parent, word)
            if node.declared:
                if name in taken:
                    name += names.digest(f"{member.name} {json_way}")
                taken.add(name)
                node.name = name
                node.path = f"{json_way} of {kind}"
                if isinstance(node, Struct) and node.similar:
                    member.similar[name] = node.similar
            queue.append((node, prefix + short, word, json_way))


def _without_repetition(last: str, word: str) -> str:
    rest = word.removeprefix(last)
    return rest if last and rest != word and rest[:1].isupper() else word


def _extend(way: str, parent: Node, word: str) -> str:
    """Return the JSON way to a child as it is read in comments."""
    if isinstance(parent, Array):
        return f"{way}[]"
    if isinstance(parent, Map):
        return f"{way}{{}}"
    assert isinstance(parent, Struct)
    json_name = next(one.json for one in parent.fields if one.go == word)
    return f"{way}.{json_name}" if way else json_name


def _name_constants(node: Node, taken: set[str]) -> None:
    for _, child in node.children():
        if isinstance(child, StringEnum):
            values = child.schema["enum"]
            child.constants = names.constants(child.name, values, taken)
        _name_constants(child, taken)


def _write(member: Member) -> None:
    declarations: list[Declaration] = []
    usage = member.root.emit(declarations)
    member.schema = usage.schema
    first, *rest = declarations
    first.markers = _kind_markers(member) + first.markers
    ordered = [first, _list(first.go), *rest]
    member.types = [declaration.go for declaration in ordered]
    member.blocks = [_text(declaration) for declaration in ordered]
    member.is_open = any(
        isinstance(go, gotypes.Struct) and go.is_open for go in member.types
    )
    paths = {METAV1}
    for declaration in ordered:
        go = declaration.go
        fields = go.fields if isinstance(go, gotypes.Struct) else [("", go.underlying)]
        for _, kind in fields:
            paths |= gotypes.imports(kind)
            if go.name not in (first.go.name, f"{first.go.name}List"):
                member.known_types.update(gotypes.foreign(kind))
    member.imports = [_import_spec(path) for path in sorted(paths)]


def _import_spec(path: str) -> str:
    alias = gotypes.ALIASES[path]
    return f'"{path}"' if path.endswith(f"/{alias}") else f'{alias} "{path}"'


def _list(item: gotypes.Struct | gotypes.Named) -> Declaration:
    name = f"{item.name}List"
    go = gotypes.Struct(name, is_object=True)
    go.fields = [
        ("TypeMeta", gotypes.TYPE_META),
        ("ListMeta", gotypes.LIST_META),
        ("Items", gotypes.Slice(item)),
    ]
    body = [
        f"type {name} struct {{",
        '\tmetav1.TypeMeta `json:",inline"`',
        '\tmetav1.ListMeta `json:"metadata,omitzero"`',
        "",
        f'\tItems []{item.name} `json:"items"`',
        "}",
    ]
    return Declaration(
        go,
        [f"{name} is a list of {item.name}."],
        ["+kubebuilder:object:root=true"],
        body,
    )


def _text(declaration: Declaration) -> str:
    """Return a declaration as Go source.

    Markers stand apart from the doc comment, where gofmt leaves them alone. A
    doc comment it would change is put into a group, whose comments it does not
    touch.
    """
    found = [f"// {marker}" for marker in declaration.markers]
    doc = [f"// {line}".rstrip() for line in declaration.doc]
    if doc and not golang.gofmt_keeps(declaration.doc):
        first, *rest = declaration.body
        inner = [*doc, *found, first.removeprefix("type "), *rest]
        lines = ["type (", *(f"\t{line}" if line else "" for line in inner), ")"]
    else:
        lines = [*found, ""] if found else []
        lines += [*doc, *declaration.body]
    return "\n".join([*lines, *declaration.after])


def _kind_markers(member: Member) -> list[str]:
    """Return the markers that say what surrounds the schema in the CRD."""
    spec, version = member.crd["spec"], member.version
    called = spec["names"]
    found = ["+kubebuilder:object:root=true"]
    if version.get("storage") and len(spec["versions"]) > 1:
        found.append("+kubebuilder:storageversion")
    if not version.get("served") and any(v.get("served") for v in spec["versions"]):
        found.append("+kubebuilder:unservedversion")
    if version.get("deprecated"):
        warning = version.get("deprecationWarning")
        tail = f":warning={golang.string(warning)}" if warning else ""
        found.append(f"+kubebuilder:deprecatedversion{tail}")
    resource = [f"path={called['plural']}"]
    if called.get("singular") and called["singular"] != member.name.lower():
        resource.append(f"singular={called['singular']}")
    if called.get("shortNames"):
        resource.append(f"shortName={markers.strings(called['shortNames'])}")
    if called.get("categories"):
        resource.append(f"categories={markers.strings(called['categories'])}")
    resource.append(f"scope={spec['scope']}")
    found.append(f"+kubebuilder:resource:{','.join(resource)}")
    found += _subresource_markers(version.get("subresources") or {})
    for column in version.get("additionalPrinterColumns") or ():
        text = markers.arguments(
            {
                "name": column["name"],
                "type": column["type"],
                "JSONPath": column["jsonPath"],
                "description": column.get("description") or "",
                "format": column.get("format") or "",
            }
        )
        if column.get("priority"):
            text += f",priority={column['priority']}"
        found.append(f"+kubebuilder:printcolumn:{text}")
    for one in version.get("selectableFields") or ():
        path = golang.string(one["jsonPath"])
        found.append(f"+kubebuilder:selectablefield:JSONPath={path}")
    return found + _metadata_markers(member.crd["metadata"])


def _subresource_markers(subresources: dict[str, Any]) -> list[str]:
    found = []
    if subresources.get("status") is not None:
        found.append("+kubebuilder:subresource:status")
    if scale := subresources.get("scale"):
        text = markers.arguments(
            {
                "specpath": scale["specReplicasPath"],
                "statuspath": scale["statusReplicasPath"],
                "selectorpath": scale.get("labelSelectorPath") or "",
            }
        )
        found.append(f"+kubebuilder:subresource:scale:{text}")
    return found


def _metadata_markers(metadata: dict[str, Any]) -> list[str]:
    found = []
    for key in ("annotations", "labels"):
        values = metadata.get(key) or {}
        for name in sorted(values) if isinstance(values, dict) else ():
            if isinstance(values[name], str) and "=" not in name:
                text = golang.string(f"{name}={values[name]}")
                found.append(f"+kubebuilder:metadata:{key}={text}")
    return found
