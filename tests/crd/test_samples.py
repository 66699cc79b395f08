"""Samples of what a first guess does not meet."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from scaffold.crd.document import parse
from scaffold.crd.read import read
from scaffold.crd.strings import matching
from tests.crd.bad_input import GOOD
from tests.crd.oracle import Oracle

KEYED = {
    "type": "object",
    "required": ["name", "protocol"],
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z]{3,5}[0-9]?$"},
        "protocol": {"type": "string", "enum": ["TCP", "UDP"], "default": "TCP"},
    },
}


@pytest.mark.golang
@pytest.mark.parametrize(
    "field",
    [
        {
            "type": "array",
            "x-kubernetes-list-type": "set",
            "minItems": 3,
            "items": {"type": "string"},
        },
        {
            "type": "array",
            "x-kubernetes-list-type": "set",
            "minItems": 3,
            "items": {"type": "integer", "minimum": 5},
        },
        {
            "type": "array",
            "x-kubernetes-list-type": "set",
            "minItems": 2,
            "items": {"type": "integer", "maximum": 1},
        },
        {
            "type": "array",
            "x-kubernetes-list-type": "set",
            "minItems": 2,
            "items": {"type": "string", "enum": ["a", "b"]},
        },
        {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name", "protocol"],
            "minItems": 3,
            "items": KEYED,
        },
        {"type": "string", "allOf": [{"pattern": "^arn:"}, {"pattern": "s3$"}]},
        {"type": "string", "pattern": "^arn:", "minLength": 9},
    ],
    ids=lambda field: json.dumps(field)[:60],
)
def test_the_api_server_takes_the_sample(field: dict[str, Any], oracle: Oracle) -> None:
    crd: dict[str, Any] = copy.deepcopy(parse("good", GOOD.encode())[0].data)
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec |= {"properties": {"field": field}, "required": ["field"]}
    (kind,) = read([json.dumps(crd).encode()])
    text = kind.sample(kind.storage)
    assert "no value" not in text
    made = parse("sample", text.encode())[0].data
    answer = oracle.ask("objects", crd=crd, version="v1", objects=[made])
    assert answer["objects"][0]["errors"] == []


def test_strings_are_told_apart() -> None:
    schema = {"type": "string", "pattern": "^[a-z]+$", "maxLength": 8}
    assert matching(schema) == "example"
    numbered = {
        matching({"type": "string", "maxLength": 3}, index) for index in range(40)
    }
    assert len(numbered) == 40 and None not in numbered
    assert matching({"type": "string", "allOf": [{"pattern": "("}]}) is None
