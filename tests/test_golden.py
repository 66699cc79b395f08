"""The committed examples are what the generator makes today."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

import pytest

from tests import golden
from tests.trees import tree


@pytest.mark.parametrize("name", golden.names())
def test_golden_project_is_current(name: str, tmp_path: Path) -> None:
    golden.build(name, tmp_path / name)
    made = tree(tmp_path / name)
    committed = tree(golden.EXAMPLES / name / "golden")
    lines: list[str] = []
    for path in sorted(made.keys() | committed.keys()):
        lines += difflib.unified_diff(
            committed.get(path, "").splitlines(keepends=True),
            made.get(path, "").splitlines(keepends=True),
            f"examples/{name}/golden/{path}",
            f"made now/{path}",
        )
    assert not lines, "make golden would change this:\n" + "".join(lines[:200])


@pytest.mark.parametrize("name", golden.names())
def test_every_context_descends_from_the_root(name: str) -> None:
    """Emitted code makes no context out of nothing; tests may."""
    sources = {
        path: text
        for path, text in tree(golden.EXAMPLES / name / "golden").items()
        if path.endswith(".go") and not path.endswith("_test.go")
    }
    assert "cmd/manager/main.go" in sources
    for path, text in sources.items():
        assert not re.search(r"\bcontext\.(Background|TODO)\b", text), path


_UNBOUNDED = re.compile(
    r"\bhttp\.(?:Get|Head|Post|PostForm|DefaultClient|DefaultTransport)\b"
    r"|\bhttp\.(?:Client|Transport)\{|\bnew\(http\.|\bgrpc\.(?:NewClient|Dial)"
)


@pytest.mark.parametrize("name", golden.names())
def test_clients_are_made_in_one_place(name: str) -> None:
    """Emitted code calls other services by the clients of outbound alone."""
    found = {
        path
        for path, text in tree(golden.EXAMPLES / name / "golden").items()
        if path.endswith(".go") and not path.endswith("_test.go")
        if _UNBOUNDED.search(text)
    }
    assert found == {
        "internal/runtime/outbound/grpc.go",
        "internal/runtime/outbound/http.go",
    }


def test_there_are_goldens_of_every_sort() -> None:
    assert set(golden.names()) >= {
        "cluster",
        "fleet",
        "minimal",
        "payment-sync",
        "versions",
    }
