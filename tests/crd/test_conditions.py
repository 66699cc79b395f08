"""Which CRDs get the condition Ready, and what is said where one does not."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scaffold import cli, project
from scaffold.crd.document import parse
from scaffold.crd.model import Version
from scaffold.crd.read import read
from tests.crd.bad_input import GOOD

STRING = {"type": "string"}
TIME = {"type": "string", "format": "date-time"}
CONDITION = {
    "type": "object",
    "required": ["type", "status"],
    "properties": {
        "type": STRING,
        "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
        "reason": STRING,
        "message": STRING,
        "lastTransitionTime": TIME,
        "lastUpdateTime": TIME,
        "severity": STRING,
    },
}


def crd(status: dict[str, Any] | None) -> bytes:
    """Return a CRD with such a status."""
    made = copy.deepcopy(parse("good", GOOD.encode())[0].data)
    if status is not None:
        root = made["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        root["properties"]["status"] = status
    return json.dumps(made).encode()


def with_conditions(item: dict[str, Any], **more: Any) -> bytes:
    """Return a CRD whose status has a list of such conditions."""
    conditions = {"type": "array", "items": item, **more}
    return crd({"type": "object", "properties": {"conditions": conditions}})


def stored(raw: bytes) -> Version:
    """Return the stored version of a CRD's kind."""
    (kind,) = read([raw])
    return kind.storage


def changed(**properties: Any) -> dict[str, Any]:
    """Return the schema of a condition with other properties, None for none."""
    made: dict[str, Any] = copy.deepcopy(CONDITION)
    for name, schema in properties.items():
        if schema is None:
            del made["properties"][name]
        else:
            made["properties"][name] = schema
    return made


def test_a_type_of_the_crds_own_is_read_and_written() -> None:
    own = stored(with_conditions(CONDITION)).own_conditions
    assert own
    item = "WidgetStatusConditionsItem"
    assert (own.field, own.item, own.stamps, own.types) == (
        "Conditions",
        item,
        True,
        (),
    )
    assert dict(own.read) == {
        "Type": "c.Type",
        "Status": "metav1.ConditionStatus(c.Status)",
        "LastTransitionTime": "reconciler.Value(c.LastTransitionTime)",
        "Reason": "reconciler.Value(c.Reason)",
        "Message": "reconciler.Value(c.Message)",
    }
    assert dict(own.written("api")) == {
        "Type": "c.Type",
        "Status": f"api.{item}Status(c.Status)",
        "LastTransitionTime": "reconciler.Optional(c.LastTransitionTime)",
        "LastUpdateTime": "reconciler.Optional(now)",
        "Reason": "reconciler.Optional(c.Reason)",
        "Message": "reconciler.Optional(c.Message)",
    }


def test_what_is_stored_in_other_go_types_is_turned_into_them() -> None:
    item = changed(
        type={"type": "string", "enum": ["Ready", "Synced"]},
        status=STRING,
        observedGeneration={"type": "integer", "format": "int32"},
        lastTransitionTime=STRING,
        lastUpdateTime={**STRING, "nullable": True},
    )
    item["required"] = ["type", "observedGeneration", "lastTransitionTime"]
    own = stored(with_conditions(item)).own_conditions
    assert own and own.types == ('"Ready"', '"Synced"')
    read, written = dict(own.read), dict(own.written("api"))
    assert read["Status"] == "metav1.ConditionStatus(reconciler.Value(c.Status))"
    assert written["Status"] == "reconciler.Optional(string(c.Status))"
    assert read["Type"] == "string(c.Type)"
    assert written["Type"] == "api.WidgetStatusConditionsItemType(c.Type)"
    assert read["ObservedGeneration"] == "int64(c.ObservedGeneration)"
    assert written["ObservedGeneration"] == "int32(c.ObservedGeneration)"
    assert read["LastTransitionTime"] == "reconciler.ParseTime(c.LastTransitionTime)"
    assert written["LastTransitionTime"] == (
        "reconciler.FormatTime(c.LastTransitionTime)"
    )
    assert written["LastUpdateTime"] == (
        "reconciler.Optional(reconciler.FormatTime(now))"
    )


def test_what_cannot_be_said_in_an_optional_field_is_left_out() -> None:
    item = changed(
        reason={"type": "string", "enum": ["Fine"]},
        message={"type": "string", "maxLength": 20},
        lastTransitionTime={"type": "string", "format": "date"},
    )
    own = stored(with_conditions(item)).own_conditions
    assert own
    assert dict(own.read).keys() == {"Type", "Status"}


LIST = "status.conditions"
WITHOUT: dict[str, tuple[Callable[[], bytes], str]] = {
    "no status": (lambda: crd(None), "it has no status"),
    "any status": (
        lambda: crd({"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
        "its status has no properties",
    ),
    "no conditions": (
        lambda: crd({"type": "object", "properties": {"phase": STRING}}),
        "its status has no conditions",
    ),
    "strings": (
        lambda: with_conditions(STRING),
        f"{LIST} is no list of objects with properties",
    ),
    "nulls": (
        lambda: with_conditions({**CONDITION, "nullable": True}),
        f"{LIST} is no list of objects with properties",
    ),
    "no type": (lambda: with_conditions(changed(type=None)), f"{LIST}[] has no type"),
    "a boolean": (
        lambda: with_conditions(changed(status={"type": "boolean"})),
        f"{LIST}[].status cannot be what Ready needs",
    ),
    "no Unknown": (
        lambda: with_conditions(
            changed(status={"type": "string", "enum": ["True", "False"]})
        ),
        f"{LIST}[].status cannot be what Ready needs",
    ),
    "no Ready": (
        lambda: with_conditions(changed(type={"type": "string", "enum": ["Synced"]})),
        f"{LIST}[].type cannot be what Ready needs",
    ),
    "a pattern": (
        lambda: with_conditions(
            changed(type={"type": "string", "pattern": "^[a-z]+$"})
        ),
        f"{LIST}[].type cannot be what Ready needs",
    ),
    "more required": (
        lambda: with_conditions({**CONDITION, "required": ["type", "severity"]}),
        f"{LIST}[].severity cannot be what Ready needs",
    ),
    "another key": (
        lambda: with_conditions(
            {**CONDITION, "required": ["type", "severity"]},
            **{
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["severity"],
            },
        ),
        f"{LIST}[].severity cannot be what Ready needs",
    ),
    "a message that is never empty": (
        lambda: with_conditions(
            {
                **changed(message={"type": "string", "minLength": 1}),
                "required": ["message"],
            }
        ),
        f"{LIST}[].message cannot be what Ready needs",
    ),
    "rules": (
        lambda: with_conditions(
            {**CONDITION, "x-kubernetes-validations": [{"rule": "self.type != 'x'"}]}
        ),
        f"{LIST} has rules that a condition may break",
    ),
}


@pytest.mark.parametrize("case", WITHOUT)
def test_where_there_is_no_ready_it_is_said(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, why = WITHOUT[case]
    (tmp_path / "crd.json").write_bytes(make())
    version = stored(make())
    assert not version.conditions and version.own_conditions is None
    assert version.no_ready == why
    assert cli.main(["inspect", str(tmp_path / "crd.json")]) == 0
    line = f"note: Widget.example.com gets no condition Ready: {why}\n"
    assert capsys.readouterr().out.count(line) == 1


def test_where_there_is_one_nothing_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "crd.json").write_bytes(with_conditions(CONDITION))
    assert cli.main(["inspect", str(tmp_path / "crd.json")]) == 0
    assert "note:" not in capsys.readouterr().out


LIFE = """package widget

import (
	"encoding/json"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestOwnConditions(t *testing.T) {
	stored := &Widget{}
	for _, status := range []metav1.ConditionStatus{metav1.ConditionUnknown, metav1.ConditionFalse, metav1.ConditionTrue} {
		want := metav1.Condition{Type: "Ready", Status: status, Reason: "Because", Message: "text"}
		if !describe().OwnConditions(stored).Set(want) {
			t.Errorf("Set() of %s changed nothing", status)
		}
		data, err := json.Marshal(stored)
		if err != nil {
			t.Fatal(err)
		}
		stored = &Widget{}
		if err := json.Unmarshal(data, stored); err != nil {
			t.Fatal(err)
		}
		list := describe().OwnConditions(stored)
		got, _ := list.Find("Ready")
		if got.Status != want.Status || got.Reason != want.Reason || got.Message != want.Message || got.LastTransitionTime.IsZero() {
			t.Errorf("Find() = %v in %s, want %v", got, data, want)
		}
		if list.Set(want) {
			t.Errorf("Set() of what %s says changed something", data)
		}
	}
}
"""


@pytest.mark.golang
@pytest.mark.parametrize("optional", [False, True], ids=["required", "optional"])
def test_emitted_code_keeps_conditions_of_an_own_type(
    optional: bool, tmp_path: Path
) -> None:
    item = changed(
        lastTransitionTime=STRING if optional else TIME,
        observedGeneration={"type": "integer"},
    )
    item["required"] = (
        [] if optional else sorted(item["properties"].keys() - {"severity"})
    )
    made = tmp_path / "op"
    answers = {"project_name": "op", "module": "example.com/op", "webhooks": False}
    project.new(made, [with_conditions(item)], answers)
    folder = made / "internal" / "controller" / "widget"
    (folder / "life_test.go").write_text(LIFE)
    run = subprocess.run(
        ["go", "test", "./internal/controller/widget"],
        cwd=made,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr
