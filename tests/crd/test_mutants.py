"""A CRD with anything anywhere: what is wrong is said, and nothing breaks."""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Iterator
from typing import Any

import pytest

from scaffold.crd.document import parse
from scaffold.crd.inspect import inspect
from scaffold.crd.read import read
from scaffold.errors import ScaffoldError
from tests.beacon import EXAMPLES
from tests.crd.oracle import Oracle

pytestmark = pytest.mark.golang

# What a hand, a template or a converter leaves in the place of something else.
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 2**63, 2**64, 1.5, "", "a", "(", "\n", [], [None]),
    *([{}], ["a", 1], {}, {"": None}, {"a": {"b": []}}),
)


def rich() -> dict[str, Any]:
    """Return a CRD that has something of everything."""
    raw = (EXAMPLES / "payment-sync/crds").glob("*")
    crd: dict[str, Any] = copy.deepcopy(parse("crd", next(raw).read_bytes())[0].data)
    version = crd["spec"]["versions"][0]
    version["selectableFields"] = [{"jsonPath": ".spec.provider"}]
    version["subresources"] = {
        "status": {},
        "scale": {
            "specReplicasPath": ".spec.amount.value",
            "statusReplicasPath": ".status.attempts",
        },
    }
    return crd


def paths(node: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if at:
        yield at
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in items:
        if isinstance(value, dict | list):
            yield from paths(value, (*at, key))
        else:
            yield (*at, key)


def changed(crd: dict[str, Any], at: tuple[str | int, ...], value: Any) -> bytes:
    made = copy.deepcopy(crd)
    node: Any = made
    for step in at[:-1]:
        node = node[step]
    node[at[-1]] = value
    return json.dumps(made).encode()


def judged_elsewhere(at: tuple[str | int, ...], value: Any) -> bool:
    """Report whether only the API server can judge: CEL, and whether defaults fit.

    Nor is it ours what other objects than CRDs are, or that decoding takes null for
    an empty string.
    """
    rules = "x-kubernetes-validations" in at or at[-1] in ("properties", "items")
    empty = "required" in at and value in (None, [None])
    return rules or empty or "default" in at or at[-1] in ("apiVersion", "kind")


def test_what_the_api_server_refuses_is_refused(oracle: Oracle) -> None:
    """And nothing else is; with file:line and a fix, never an internal fault.

    MUTANTS=all tries every value at every place.
    """
    crd = rich()
    assert oracle.ask("validate", crd=crd)["errors"] == []
    tried = [(at, value) for at in paths(crd) for value in VALUES]
    if os.environ.get("MUTANTS") != "all":
        tried = random.Random(7).sample(tried, 1000)
    refused, differ = 0, []
    for at, value in tried:
        raw, ours = changed(crd, at, value), ""
        try:
            for kind in read([raw]):
                inspect(kind)
        except ScaffoldError as error:
            refused += 1
            ours = str(error)
            assert "\n  fix: " in ours, (at, value, ours)
        except Exception as error:
            pytest.fail(f"{at} = {value!r}: {type(error).__name__}: {error}")
        theirs = oracle.ask("validate", crd=json.loads(raw))["errors"]
        if bool(ours) != bool(theirs) and not judged_elsewhere(at, value):
            differ.append(f"{at} = {value!r}: we say {ours!r}, the server {theirs}")
    assert not differ, "\n".join(differ)
    assert len(tried) // 5 < refused < len(tried)
