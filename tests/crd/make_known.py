"""Make scaffold/crd/known.json from the k8s.io release that tests/oracle pins.

Run it as ``python -m tests.crd.make_known``; a test compares its output with
the committed table.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from scaffold.crd import known
from scaffold.crd.gotypes import COREV1, METAV1
from tests.crd.oracle import SOURCE, Oracle, build


def table(oracle: Oracle) -> str:
    """Return the text of the table."""
    answer = oracle.ask("known", dir=str(SOURCE), packages=[COREV1, METAV1])
    types = [_row(one) for one in answer["types"] if _stands_inside(one)]
    counts: dict[str, int] = {}
    for row in types:
        counts[row["digest"]] = counts.get(row["digest"], 0) + 1
    distinct = [row for row in types if counts[row["digest"]] == 1]
    condition = next(
        one["schema"]
        for one in answer["types"]
        if one["package"] == METAV1 and one["name"] == "Condition"
    )
    lines = ",\n".join(json.dumps(row, sort_keys=True) for row in distinct)
    last = json.dumps(condition, sort_keys=True)
    return f'{{"condition": {last},\n"types": [\n{lines}\n]}}\n'


def _stands_inside(one: dict[str, Any]) -> bool:
    """Whether a type occurs inside of others: no object, no list, not empty."""
    properties = one["schema"].get("properties") or {}
    return bool(properties) and not {"apiVersion", "kind", "metadata"} <= set(
        properties
    )


def _row(one: dict[str, Any]) -> dict[str, Any]:
    schema = one["schema"]
    return {
        "path": one["package"],
        "name": one["name"],
        "shallow": one["shallow"],
        "properties": known.names_of(schema),
        "digest": known.digest(schema),
        "description": schema.get("description", ""),
    }


def main() -> None:
    """Write the table."""
    with tempfile.TemporaryDirectory() as folder:
        oracle = Oracle(build(Path(folder)))
        known.TABLE.write_text(table(oracle), "utf-8")
        oracle.close()


if __name__ == "__main__":
    main()
