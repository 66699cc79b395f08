"""The checks of the corpus on random CRDs: ``python -m tests.crd.fuzz [--count N]``.

Draws CRDs of every construct (see :mod:`tests.crd.structural`), leaves out what
the API server's own validation refuses, and puts the rest, some to a project,
through every check of :mod:`tests.crd.corpus`. A CRD that fails one is printed;
the same seed draws the same CRDs.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.crd import corpus, structural
from tests.crd.oracle import Oracle, build

_PER_PROJECT = 5


def draw(count: int, start: int) -> list[dict[str, Any]]:
    """Return ``count`` random CRDs, the same for the same ``start``."""
    drawn: list[dict[str, Any]] = []

    @seed(start)
    @settings(
        max_examples=count,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(structural.crds())
    def collect(crd: dict[str, Any]) -> None:
        drawn.append(json.loads(json.dumps(crd)))

    collect()
    return drawn


def accepted(
    crds: Sequence[dict[str, Any]], oracle: Oracle
) -> tuple[list[dict[str, Any]], Counter[str]]:
    """Return the CRDs an API server takes, and why it refuses the others."""
    good = []
    refused: Counter[str] = Counter()
    for crd in crds:
        if errors := oracle.ask("validate", crd=crd)["errors"]:
            refused[errors[0].partition(": ")[2][:60]] += 1
        else:
            good.append(crd)
    return good, refused


def projects(crds: Sequence[dict[str, Any]], folder: Path) -> None:
    """Write CRDs into project folders, with kinds that differ within each."""
    for index, crd in enumerate(crds):
        number = index % _PER_PROJECT
        names = crd["spec"]["names"]
        for key in ("kind", "plural", "singular"):
            names[key] += f"{number}"
        names["listKind"] = f"{names['kind']}List"
        crd["metadata"]["name"] = f"{names['plural']}.{crd['spec']['group']}"
        target = folder / f"project{index // _PER_PROJECT:04}"
        target.mkdir(parents=True, exist_ok=True)
        (target / f"{names['plural']}.json").write_text(json.dumps(crd))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; return 1 if a check failed for a CRD."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="CRDs to draw")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--objects", type=int, default=10, help="drawn per version")
    parser.add_argument("--keep", type=Path, help="write the CRDs there and keep them")
    options = parser.parse_args(arguments)
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        oracle = Oracle(build(Path(scratch)))
        good, refused = accepted(draw(options.count, options.seed), oracle)
        oracle.close()
        print(f"{len(good)} CRDs, {refused.total()} refused by the API server")
        for why, count in refused.most_common(5):
            print(f"  {count}: {why}")
        folder = options.keep or Path(scratch) / "crds"
        projects(good, folder)
        return corpus.main([str(folder), "--objects", str(options.objects)])


if __name__ == "__main__":
    sys.exit(main())
