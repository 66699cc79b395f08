"""What an operator gets wrong when its watches are late, at each lateness.

The tests are Go's, in ``templates/runtime/integration``, and fail where anything is
wrong; here their long form is run, and what they found put into a page.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gobench import RUNTIME, versions
from benchmarks.measure import machine
from benchmarks.neighbours import api_server
from scaffold.controlplane import ensure_built
from scaffold.table import table

DELAYS = (0, 10, 50, 200, 1000)  # milliseconds, those of the tests' long form
TESTS = (
    "TestNoReadyConditionStaysWrong",
    "TestNoBucketLeaks",
    "TestNoBucketIsMadeTwice",
    "TestRollingRestartsChangeNoReadyCondition",
    "TestATermBeginsWhereTheLastOneEnded",
    "TestRequestsBesideAPlainOperator",
)


@dataclass(frozen=True)
class Fault:
    """A fault by the name the tests have for it, as a reader needs it told."""

    name: str
    told: str
    # How many were wrong at each delay before any of this was repaired, and of how
    # many each.
    before: tuple[int, ...]
    of: int


FAULTS = (
    Fault(
        "Ready wrong after a failure, of a new object",
        "Ready wrong: first passes of new objects",
        (0, 0, 0, 0, 0),
        40,
    ),
    Fault(
        "Ready wrong after a failure, of one that was ready",
        "Ready wrong: another pass of ready ones",
        (3, 28, 40, 40, 40),
        40,
    ),
    Fault(
        "Ready wrong after a failure, of a new generation",
        "Ready wrong: new generations of ready ones",
        (1, 11, 0, 0, 0),
        40,
    ),
    Fault(
        "bucket leaked, deleted by the pass",
        "bucket leaked: deleted by the pass itself",
        (19, 25, 29, 38, 38),
        40,
    ),
    Fault(
        "bucket leaked, deleted after 50 ms of 60",
        "bucket leaked: deleted 50 ms into a pass of 60",
        (6, 8, 12, 20, 40),
        40,
    ),
    Fault(
        "bucket made again, with a finalizer",
        "bucket made again: kind with a finalizer",
        (11, 34, 34, 13, 0),
        40,
    ),
    Fault(
        "bucket made again, without a finalizer",
        "bucket made again: kind without one",
        (11, 38, 56, 80, 80),
        40,
    ),
    Fault(
        "changes of Ready in a rolling restart",
        "rolling restart: changes of Ready, of all in each restart",
        (64, 64, 56, 54, 55),
        240,
    ),
    Fault(
        "Unknown left by a rolling restart",
        "rolling restart: Ready wrong after the last",
        (0, 0, 2, 4, 5),
        40,
    ),
    Fault(
        "the last leader's word left in a new term",
        "new term: the last leader's word left",
        (16, 18, 20, 20, 20),
        20,
    ),
    Fault(
        "a bucket of the last leader made again",
        "new term: bucket made again",
        (16, 18, 20, 20, 20),
        20,
    ),
)

STAGES = {
    "creation": "creation to Ready",
    "a new generation": "a new generation",
    "rest": "at rest",
}


Found = Mapping[tuple[str, int], Mapping[str, int]]  # by fault or stage, and delay


def read(text: str) -> tuple[str, Found]:
    """Return how a report was made, and what it found."""
    how, found = "", {}
    for line in text.splitlines():
        values = json.loads(line)
        if "how" in values:
            how = values["how"]
        else:
            name = values.pop("fault", None) or values.pop("requests")
            found[name, values["delay"]] = values
    return how, found


def faults(found: Found) -> str:
    """Return the table of faults, before and now."""
    rows = []
    for fault in FAULTS:
        now = [found.get((fault.name, delay)) for delay in DELAYS]
        rows.append((fault.told, counts(fault.before, fault.of), measured(now)))
    return table(("fault", "before", "now"), rows)


def counts(bad: Iterable[int], of: int) -> str:
    """Return counts at all delays as one cell."""
    return f"{', '.join(f'{n:,}' for n in bad)} of {of:,}"


def measured(now: list[Mapping[str, int] | None]) -> str:
    """Return what was found at all delays as one cell."""
    results = [one for one in now if one is not None]
    if len(results) < len(DELAYS):
        return "not measured yet"
    return counts((one["bad"] for one in results), results[0]["of"])


def requests(found: Found) -> str:
    """Return the table of requests, for each object."""
    rows = []
    for stage, told in STAGES.items():
        for delay in DELAYS:
            if one := found.get((stage, delay)):
                per = [
                    f"{one[name] / one['of']:.2f}"
                    for name in ("plain_writes", "writes", "plain_reads", "reads")
                ]
                rows.append((told, f"{delay:,}", *per))
    if not rows:
        return "Not measured yet."
    head = ("", "lag, ms", "writes: plain", "this", "reads: plain", "this")
    return table(head, rows)


def page(found: Found, how: str) -> str:
    """Return the page; ``how`` says when and where it was measured."""
    return f"""# Stale caches

An operator does not read the cluster, it reads a cache that a watch keeps. What the watch brings comes late: on an idle API server by less than
a retry takes, on a busy one by much more, and nothing tells the reader how late. An operator that takes such a state for the present one
writes a status that is wrong and stays so, makes things twice, and forgets what it has made.

## The contract

A context says until when one may act and on whose behalf. This is on what knowledge: **a pass never acts on a state older than the last write
this process made to the object, nor, in a new term, older than what any former leader wrote.**

- A pass whose cache is behind waits, and asks the API server for its object when that takes longer than 100 ms. The wait is bounded by the
  pass's budget; when that runs out the pass ends with an outcome of its own, `stale_cache_deadline`, and is tried again. It is not a failure of
  the object, and its status is left as it was.
- In a new term the first pass of a kind asks the API server which objects the cache shows in another version than is stored, by one list of
  their metadata. Passes on those wait as above, whoever wrote them.
- In the ordinary case, when the cache is up to date, this costs no request but that list.

What somebody else writes may still come late, as it does to everybody. [contexts.md](contexts.md) has the other parts of a pass's contract.

## What is found

{how or "`make soak` has not been run since these tests were written."}

Each fault is provoked at a lag of 0, 10, 50, 200 and 1,000 ms, in this order in the table. *Before* is the runtime as it was when the tests
were written, in smaller numbers, on a machine of two cores with a load average of 25 to 35.

{faults(found)}

- *Ready wrong*: a pass fails and writes `Ready=False`, its retry succeeds before the watch has told of that write. Wrong is any status but one
  `Ready=True` of the present generation, when nothing more happens.
- *Bucket leaked*: `FinalizeKind` removes the bucket that the status names; the object was deleted before the pass that made the bucket had
  written its name.
- *Bucket made again*: a pass makes a bucket if the status names none, and is followed at once by two more. Counted is each bucket beyond the
  first. Where the kind has a finalizer, a second pass that did not know of it yet added it again, met with a conflict, and read what is stored.
- *Rolling restart*: two replicas, the leader stopped while passes are running, 20 times. Objects that are ready are to be said to be ready at
  every moment, by a watch that is not late.
- *New term*: of what the last leader wrote in its last moments, the cache of the next one learns so much after its term has begun. Counted are
  objects that keep the word of the last leader, and buckets made again whose name is in the stored status.

Requests per object, beside a careful operator of controller-runtime alone that does the same and is as late. Leases and watches are not counted;
at rest is half a minute.

{requests(found)}

## The harness

Package [lag](../templates/runtime/lag) is a proxy in this process between operator and API server. It delays, holds back and cuts the watches
of each resource, and does nothing that a real API server could not do: what a watch brings stays in its order and is complete, bookmarks and
the initial events of a streamed list among it, each watch is late by itself, and gets, lists and writes pass at once. It does not look into
what it passes on, so JSON, Protobuf and CBOR are all the same to it, and it counts requests.

```go
p, err := lag.New(config)               // in front of the API server of config
operator := run(p.Config())             // by TLS and HTTP/2 on the loopback interface
p.Delay(50 * time.Millisecond)          // all watches; or only those of resources named
release := p.Hold(widgets)              // nothing comes until it is released
p.Cut(widgets)                          // the watches end; what they held is lost to them
```

Requests that upgrade the connection, such as exec, are refused with 501.

The tests of the table, `templates/runtime/integration/stale*_test.go`, run in CI in a short form, at 0 and 50 ms; `STALENESS=long` takes the
full numbers and all delays, and `STALENESS_REPORT` names a file for the results.

Every emitted conformance test runs with watches that are 50 ms late, and its first part also with none that is;
`CONFORMANCE_LAG=0s,10ms,1s` has it run once for each of those, as `make soak` does.
"""


def measure() -> str:
    """Run the tests in their long form and return their report."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.jsonl"
        run = subprocess.run(
            [
                *("go", "test", "-count=1", "-timeout=6h", "-tags=integration"),
                *(f"-run=^({'|'.join(TESTS)})$", "./integration"),
            ],
            cwd=RUNTIME,
            env=os.environ
            | {
                "KUBEBUILDER_ASSETS": str(ensure_built(print)),
                "STALENESS": "long",
                "STALENESS_REPORT": str(report),
            },
        )
        if run.returncode != 0:
            raise SystemExit("not all holds; no page is written")
        minutes = (time.monotonic() - begun) / 60
        how = (
            f"`make soak`, {time.strftime('%Y-%m-%d')}, {minutes:.0f} minutes: "
            f"{machine()};\n{versions()}, {api_server()}."
        )
        return f"{json.dumps({'how': how})}\n{report.read_text('utf-8')}"


def main() -> int:
    """Measure and, with ``--page``, write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", type=Path, help="write the results to this page")
    parser.add_argument("--report", type=Path, help="keep what was found, as JSON")
    parser.add_argument("--read", type=Path, help="read such JSON, measure nothing")
    options = parser.parse_args()
    text = options.read.read_text("utf-8") if options.read else measure()
    if options.report:
        options.report.write_text(text, "utf-8")
    how, found = read(text)
    print(f"{faults(found)}\n\n{requests(found)}")
    if options.page:
        options.page.write_text(page(found, how), "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
