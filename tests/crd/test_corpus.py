"""Where a corpus comes from, and where its result goes."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from tests.crd import corpus, origins
from tests.crd.bad_input import GOOD


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two projects inside of a folder of their own."""
    for project in ("one", "two"):
        made = tmp_path / "corpus" / "public" / project
        made.mkdir(parents=True)
        (made / "widgets.yaml").write_text(GOOD)
    return tmp_path / "corpus"


def test_a_folder_of_projects(folder: Path) -> None:
    with origins.projects(folder) as found:
        assert found == {name: folder / "public" / name for name in ("one", "two")}


def test_a_folder_of_crds_is_one_project(folder: Path) -> None:
    with origins.projects(folder / "public" / "one") as found:
        assert found == {"one": folder / "public" / "one"}


@pytest.mark.parametrize("compression", ["gz", "xz"])
def test_an_archive(folder: Path, tmp_path: Path, compression: str) -> None:
    archive = tmp_path / f"corpus.tar.{compression}"
    with tarfile.open(str(archive), f"w:{compression}") as tar:  # type: ignore[call-overload]  # the mode is not literal
        tar.add(folder / "public", "public")
    with origins.projects(archive) as found:
        assert sorted(found) == ["one", "two"]
        assert (found["one"] / "widgets.yaml").read_text() == GOOD


def test_every_module_is_pinned() -> None:
    lines = origins.MODULES.read_text("utf-8").splitlines()
    for line in (line for line in lines if not line.startswith("#")):
        module, inside = line.split()
        assert "@v" in module and not inside.startswith("/")


def test_a_section_of_the_page_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    page = tmp_path / "fidelity.md"
    for title, text in (("A", "old a"), ("B", "b"), ("A", "new a")):
        corpus.write_page(page, title, text)
    text = page.read_text()
    assert text.startswith("# Fidelity\n")
    assert text.count("## A\n") == text.count("## B\n") == 1
    assert "new a" in text and "old a" not in text
