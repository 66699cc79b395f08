"""The list of ``make mutate`` fits the runtime, and one guard of each package is tried."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests import mutate
from tests.trees import tree

MUTATIONS = mutate.read_lists(mutate.MODULE)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.guard)
def test_entry_fits_the_source(mutation: mutate.Mutation) -> None:
    text = (mutate.MODULE / mutation.file).read_text("utf-8")
    assert text.count(mutation.find) == 1
    assert mutation.find != mutation.replace
    tests = "".join(
        path.read_text("utf-8")
        for path in (mutate.MODULE / mutation.package).glob("*_test.go")
    )
    assert re.search(rf"^func {mutation.test}\(t \*testing\.T\)", tests, re.MULTILINE)


@pytest.mark.golang
def test_a_guard_of_each_package_is_held() -> None:
    first = {m.package: m for m in reversed(MUTATIONS) if not m.tags}
    assert len(first) >= 9
    assert mutate.run(mutate.MODULE, list(first.values())) == len(first)


SOURCE = """package bound

import "errors"

// Most is what there may be at most.
const Most = 3

var errMany = errors.New("too many")

// Check is in two branches.
func Check(have int) error {
	if have < 0 {
		return errors.New("negative")
	}
	if have > Most {
		return errMany
	}
	return nil
}

// Safe recovers from what fails.
func Safe(f func()) (failed bool) {
	defer func() { failed = recover() != nil }()
	f()
	return false
}

// Names are made by a function that has no name.
var Names = func(n int) string {
	if n == 0 {
		return "none"
	}
	return "some"
}

// List keeps values.
type List[T comparable] struct{ values []T }

// Add adds each value once.
func (l *List[T]) Add(_ string, values ...T) {
	for _, value := range values {
		if l.Has(value) {
			continue
		}
		l.values = append(l.values, value)
	}
}

// Has finds a value.
func (l *List[T]) Has(value T) bool {
	for _, v := range l.values {
		if v == value {
			return true
		}
	}
	return false
}
"""

TESTS = """package bound

import (
	"math/rand/v2"
	"testing"
)

func TestCheck(t *testing.T) {
	if Check(-1) == nil || Check(Most) != nil || Check(4) == nil {
		t.Error("Check")
	}
}

func TestLuck(t *testing.T) {
	if Check(4) == nil && rand.N(2) == 0 {
		t.Error("Check")
	}
}

func TestSafe(t *testing.T) {
	if !Safe(func() { panic("x") }) {
		t.Error("Safe")
	}
}

func TestNames(t *testing.T) {
	if Names(0) != "none" {
		t.Error("Names")
	}
}

func TestList(t *testing.T) {
	var l List[int]
	l.Add("", 1, 2, 1)
	if len(l.values) != 2 {
		t.Error(l.values)
	}
}

func TestNothing(t *testing.T) {}
"""


def entry(
    guard: str, find: str, replace: str, test: str, **more: Any
) -> mutate.Mutation:
    return mutate.Mutation(
        guard, "bound/bound.go", find, replace, "./bound", test, **more
    )


HELD = [
    entry("in a function", "have < 0", "false", "TestCheck"),
    entry("in the same one", "return errMany", "return nil", "TestCheck"),
    entry("by chance", "have > Most", "false", "TestLuck", count=64),
    entry("a method of a generic type", "l.Has(value)", "false", "TestList"),
    entry("a function that recovers", "recover() != nil", "false", "TestSafe"),
    entry("a function without a name", "n == 0", "n != 0", "TestNames"),
    entry("a constant", "Most = 3", "Most = 4", "TestCheck"),
]
MISSED = [
    entry("never there", "v == value", "value == v", "TestList"),
    entry("held by another", "have > Most {", "have > 4 {", "TestNothing"),
    entry("no type", "v == value {", "v == 0 {", "TestList"),
    entry("no return", "\t}\n\treturn false\n", "\t}\n", "TestList"),
    entry("no syntax", "return errMany", "return (", "TestCheck"),
]


def module(folder: Path, mutations: list[mutate.Mutation]) -> Path:
    (folder / "bound").mkdir()
    (folder / "go.mod").write_text("module example.com/bound\n\ngo 1.26.0\n")
    (folder / "bound/bound.go").write_text(SOURCE)
    (folder / "bound/bound_test.go").write_text(TESTS)
    text = ""
    for m in mutations:
        text += "[[mutation]]\n"
        for name, value in vars(m).items():
            shown = f"'''{value}'''" if isinstance(value, str) else value
            text += f"{name} = {shown}\n"
    (folder / "mutations.toml").write_text(text)
    return folder


@pytest.mark.golang
def test_every_kind_of_mutant(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = tree(module(tmp_path, HELD + MISSED))
    assert mutate.main(["--module", str(tmp_path)]) == 1
    assert tree(tmp_path) == before

    out = capfd.readouterr().out
    assert out.endswith(
        f"\n{len(HELD)} of {len(HELD + MISSED)} guards are held by a test\n"
    )
    caught = re.findall(r"^caught +[\d.]+ s  (.*)$", out, re.MULTILINE)
    assert sorted(caught) == sorted(m.guard for m in HELD)
    missed = dict(
        re.findall(
            r"^MISSED +[\d.]+ s  (.*)\n  bound/bound.go: (.*)$", out, re.MULTILINE
        )
    )
    survived, broken = "survived: the test stays green", "does not compile:"
    assert missed == {
        "never there": survived,
        "held by another": survived,
        "no type": broken,
        "no return": broken,
        "no syntax": broken,
    }
    assert ": missing return" in out
    # Alone are the constant, the syntax error, and all of the function without a return.
    assert " 7 mutants in 1 programs, 5 to be built alone" in out


@pytest.mark.golang
@pytest.mark.parametrize(
    ("mutations", "message"),
    [
        ([HELD[0], HELD[0]], "guard 'in a function' is listed twice"),
        (
            [entry("anywhere", "return", "", "TestCheck")],
            "has 8 places with the text of 'anywhere', not one",
        ),
        (
            [HELD[0], entry("no test", "n == 0", "n != 0", "TestAbsent")],
            "./bound has no TestAbsent",
        ),
        ([HELD[0]], "no guard with 'of another'"),
    ],
)
def test_what_is_wrong_with_a_list_is_said(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    mutations: list[mutate.Mutation],
    message: str,
) -> None:
    module(tmp_path, mutations)
    only = ["--only", "of another"] if "of another" in message else []
    assert mutate.main(["--module", str(tmp_path), *only]) == 2
    assert message in capfd.readouterr().err
