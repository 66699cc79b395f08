"""Fixtures of the tests of the reader and the API types."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.crd.oracle import Oracle, build


@pytest.fixture(scope="session")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    """Return a running oracle, built once per session."""
    running = Oracle(build(tmp_path_factory.mktemp("oracle")))
    yield running
    running.close()
