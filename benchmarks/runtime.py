"""The lifecycle runtime beside controller-runtime alone, in one run.

The measurements are Go's, in ``templates/runtime``; here they are run, and their
figures put into a page.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from benchmarks.gobench import attributes, benchmark, versions
from benchmarks.measure import machine
from scaffold.table import table


def overhead(rounds: int) -> str:
    """Measure a pass through the chain beside one without it."""
    blocks = benchmark("./reconciler", "Overhead", rounds, "-benchtime=5x")
    passes = benchmark("./reconciler", "Pass", 1, "-benchtime=100000x")
    (ns,) = blocks.values()
    allocations = {
        which: passes[f"BenchmarkPass/{which}"]["allocs/op"]
        for which in ("bare", "wrapped")
    }
    rows = [
        (which, f"{ns[f'{which}-ns/pass']:.0f}", f"{allocations[which]:.0f}")
        for which in ("bare", "wrapped")
    ]
    added = allocations["wrapped"] - allocations["bare"]
    rows.append(("added", f"{ns['added-ns/pass']:.0f}", f"{added:.0f}"))
    return table(
        ("a pass in which nothing is to be written", "ns", "allocations"), rows
    )


PARTS = {
    "deadline": "a deadline with a cause",
    "cancel": "being told of shutdown and of newer generations",
    "snapshot": "a copy of the status",
    "witness": "a witness of what the user's code writes",
    "verdict": "the verdict, and whether it is worth an event",
    "say": "the conditions, the comparison with the copy, and what is remembered",
}
READS = {
    "nothing": "nothing was written that the cache does not have",
    "another": "another object of the kind was",
    "itself": "the object itself was, and the cache has it; with the note of the write",
}


def parts(rounds: int) -> str:
    """Measure the parts of a pass, each alone."""
    ((_, ns),) = benchmark("./reconciler", "Parts", rounds, "-benchtime=2x").items()
    return table(
        ("part", "ns"),
        [(told, f"{ns[f'{part}-ns']:.0f}") for part, told in PARTS.items()],
    )


def freshness(rounds: int) -> str:
    """Measure what a read costs more than one of the cache."""
    ((_, ns),) = benchmark("./freshness", "Freshness", rounds, "-benchtime=2x").items()
    return table(
        ("where", "ns"),
        [(told, f"{ns[f'{read}-ns']:.0f}") for read, told in READS.items()],
    )


WORK = {"status": "its status alone", "object": "the object, and then its status"}


def throughput(rounds: int) -> str:
    """Measure how fast many objects are settled, beside controller-runtime alone."""
    found = benchmark(
        "./integration",
        "Throughput",
        rounds,
        "-tags=integration",
        "-benchtime=1x",
        "-timeout=30m",
    )
    rows = []
    for work, told in WORK.items():
        rate = found[f"BenchmarkThroughput/{work}"]
        plain, ours = rate["plain-objects/s"], rate["our-objects/s"]
        rows.append((told, f"{plain:.0f}", f"{ours:.0f}", f"{rate['ratio']:.3f}"))
    return table(
        (
            "a pass writes",
            "controller-runtime alone, objects/s",
            "this runtime",
            "ratio",
        ),
        rows,
    )


def cadence() -> str:
    """Measure how much periods are stretched, beside a plain RequeueAfter."""
    found = attributes("./reconciler", "TestCadenceDoesNotStretch")
    rows = []
    for test, figures in found.items():
        share = float(test.partition("work_of_")[2].partition("_")[0])
        rows.append(
            (f"{100 * share:.0f}", figures["grid"], figures["RequeueAfter"]),
        )
    head = ("work, % of the period", "Every()", "RequeueAfter: period")
    return table(head, rows)


def payments() -> str:
    """Run the payment case: the same faults, one flat timeout and layered budgets."""
    found = attributes(
        "./integration",
        "TestLayeredBudgetsAgainstOneFlatTimeout",
        "-tags=integration",
    )
    ((_, figures),) = found.items()
    rows = [
        ("one flat timeout", figures["flat-percent"]),
        ("layered budgets", figures["layered-percent"]),
    ]
    return (
        f"{figures['payments']} payments of four requests each, of which "
        f"{float(figures['stalled-percent']):g} % do not come through in time.\n\n"
        + table(("time for a payment: 2 s", "failed %"), rows)
    )


def ends() -> str:
    """Measure what is left behind, and the shutdown while no API server answers."""
    cycles = attributes("./reconciler", "TestTenThousandCyclesLeaveNothingBehind")
    runs = attributes("./manager", "TestManyRunsLeaveNothingBehind")
    outage = attributes(
        "./integration", "TestShutdownDuringAnOutage", "-tags=integration"
    )
    ((_, cycle),), ((_, managed),) = cycles.items(), runs.items()
    ((_, shutdown),) = outage.items()
    rows = [
        (
            f"{cycle['cycles']} passes that succeed, panic, time out, are cancelled, "
            "shut down or lose the lease",
            f"no goroutine more, heap {cycle['heap-bytes']} B",
        ),
        (
            f"{managed['runs']} managers started and stopped",
            f"no goroutine more, heap {managed['heap-bytes']} B",
        ),
        (
            "shutdown with 12 informers after 8 s without an API server",
            f"{float(shutdown['shutdown'].removesuffix('s')):.1f} s",
        ),
    ]
    return table(("what", "left behind, or taken"), rows)


def page(rounds: int) -> str:
    """Run everything and return the page."""
    load = os.getloadavg()[0]
    return f"""# The runtime, beside controller-runtime alone

`make bench`, {time.strftime("%Y-%m-%d")}: {machine()}; {versions()};
a real kube-apiserver and etcd on the same machine, whose load was {load:.1f} at the start. Both sides of a table come from one run, so trust
the ratios more than the figures: above a load of 2 the times say more about the machine.

## Overhead

{overhead(rounds)}

The reconciler finds everything in order. Logger and telemetry are off on both sides. Where it goes, each part measured alone:

{parts(rounds)}

What a read of an object costs beside one of the cache, so that it is not older than what this process wrote:

{freshness(rounds)}

## Throughput

{throughput(max(1, rounds // 3))}

Objects that are to be made ready, one worker each, the same logic on the same API server at the same time. The plain operator is
careful: it writes only what has changed, and records an event when Ready changes. What it writes it may read again in an older state.

## Cadence

How far apart 1,000 starts are, in periods, by controller-runtime's own queue in fake time.

{cadence()}

## The payment case

{payments()}

Both have the same seed of faults between them and a real API server. The flat timeout lets one request that does not come through use
up the payment's time; the layered budgets give each attempt its share and repeat, with backoff, what is safe to repeat.

## Ends

{ends()}
"""


def main() -> int:
    """Measure, print the page and, with ``--page``, write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--page", type=Path, help="write the results to this page")
    options = parser.parse_args()
    text = page(options.rounds)
    print(text)
    if options.page:
        options.page.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
