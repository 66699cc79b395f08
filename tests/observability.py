"""The table of metrics in docs/observability.md, generated from the runtime."""

from __future__ import annotations

import re
from pathlib import Path

from tests.gotests import go

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/observability.md"
PLACE = re.compile(r"(<!-- metrics: .* -->\n)(.*?)(<!-- end -->\n)", re.DOTALL)


def current(page: str) -> str:
    """Return ``page`` with the table that the runtime's code asks for."""
    table = go(ROOT / "templates/runtime", "run", "./integration/metricstable")
    made, places = PLACE.subn(lambda m: m[1] + table + m[3], page)
    assert places == 1, f"{PAGE} has {places} places for the table, not one"
    return made


if __name__ == "__main__":
    PAGE.write_text(current(PAGE.read_text("utf-8")), "utf-8")
