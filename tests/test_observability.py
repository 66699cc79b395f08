"""docs/observability.md says what the code does."""

from __future__ import annotations

import pytest

from tests.observability import PAGE, current

pytestmark = pytest.mark.golang


def test_the_table_of_metrics_is_current() -> None:
    page = PAGE.read_text("utf-8")
    assert page == current(page), "run python -m tests.observability"
