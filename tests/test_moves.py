"""What --move OLD=NEW means, and what it cannot mean."""

from __future__ import annotations

import pytest

from scaffold import moves
from scaffold.errors import UsageError
from scaffold.places import Place, Places

PLACES = Places(
    {
        "Widget.a.com": Place("widget", "v1", "v1"),
        "Widget.b.com": Place("widgetb", "v1"),
        "Gadget.a.com": Place("gadget", "v1"),
    },
    {"a.com": "a", "b.com": "b"},
)
MODULE = "example.com/op"


def moved(old: str, new: str) -> Places:
    found = moves.resolve({old: new}, PLACES, MODULE, MODULE)
    return found.moved(PLACES)


def test_a_group_moves_with_its_kinds_and_its_folder() -> None:
    after = moved("a.com", "c.com")
    assert after.packages == {
        "Widget.c.com": "widget",
        "Widget.b.com": "widgetb",
        "Gadget.c.com": "gadget",
    }
    assert after.groups == {"c.com": "a", "b.com": "b"}
    # The hub stays what it was; the paths of webhooks name the group, and are new.
    assert after.kinds["Widget.c.com"] == Place("widget", "", "v1")


def test_a_kind_that_leaves_its_group_leaves_the_folder_to_the_others() -> None:
    after = moved("Gadget", "Gadget.c.com")
    assert after.packages["Gadget.c.com"] == "gadget"
    assert after.groups == PLACES.groups


def test_a_kind_without_a_group_stays_in_its_own() -> None:
    assert "Tool.a.com" in moved("Gadget", "Tool").kinds


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Widget", "Widget.c.com", r"could mean Widget\.a\.com or Widget\.b\.com"),
        ("Tool", "Tool.c.com", "there is no kind or group Tool"),
        ("example.com/x", "example.com/y", "module does not change"),
        ("Gadget", "Widget.b.com", "has a place of its own already"),
    ],
)
def test_what_cannot_be_meant(old: str, new: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        moved(old, new)


@pytest.mark.parametrize("flag", ["Widget", "=Widget", "Widget="])
def test_flags_that_say_nothing(flag: str) -> None:
    with pytest.raises(UsageError, match="does not say what moves where"):
        moves.parse([flag])


def test_the_old_kind_must_be_gone_and_the_new_one_there() -> None:
    found = moves.resolve({"b.com": "c.com"}, PLACES, MODULE, MODULE)
    found.check({"Widget.c.com"})
    with pytest.raises(UsageError, match=r"Widget\.b\.com is still defined"):
        found.check({"Widget.b.com", "Widget.c.com"})
    with pytest.raises(UsageError, match=r"has no kind Widget\.c\.com"):
        found.check(set())
