"""The rules of who may change a derived file, on real folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from scaffold import apply, plan
from scaffold.errors import OwnershipError, ProjectError, ScaffoldError, UsageError
from scaffold.features import Owner
from scaffold.render import File
from tests.trees import generated, tree, user

WIDGET = "Widget.example.com"


def write(
    project: Path, files: dict[str, File], *, drop: str = "", overwrite: bool = False
) -> plan.Plan:
    made = plan.make(
        project, files, "1.0", drop=[drop] if drop else [], overwrite=overwrite
    )
    apply.apply(project, made)
    return made


FIRST = {
    "api/zz_generated.widget.go": generated("package v1\n", WIDGET),
    "internal/widget/widget.go": user("package widget\n", WIDGET),
}


def test_first_run_writes_everything(tmp_path: Path) -> None:
    write(tmp_path, FIRST)
    found = tree(tmp_path)
    assert found["api/zz_generated.widget.go"] == "package v1\n"
    assert found["internal/widget/widget.go"] == "package widget\n"
    assert WIDGET in found[".ctxscaffold/manifest.json"]


def test_second_run_writes_nothing(tmp_path: Path) -> None:
    write(tmp_path, FIRST)
    before = {
        path: (path.stat().st_mtime_ns, path.stat().st_ino)
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    assert write(tmp_path, FIRST).changes == ()
    assert before == {
        path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in before
    }


def test_generated_file_follows_the_model(tmp_path: Path) -> None:
    write(tmp_path, FIRST)
    moved = FIRST | {"api/zz_generated.widget.go": generated("package v2\n", WIDGET)}
    write(tmp_path, moved)
    assert tree(tmp_path)["api/zz_generated.widget.go"] == "package v2\n"


def test_edited_generated_file_is_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path, FIRST)
    edited = tmp_path / "api/zz_generated.widget.go"
    edited.write_text("package v1 // mine\n")
    moved = FIRST | {
        "api/zz_generated.widget.go": generated("package v2\n", WIDGET),
        "api/zz_generated.new.go": generated("package v2\n"),
    }
    before = tree(tmp_path)
    with pytest.raises(OwnershipError, match="edited by hand") as caught:
        write(tmp_path, moved)
    assert caught.value.where == str(edited)
    assert "--overwrite" in str(caught.value.fix)
    assert tree(tmp_path) == before
    write(tmp_path, moved, overwrite=True)
    assert tree(tmp_path)["api/zz_generated.widget.go"] == "package v2\n"


def test_every_refusal_is_reported_at_once(tmp_path: Path) -> None:
    files = {f"api/zz_generated.{n}.go": generated("package v1\n") for n in "abc"}
    write(tmp_path, files)
    for path in files:
        (tmp_path / path).write_text("mine\n")
    with pytest.raises(ScaffoldError) as caught:
        write(tmp_path, {path: generated("package v2\n") for path in files})
    for path in files:
        assert path in str(caught.value)


def test_a_strangers_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "api").mkdir()
    (tmp_path / "api/zz_generated.widget.go").write_text("package mine\n")
    with pytest.raises(OwnershipError, match="was not written by ctxscaffold"):
        write(tmp_path, FIRST)
    assert tree(tmp_path) == {"api/zz_generated.widget.go": "package mine\n"}


def test_user_file_is_written_once_and_never_again(tmp_path: Path) -> None:
    write(tmp_path, FIRST)
    mine = tmp_path / "internal/widget/widget.go"
    mine.write_text("package widget // mine\n")
    newer = FIRST | {"internal/widget/widget.go": user("package newer\n", WIDGET)}
    write(tmp_path, newer)
    assert mine.read_text() == "package widget // mine\n"
    mine.unlink()  # moved elsewhere by the user: it must not come back
    write(tmp_path, newer)
    assert not mine.exists()


def test_user_file_that_is_there_already_is_kept(tmp_path: Path) -> None:
    mine = tmp_path / "internal/widget/widget.go"
    mine.parent.mkdir(parents=True)
    mine.write_text("package widget // before\n")
    write(tmp_path, FIRST)
    assert mine.read_text() == "package widget // before\n"


def test_deleted_generated_file_comes_back(tmp_path: Path) -> None:
    write(tmp_path, FIRST)
    (tmp_path / "api/zz_generated.widget.go").unlink()
    write(tmp_path, FIRST)
    assert (tmp_path / "api/zz_generated.widget.go").exists()


def test_gone_kind_is_refused_until_dropped(tmp_path: Path) -> None:
    write(tmp_path, FIRST)
    before = tree(tmp_path)
    with pytest.raises(OwnershipError, match=r"internal/widget/widget\.go") as caught:
        write(tmp_path, {})
    assert f"--drop {WIDGET}" in str(caught.value.fix)
    assert tree(tmp_path) == before
    (tmp_path / "internal/widget/helper.go").write_text("package widget\n")
    (tmp_path / "internal/widget/notes.md").write_text("mine\n")
    done = write(tmp_path, {}, drop="Widget")
    assert done.beside == ("internal/widget/notes.md",)
    found = tree(tmp_path)
    assert found.pop(".ctxscaffold/dropped/internal/widget/widget.go")
    assert found.pop(".ctxscaffold/dropped/internal/widget/helper.go")
    assert found.keys() == {".ctxscaffold/manifest.json", "internal/widget/notes.md"}
    assert not (tmp_path / "api").exists(), "an empty folder is left behind"


def test_what_was_dropped_comes_back_with_its_place(tmp_path: Path) -> None:
    write(tmp_path, FIRST)
    (tmp_path / "internal/widget/widget.go").write_text("package widget // mine\n")
    (tmp_path / "internal/widget/helper.go").write_text("package widget\n")
    before = tree(tmp_path)
    write(tmp_path, {}, drop="Widget")
    write(tmp_path, FIRST)
    assert tree(tmp_path) == before


def test_dropping_twice_loses_neither(tmp_path: Path) -> None:
    write(tmp_path, FIRST)
    write(tmp_path, {}, drop=WIDGET)
    mine = tmp_path / "internal/widget/widget.go"
    mine.parent.mkdir(parents=True)
    mine.write_text("package widget // mine\n")  # in the way of what would come back
    write(tmp_path, FIRST)
    assert mine.read_text() == "package widget // mine\n"
    write(tmp_path, {}, drop=WIDGET)
    dropped = ".ctxscaffold/dropped/internal/widget/widget.go"
    assert tree(tmp_path)[dropped] == "package widget\n"
    assert tree(tmp_path)[f"{dropped}.1"] == "package widget // mine\n"


def test_gone_kind_whose_user_files_are_gone_needs_no_drop(tmp_path: Path) -> None:
    write(tmp_path, FIRST)
    (tmp_path / "internal/widget/widget.go").unlink()
    write(tmp_path, {})
    assert tree(tmp_path).keys() == {".ctxscaffold/manifest.json"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Widget", "still defined"),
        ("Gadget", "no kind Gadget to drop"),
        ("widget", "no kind widget to drop"),
        ("internal/widget", "nothing of yours at internal/widget"),
    ],
)
def test_drop_of_a_kind_that_cannot_be_dropped(
    tmp_path: Path, name: str, message: str
) -> None:
    write(tmp_path, FIRST)
    with pytest.raises(UsageError, match=message):
        write(tmp_path, FIRST, drop=name)


def test_drop_that_could_mean_two_kinds(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"a.go": user("a", "Widget.a.com"), "b.go": user("b", "Widget.b.com")},
    )
    with pytest.raises(UsageError, match=r"Widget\.a\.com or Widget\.b\.com"):
        write(tmp_path, {}, drop="Widget")


def test_edited_generated_file_of_a_gone_kind_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"a/zz_generated.go": generated("x", WIDGET)})
    (tmp_path / "a/zz_generated.go").write_text("mine")
    with pytest.raises(OwnershipError, match="edited by hand"):
        write(tmp_path, {})


RULES = {
    "internal/webhook/widget/widget.go": user("package widget\n", WIDGET),
    "internal/webhook/widget/widget_test.go": user("package widget\n", WIDGET),
    "internal/webhook/widget/zz_generated.webhook.go": generated("package widget\n"),
    "config/certmanager/issuer.yaml": user("kind: Issuer\n"),
}


def test_feature_turned_off_is_refused_until_dropped(tmp_path: Path) -> None:
    write(tmp_path, FIRST | RULES)
    own = tmp_path / "internal/webhook/widget/own.go"
    own.write_text("package widget\n")
    before = tree(tmp_path)
    with pytest.raises(OwnershipError, match="nothing is generated any more") as caught:
        write(tmp_path, FIRST)
    assert tree(tmp_path) == before
    for name in ("widget.go", "widget_test.go", "own.go"):
        assert f"internal/webhook/widget/{name}" in caught.value.what
    assert "--drop internal/webhook/widget, " in str(caught.value.fix)
    made = write(tmp_path, FIRST, drop="internal/webhook/widget")
    assert not own.exists()
    assert made.beside == ("config/certmanager/issuer.yaml",)
    assert write(tmp_path, FIRST).changes == ()
    write(tmp_path, FIRST | RULES)
    assert tree(tmp_path) == before


def test_feature_turned_off_whose_user_files_are_gone_is_no_matter(
    tmp_path: Path,
) -> None:
    write(tmp_path, FIRST | RULES)
    for path, file in RULES.items():
        if file.owner is Owner.USER:
            (tmp_path / path).unlink()
    write(tmp_path, FIRST)
    write(tmp_path, FIRST | RULES)  # and on again: made anew
    assert (tmp_path / "internal/webhook/widget/widget.go").exists()


SETUP = "internal/controller/zz_generated.setup.go"
MODULE = "example.com/op"


def in_module(module: str) -> dict[str, File]:
    line = f'import (\n\t"{module}/internal/runtime/manager"\n)\n'
    return FIRST | {SETUP: generated(f"package controller\n{line}")}


def test_import_of_a_package_that_goes_names_the_line(tmp_path: Path) -> None:
    version = {"api/v2/zz_generated.widget.go": generated("package v2\n")}
    files = in_module(MODULE)
    write(tmp_path, files | version)
    mine = tmp_path / "internal/app/app.go"
    mine.parent.mkdir()
    mine.write_text(f'package app\n\nimport v2 "{MODULE}/api/v2"\n')
    before = tree(tmp_path)
    with pytest.raises(
        OwnershipError, match=r"imports example\.com/op/api/v2"
    ) as caught:
        plan.make(tmp_path, files, "1.0", modules=(MODULE, MODULE))
    assert caught.value.where == f"{mine}:3"
    drop = "internal/app/app.go"
    assert f"--drop {drop}" in str(caught.value.fix)
    apply.apply(
        tmp_path,
        plan.make(tmp_path, files, "1.0", modules=(MODULE, MODULE), drop=[drop]),
    )
    found = tree(tmp_path)
    assert found[f".ctxscaffold/dropped/{drop}"] == before[drop]


def test_module_line_that_changed_names_the_imports(tmp_path: Path) -> None:
    write(tmp_path, in_module(MODULE))
    mine = tmp_path / "cmd/main.go"
    mine.parent.mkdir()
    mine.write_text(f'package main\n\nimport "{MODULE}/internal/widget"\n')
    files = in_module("example.com/new")
    with pytest.raises(OwnershipError, match=r"called example\.com/new now") as caught:
        plan.make(tmp_path, files, "1.0", modules=(MODULE, "example.com/new"))
    assert caught.value.where == f"{mine}:3"
    mine.write_text('package main\n\nimport "example.com/new/internal/widget"\n')
    plan.make(tmp_path, files, "1.0", modules=(MODULE, "example.com/new"))


@pytest.mark.parametrize("depth", ["api", "api/zz_generated.widget.go"])
def test_symbolic_links_are_not_followed(tmp_path: Path, depth: str) -> None:
    project, outside = tmp_path / "project", tmp_path / "outside"
    project.mkdir()
    outside.mkdir()
    (project / depth).parent.mkdir(exist_ok=True)
    (project / depth).symlink_to(outside, target_is_directory=True)
    with pytest.raises(OwnershipError, match="symbolic link"):
        write(project, FIRST)
    assert tree(outside) == {}


def test_a_file_where_a_folder_must_go(tmp_path: Path) -> None:
    (tmp_path / "api").write_text("mine\n")
    with pytest.raises(OwnershipError, match="a file stands where its folder must go"):
        write(tmp_path, FIRST)


def test_a_folder_where_a_file_must_go(tmp_path: Path) -> None:
    (tmp_path / "api/zz_generated.widget.go").mkdir(parents=True)
    with pytest.raises(OwnershipError, match="a folder has its name"):
        write(tmp_path, FIRST)


@pytest.mark.parametrize(
    "text",
    [
        "<<<<<<< ours\n",
        "[]",
        '{"ctxscaffold": "1.0"}',
        '{"ctxscaffold": "1.0", "generated": {"../../etc/passwd": "0"}, "user": {}}',
        '{"ctxscaffold": "1.0", "generated": {}, "user": {"/etc/passwd": ""}}',
    ],
)
def test_manifest_that_cannot_be_trusted(tmp_path: Path, text: str) -> None:
    (tmp_path / ".ctxscaffold").mkdir()
    (tmp_path / ".ctxscaffold/manifest.json").write_text(text)
    with pytest.raises(ProjectError, match="manifest") as caught:
        write(tmp_path, FIRST)
    assert "git checkout" in str(caught.value.fix)
