"""The emitted HTTP API, under a fuzzer that reads its description: a short run."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scaffold import openapi
from scaffold.controlplane import ControlPlane
from scaffold.crd.read import read
from tests import fuzzchecks, golden, httpfuzz


@pytest.mark.golang
@pytest.mark.controlplane
def test_no_fault_without_a_reason(cluster: ControlPlane, tmp_path: Path) -> None:
    # As many requests of each operation, however long they take.
    httpfuzz.fuzz(cluster, tmp_path, "--max-examples=40", "coverage,fuzzing")


@pytest.mark.parametrize(
    ("status", "headers", "detail", "taken"),
    [
        pytest.param(409, {}, "conflict", True, id="a refusal"),
        pytest.param(503, {"retry-after": ["1"]}, "later", True, id="503 with a time"),
        pytest.param(503, {}, "later", False, id="503 without"),
        pytest.param(
            504,
            {},
            "time used up: 2s, request_deadline",
            True,
            id="504 with its budget",
        ),
        pytest.param(504, {}, "late", False, id="504 without"),
        pytest.param(500, {"retry-after": ["1"]}, "fault", False, id="500"),
        pytest.param(502, {}, "fault", False, id="502"),
    ],
)
def test_the_fuzzer_sees_faults(
    status: int, headers: dict[str, list[str]], detail: str, taken: bool
) -> None:
    answer: Any = SimpleNamespace(
        status_code=status, headers=headers, content=detail.encode()
    )
    nothing: Any = None
    check = fuzzchecks.Bounded()
    with nullcontext() if taken else pytest.raises(AssertionError, match=str(status)):
        check.after_response(nothing, answer, nothing)


def test_the_fuzzer_says_what_it_never_saw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(fuzzchecks.EXPECTED, "201,409")
    with pytest.raises(AssertionError, match="never answered 201, 409"):
        fuzzchecks.Bounded().after_run(None)


def test_callers_set_all_but_what_is_the_operators() -> None:
    (kind,) = read([golden.EXAMPLES / "payment-sync/crds"])
    assert openapi.fields(kind) == ("spec",)


def test_kinds_of_one_name_have_operations_of_their_own() -> None:
    crd = (golden.EXAMPLES / "payment-sync/crds/paymentsync.yaml").read_text("utf-8")
    other = crd.replace("payments.example.com", "ledger.example.com")
    kinds = read([crd.encode(), other.encode()])
    paths = json.loads(openapi.text("two", kinds))["paths"]
    found = [
        one["operationId"]
        for item in paths.values()
        for one in item.values()
        if isinstance(one, dict)
    ]
    assert len(found) == 12
    assert len(set(found)) == len(found)
    assert "createPaymentsExampleComV1PaymentSync" in found


def test_schemas_lose_what_is_kubernetes_own() -> None:
    node = {
        "type": "object",
        "x-kubernetes-validations": [{"rule": "self.a > 0"}],
        "properties": {
            "port": {"x-kubernetes-int-or-string": True},
            "list": {
                "type": "array",
                "x-kubernetes-list-type": "set",
                "items": {"type": "string"},
            },
            "x-kubernetes-named": {"type": "string"},
        },
        "additionalProperties": False,
    }
    assert openapi.schema_of(node) == {
        "type": "object",
        "properties": {
            "port": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
            "list": {"type": "array", "items": {"type": "string"}},
            "x-kubernetes-named": {"type": "string"},
        },
        "additionalProperties": False,
    }
