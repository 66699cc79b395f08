"""The list of ``make mutate`` fits the runtime, and one guard of each package is tried."""

from __future__ import annotations

import re

import pytest

from tests import mutate

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
    """The whole list takes a quarter of an hour: make mutate."""
    first = {m.package: m for m in reversed(MUTATIONS) if not m.tags}
    assert len(first) >= 9
    assert mutate.run(mutate.MODULE, list(first.values())) == len(first)
