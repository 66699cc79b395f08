"""What the runtime is told of the lists in a status."""

from __future__ import annotations

from typing import Any

from scaffold.crd import merging
from tests.crd.test_conditions import crd, stored

STRING = {"type": "string"}


def keyed(*keys: str, **properties: Any) -> dict[str, Any]:
    """Return the schema of a list with such keys."""
    return {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": list(keys),
        "items": {
            "type": "object",
            "required": [
                key for key in keys if "default" not in properties.get(key, {})
            ],
            "properties": {**dict.fromkeys(keys, STRING), **properties},
        },
    }


def said(**properties: Any) -> list[str]:
    """Return the lines of what is said of a status with such properties."""
    return merging.lists({"type": "object", "properties": properties}).splitlines()


def test_keys_and_their_defaults() -> None:
    """Composite keys are all there, and what an element may leave out."""
    protocol = {"type": "string", "default": "TCP"}
    port = {"type": "integer", "format": "int32"}
    assert said(
        ports=keyed("port", "protocol", port=port, protocol=protocol),
        backends=keyed("namespace", "name"),
    ) == [
        '"backends": {Keys: []string{"namespace", "name"}},',
        '"ports": {Keys: []string{"port", "protocol"}, '
        'Defaults: map[string]string{"protocol": "\\"TCP\\""}},',
    ]


def test_only_what_the_crd_says() -> None:
    """Sets and lists without a type need no entry; atomic ones do."""
    scalars = {"type": "array", "items": STRING}
    assert said(
        plain=scalars,
        tags={**scalars, "x-kubernetes-list-type": "set"},
        whole={**scalars, "x-kubernetes-list-type": "atomic"},
    ) == ['"whole": {Atomic: true},']


def test_lists_in_elements_objects_and_maps() -> None:
    """What is said of a list is found below whatever it is in."""
    disks = keyed("id")
    assert said(
        nodes=keyed("name", disks=disks),
        place={"type": "object", "properties": {"disks": disks}},
        zones={"type": "object", "additionalProperties": disks},
    ) == [
        '"nodes": {Keys: []string{"name"}, Within: reconciler.Lists{',
        '"disks": {Keys: []string{"id"}},',
        "}},",
        '"place": {Within: reconciler.Lists{',
        '"disks": {Keys: []string{"id"}},',
        "}},",
        '"zones": {Within: reconciler.Lists{',
        '"*": {Keys: []string{"id"}},',
        "}},",
    ]


def test_the_stored_version_says_it() -> None:
    """A version has what its own schema says, and nothing where it says nothing."""
    status = {"type": "object", "properties": {"parts": keyed("name")}}
    assert stored(crd(status)).lists == '"parts": {Keys: []string{"name"}},'
    assert stored(crd({"type": "object"})).lists == ""
