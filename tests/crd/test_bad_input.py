from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from scaffold.crd import document
from scaffold.crd.document import parse
from scaffold.crd.read import read
from scaffold.errors import ScaffoldError, Several
from tests.crd import bad_inputs, bad_schemas
from tests.crd.bad_input import GOOD, Case
from tests.crd.oracle import Oracle

CASES = [*bad_inputs.CASES, *bad_schemas.CASES]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_message(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.yaml").write_bytes(case.text)
    with pytest.raises(ScaffoldError) as caught:
        read([Path("bad.yaml")])
    assert str(caught.value) == case.message


def test_the_good_crd_is_good() -> None:
    (kind,) = read([GOOD.encode()])
    assert (kind.kind, kind.source) == ("Widget", ("<stdin>", 1))


@pytest.mark.golang
def test_the_api_server_rejects_them_too(oracle: Oracle) -> None:
    """Nothing is refused that a cluster would take."""
    accepted = []
    for case in CASES:
        if b"kind: CustomResourceDefinition" not in case.text or case.id == "v1beta1":
            continue
        (crd,) = oracle.yaml(case.text)
        if not oracle.ask("validate", crd=crd)["errors"]:
            accepted.append(case.id)
    assert accepted == []


def test_every_fault_is_reported_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD.replace("scope: Namespaced", "scope: x"))
    (tmp_path / "b.yaml").write_text(GOOD.replace("type: integer", "type: int"))
    with pytest.raises(Several) as caught:
        read([tmp_path])
    assert [error.where for error in caught.value.errors] == [
        f"{tmp_path}/a.yaml:7",
        f"{tmp_path}/b.yaml:23",
    ]


def test_two_kinds_with_one_name() -> None:
    with pytest.raises(ScaffoldError) as caught:
        read([GOOD.encode(), GOOD.encode()])
    assert str(caught.value) == (
        "<stdin>:4: the CRD 'widgets.example.com' is defined twice, "
        "first at <stdin>:4\n  fix: keep one of the two"
    )


def test_two_kinds_that_go_spells_alike() -> None:
    other = GOOD.replace("Widget", "widget").replace("widgets", "widgetz")
    with pytest.raises(ScaffoldError, match="kinds Widget and widget of group"):
        read([GOOD.encode(), other.encode()])


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ScaffoldError, match="no such file"):
        read([tmp_path / "absent.yaml"])
    with pytest.raises(ScaffoldError, match=r"holds no \*.yaml"):
        read([tmp_path])
    with pytest.raises(ScaffoldError, match="cannot be read: File name too long"):
        read([tmp_path / ("x" * 5000)])


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    with path.open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    tracemalloc.start()
    with pytest.raises(ScaffoldError, match="104,857,600 bytes, the limit is"):
        read([path])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1024 * 1024
    with pytest.raises(ScaffoldError, match="the limit is"):
        parse("<stdin>", b" " * (document.MAX_BYTES + 1))
