"""What an observation costs, beside a bare timeout and beside a goroutine, in one run."""

from __future__ import annotations

import argparse
import os
import re
import time
from collections import defaultdict
from pathlib import Path

from benchmarks.distribution import Curve, Panel, picture
from benchmarks.gobench import Figures, benchmark, versions
from benchmarks.measure import machine
from scaffold.table import table

MODES = {
    "off": "tracing is off",
    "unsampled": "tracing is on, the operation is not sampled",
    "sampled": "the operation is sampled",
}
WAYS = {
    "bare": "context.WithTimeout alone",
    "observed": "observed",
    "goroutine": "a goroutine that waits for the end",
}
_PERCENTILE = re.compile(r"(\w+)-p(\d+)-ns/op")


def panels(overhead: Figures) -> list[Panel]:
    """Return the distributions: a panel for each mode, a curve for each way."""
    found = []
    for mode, title in MODES.items():
        points: dict[str, Curve] = defaultdict(list)
        for unit, value in overhead[f"BenchmarkOverhead/{mode}"].items():
            if match := _PERCENTILE.fullmatch(unit):
                points[match[1]].append((value, int(match[2])))
        curves = {name: sorted(points[way]) for way, name in WAYS.items()}
        found.append(Panel(title, curves))
    return found


def costs(overhead: Figures, allocations: Figures) -> str:
    """Return the table: times of the faster half, allocations, and what is added."""
    rows = []
    for mode, title in MODES.items():
        ns = overhead[f"BenchmarkOverhead/{mode}"]
        allocated = {
            way: allocations[f"BenchmarkAllocations/{mode}/{way}"]["allocs/op"]
            for way in WAYS
        }
        added = allocated["observed"] - allocated["bare"]
        rows.append(
            (
                title,
                *(f"{ns[f'{way}-p25-ns/op']:.0f}" for way in WAYS),
                f"+{ns['added-ns/op']:.0f} ns, +{added:.0f} allocations",
                f"{ns['observed-p25-ns/op'] / ns['goroutine-p25-ns/op']:.2f}",
            )
        )
    head = ("", "bare, ns", "observed, ns", "with a goroutine, ns")
    return table((*head, "an observation adds", "of the goroutine's"), rows)


def page(overhead: Figures, allocations: Figures, drawn: str, load: float) -> str:
    """Return the page, with the picture in the file ``drawn``.

    ``load`` is the load average before the measurement.
    """
    return f"""# What an observation costs

`make bench`, {time.strftime("%Y-%m-%d")}: {machine()}; {versions()}; the load was {load:.1f} at the start.
An operation that takes no time is done within a timeout of a minute in three ways: with the timeout alone, observed by package observe, and
with a goroutine that waits for the end of the context and counts then, as is often done. The ways take turns in blocks of 200.

{costs(overhead, allocations)}

Times are the medians of the faster half of the blocks, which the machine has disturbed least.

![Distributions of the time for an operation: three panels, three curves each]({drawn})

An observation has no goroutine. A span that is recorded waits for the end of its context by `context.AfterFunc`, and is dearer than the
other way's because it has its attributes, exemplars and log fields. What is not sampled never reaches OpenTelemetry's SDK: its sampler is
asked first, and decides as it would there; the trace is handed on all the same.

The other way is cheaper than it should be where it is wrong: it counts an operation that succeeds, or that fails late, by what its context
comes to after it, and each of its goroutines lives as long as the context.
"""


def main() -> int:
    """Measure, print the page and, with ``--page``, write it and the picture beside."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--page", type=Path, help="write the results to this page")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    overhead = benchmark("./observe", "Overhead", options.rounds, "-benchtime=5x")
    allocations = benchmark("./observe", "Allocations", 1, "-benchtime=20000x")
    drawn = (options.page or Path("observation.md")).with_suffix(".svg")
    text = page(overhead, allocations, drawn.name, load)
    print(text)
    if options.page:
        label = "Distributions of the time for an operation"
        drawn.write_text(picture(panels(overhead), label), "utf-8")
        options.page.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
