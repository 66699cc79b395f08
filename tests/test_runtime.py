"""The packages every emitted operator stands on, tested where they are written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scaffold.controlplane import ensure_built
from tests.gotests import Record, go, go_test

pytestmark = pytest.mark.golang

RUNTIME = Path(__file__).parent.parent / "templates/runtime"


@pytest.mark.parametrize("module", [RUNTIME, RUNTIME / "integration"])
def test_module_is_tidy(module: Path) -> None:
    """What only the tests on a real API server need is no operator's dependency."""
    assert go(module, "mod", "tidy", "-diff") == ""


def test_unit_tests_with_the_race_detector(record_property: Record) -> None:
    go_test(RUNTIME, record_property, "-race", "./...")


@pytest.mark.controlplane
def test_on_a_real_api_server(record_property: Record) -> None:
    go_test(
        RUNTIME,
        record_property,
        "-race",
        "-tags",
        "integration",
        "./integration/...",
        env=os.environ | {"KUBEBUILDER_ASSETS": str(ensure_built(print))},
    )


def test_root_contexts_are_made_in_main_alone() -> None:
    """No package of the runtime makes a context of its own out of nothing."""
    for source in RUNTIME.rglob("*.go"):
        if source.name.endswith("_test.go") or "integration" in source.parts:
            continue
        text = source.read_text("utf-8")
        for call in ("context.Background()", "context.TODO()"):
            assert call not in text, f"{source}: {call}"
