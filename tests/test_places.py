"""What is decided once stays, and newcomers make room."""

from __future__ import annotations

from typing import Any

import pytest

from scaffold import places
from scaffold.crd import build, names
from scaffold.places import Place, Places


def test_newcomers_take_the_longer_name() -> None:
    kept = {"Widget.a.com": "widget", "Type.a.com": "type", "Gone.a.com": "gadget"}
    kinds = [("Widget", "b.com"), ("Widget", "a.com"), ("Type", "a.com")]
    kinds.append(("Gadget", "a.com"))
    # A kind keeps its name also where a later release reserves the word.
    assert names.package_names(kinds, kept) == ["widgetb", "widget", "type", "gadgeta"]
    kept = {"a.x.com": "a"}
    assert names.group_dirs(["a.x.com", "a.y.com"], kept) == ["a", "ay"]


def spec(kind: str, *versions: str) -> dict[str, Any]:
    """Return the spec of a CRD whose last version is the stored one."""
    listed = [{"name": one, "storage": one == versions[-1]} for one in versions]
    return {"group": "a.com", "names": {"kind": kind}, "versions": listed}


def hubs(specs: list[dict[str, Any]], **kept: str) -> list[str]:
    kinds = {f"{kind}.a.com": Place(kind, "v1", hub) for kind, hub in kept.items()}
    return build._hubs(specs, Places(kinds))


def test_a_hub_stays_as_long_as_its_version_is_there() -> None:
    both = spec("Widget", "v1", "v2")
    assert hubs([both]) == ["v2"]
    assert hubs([both], Widget="v1") == ["v1"]
    assert hubs([spec("Widget", "v2", "v3")], Widget="v1") == ["v3"]


def test_a_newcomers_hub_gives_way_to_one_that_is_kept() -> None:
    specs = [spec("Widget", "v2", "v1"), spec("Gadget", "v1", "v2")]
    assert hubs(specs) == ["v2", "v2"]  # a circle otherwise: the most stable one
    assert hubs(specs, Gadget="v2") == ["v2", "v2"]
    # Two that are kept and were no circle before: nobody can stay.
    assert hubs(specs, Widget="v1", Gadget="v2") == ["v2", "v2"]


@pytest.mark.parametrize(
    ("kinds", "groups"),
    [
        ({"Widget.a.com": {"package": "../x", "webhook": "v1"}}, {}),
        ({"Widget.a.com": {"webhook": "v1"}}, {}),
        ({"Widget.a.com": "widget"}, {}),
        ({}, {"a.com": "a", "b.com": "a"}),
    ],
)
def test_a_record_that_cannot_be_trusted(kinds: Any, groups: Any) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        places.load({"kinds": kinds, "groups": groups})
