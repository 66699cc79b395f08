"""Quiet tenants beside a noisy one, with sandboxes and without; and tenants at rest.

The measurement is Go's, in ``templates/runtime/integration``, which fails where the
quiet ones notice; here it is run, and its figures put into a page.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.distribution import Curve, Panel, picture
from benchmarks.gobench import Figures, benchmark, versions
from benchmarks.measure import machine
from scaffold.controlplane import ensure_built
from scaffold.table import table

OPERATORS = {
    "sandboxes": "this runtime, with sandboxes",
    "plain": "controller-runtime alone",
}
CONDITIONS = {"without": "without the noisy tenant", "beside": "beside it"}


def latencies(figures: Figures) -> str:
    """Return the table of times, by operator and condition."""
    rows = []
    for operator, title in OPERATORS.items():
        found = figures[f"BenchmarkNeighbours/{operator}"]
        for condition, what in CONDITIONS.items():
            times = [found[f"{condition}-p{percent}-ns"] for percent in (50, 95, 99)]
            done, events = found[f"{condition}-done"], found[f"{condition}-events"]
            ratio = f"{found['ratio']:.2f}" if condition == "beside" else "1.00"
            if done < events:
                ratio = f"more than {found['ratio']:,.0f}"
            rows.append(
                (
                    title,
                    what,
                    f"{done:,.0f} of {events:,.0f}",
                    *(f"{ns / 1e6:,.0f}" for ns in times),
                    ratio,
                )
            )
    head = ("operator", "", "done", "p50, ms", "p95, ms", "p99, ms", "p95, ratio")
    return table(head, rows)


def panels(figures: Figures) -> list[Panel]:
    """Return the distributions, one panel for each operator."""

    def curve(found: Mapping[str, float], condition: str) -> Curve:
        prefix = f"{condition}-p"
        percents = (
            int(unit.removeprefix(prefix).removesuffix("-ns"))
            for unit in found
            if unit.startswith(prefix)
        )
        return [(found[f"{prefix}{one}-ns"], one) for one in sorted(percents)]

    return [
        Panel(
            title,
            {
                what: curve(figures[f"BenchmarkNeighbours/{operator}"], condition)
                for condition, what in CONDITIONS.items()
            },
        )
        for operator, title in OPERATORS.items()
    ]


def api_server() -> str:
    """Return the API server's name and version."""
    command = [str(ensure_built(print) / "kube-apiserver"), "--version"]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    return said.stdout.strip().replace("Kubernetes", "kube-apiserver")


def resting(figures: Figures) -> str:
    """Return the table of what tenants at rest cost."""
    found = figures["BenchmarkTenantsAtRest"]
    row = (
        f"{found['tenants']:,.0f}",
        f"{found['B/tenant']:.0f} B",
        f"{found['goroutines/tenant']:.2f}",
    )
    return table(("tenants", "memory of each", "goroutines of each"), [row])


def measured(name: str) -> Figures:
    """Return the figures of a benchmark on a real API server, which is run once."""
    return benchmark(
        "./integration", name, 1, "-tags=integration", "-benchtime=1x", "-timeout=30m"
    )


def page(
    figures: Figures, rest: Figures, drawn: str, load: float, minutes: float
) -> str:
    """Return the page, with the picture in the file ``drawn``.

    ``load`` is the load average before the measurement.
    """
    return f"""# A noisy neighbour

`make bench`, {time.strftime("%Y-%m-%d")}, {minutes:.0f} minutes: {machine()}; {versions()}, {api_server()};
API server, etcd and operator on the same machine, whose load was {load:.1f} at the start.

{latencies(figures)}

![Distributions of the times of quiet tenants: two panels, two curves each]({drawn})

## What is measured

50 quiet tenants have one object each. One of them is changed each 40 ms, in turn. The time of a change is from the API server's answer to
it until the end of the pass that saw it: what the watch takes, waiting, a call of 20 ms, and the write of the status.

The noisy tenant has 10,000 objects, which are made before anything is measured. It comes, and all of them are in the queue at once. Every
reconcile of it hangs for the 2 s of its budget and fails, and is repeated with backoff. Measuring begins when it has all the workers that it
gets, five of ten with sandboxes and all ten without, and the rest of its requests wait. Meanwhile one of its objects changes each 200 ms:
more than that would measure the API server, which nothing in an operator protects. With sandboxes it comes and goes ten times, and it is
measured for 10 s without and 10 s with it in turn; on controller-runtime alone it comes once, after 100 s, and stays for as long.

What is not done 2 s after a window counts as done then, so that the times of the last row are less than they would have been.

Both operators have ten workers, one controller, and the same code for tenants. On controller-runtime alone the deadline is
`context.WithTimeout` around `Reconcile`. A p95 with sandboxes of more than 1.2 times what it is without the noisy tenant fails the run, as a
ratio of no more than that on controller-runtime alone does, for then nothing is measured. A short form, with 500 objects, is a test of
every run (`TestQuietTenantsOnARealAPIServer`).

## At rest

{resting(rest)}

An operator with ten workers has 10,000 namespaces with one object each. The table has what is more in its memory after each namespace has
become a tenant and its object has been worked for, beside what was there of the same namespaces and objects before. More than 700 B for each
fails the run (`BenchmarkTenantsAtRest`).
"""


def main() -> int:
    """Measure, print the page and, with ``--page``, write it and the picture beside."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", type=Path, help="write the results to this page")
    options = parser.parse_args()
    load, begun = os.getloadavg()[0], time.monotonic()
    figures, rest = measured("Neighbours"), measured("TenantsAtRest")
    drawn = (options.page or Path("neighbours.md")).with_suffix(".svg")
    text = page(figures, rest, drawn.name, load, (time.monotonic() - begun) / 60)
    print(text)
    if options.page:
        drawn.write_text(
            picture(panels(figures), "Distributions of the times of quiet tenants"),
            "utf-8",
        )
        options.page.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
