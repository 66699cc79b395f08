"""The report as a page of docs."""

from __future__ import annotations

from benchmarks.leadership.bars import INCIDENTS, Bar, answers
from benchmarks.leadership.report import Report, Series, median
from benchmarks.measure import machine
from scaffold.table import table


def page(report: Report, held: list[Bar], picture: str) -> str:
    """Return the page; ``picture`` is the name of the timeline's file beside it."""
    lease = report.lease
    versions = ", ".join(
        f"{name} {report.versions[name]}" for name in sorted(report.versions)
    )
    return f"""# Losing the lease: a mode, not a death

`make soak`, {report.date}, {report.seconds / 60:.0f} minutes: {machine()}; {versions}.
On average {report.load:.0f} processes wanted to run: times are those of a machine that is as busy as that.

Pairs of operators do the same work without pause, one pair on this runtime and one on controller-runtime's plain manager, side by side in
one run on one API server, with the same lease: {lease['duration']:.0f} ms, renewed each {lease['retryperiod']:.0f} ms for at most {lease['renewdeadline']:.0f} ms, margin {lease['margin']:.0f} ms.
Writes are counted where they are committed: the API server's audit log has when each was received and answered, resource versions have
their order.

## The rule

{_rule(report)}

Measured while the lease was stolen {report.audience['ours']['steals']} times from each pair and both of its replicas were called without
pause. A plain replica that is not the leader takes writes like any other; a plain leader that was robbed is gone until it is started again.

## What is written

{_written(report)}

*After the next leader's* counts writes of the former leader that were committed after the first one of the next. *After the incident*
counts all that were committed once the lease, in etcd, was another one's or nobody's: with the watch, what was sent before the news came;
without it, what was sent until the next renewal. Nothing that was sent after the end of a term was accepted, and nothing that was on its way
then. Next to lead is the thief, who waits until the time of the last leader is over: that the lease has another name in it does not mean
that the last one knows. For that time nobody writes, which is also why there are fewer writes a second.

{_timing(report)}

A plain manager that is cut off from the lease overlaps here because client-go compares renewals by times in whole seconds, and so misses
some that are less than a second apart, as they are with a lease this short. The lock of this runtime sees each.

## One steal

![One steal of the lease: the plain manager writes on beside its successor, this runtime does not]({picture})

The first steal of the run. In red, writes of a leader that is none any more beside those of its successor.

## What holds

{table(("what", "found"), [(bar.claim, bar.found) for bar in held])}

`tests/leader` asserts the same of five of each, but for the times, and that the plain managers do write where they should not, or nothing
would be measured.

## What counts as what

The term of a write is the one that the work under its context was begun in. A context that was detached, as by `context.WithoutCancel`, is
still of that term, so that a clean-up which outlives its term is not sent in the next; `leader.TermOf(ctx)` tells which it is. Only a
context that has joined no term writes in whichever is in force.

A write is what is not known to be harmless: see [package fence](../templates/runtime/fence). A deletion is a dry run if the options in its
body say so, or those in its query if it has no body, as the API server reads them. A request that upgrades its connection is a stream,
whatever its subresource, except where the API server only answers: a watch of a resource, and the log of a pod. Streams end with the term
like everything else. client-go's executors for exec, attach and port forwarding keep their connections to themselves: they are opened under a
context that ends with the term, that of a pass or one from `leader.Join`, or not at all.

Another cluster's config is fenced by the same call as the operator's own, and used for clients or a `cluster.Cluster`:

```go
cfg, err := rt.Election().Fence(otherCluster)
```

Its API server is not told of the term by `--leader-elect-server-fence`: it does not have the lease to compare with.

## What may be wrong with a lease

- Its resource versions begin anew when etcd is restored from a backup. What the lock reads or writes is the truth all the same; only what
  the watch brings has to be newer than what is known. Whoever holds the lease by the backup goes on.
- Two processes have the same `--leader-elect-identity`. A renewal that this process has not sent is another's: it ends the term, whose cause
  says so, and the log says what to do. Both take part as if they had two names, so that one of them leads. A process that starts under
  the identity of its former life waits, as any successor does, unless that one has released the lease.

## What this does not cover

- A write that the API server has received cannot be called back. `--leader-elect-server-fence` has the API server itself compare each
  write with the lease, by the policy in `config/fence`; then such a write is judged when it is admitted.
- The fence holds back writes of clients made from the manager's config. Other side effects, such as a payment, call `leader.Join` first.
- Between the steal and the moment the watch tells, the former leader works on. It is alone then: its successor waits.
- Events are no writes: they tell of what was done in a term and may be sent after it.
"""


def _rule(report: Report) -> str:
    ours, plain = report.audience["ours"], report.audience["plain"]
    rows = [
        (
            "write API",
            "answers from every replica; refuses connections while the process is down",
            "503 with Retry-After from who does not lead",
            answers(plain["writes"]),
            answers(ours["writes"]),
        ),
        (
            "read API",
            "answers; refuses connections while the process is down",
            "answers from the cache; who does not lead adds a Warning",
            answers(plain["reads"]),
            answers(ours["reads"]),
        ),
        (
            "heartbeat",
            "none but the leader's",
            "each observer renews a Lease of its own",
            f"{plain['beats']} in {plain['seconds']:.0f} s",
            f"{ours['beats']} in {ours['seconds']:.0f} s",
        ),
        (
            "process",
            "ends",
            "goes on, and leads again when it is elected again",
            _again(report, "plain"),
            _again(report, "ours"),
        ),
    ]
    head = ("component", "before: plain manager", "after: this runtime")
    return table((*head, "plain, measured", "this, measured"), rows)


def _again(report: Report, mode: str) -> str:
    series = [modes[mode] for name, modes in report.incidents.items() if name != "stop"]
    count = sum(len(s.outcomes) for s in series)
    return (
        f"led again after {sum(s.sum('reelected') for s in series)} of {count} losses"
    )


def _written(report: Report) -> str:
    rows = []
    for name, what in INCIDENTS.items():
        plain, ours = report.incidents[name]["plain"], report.incidents[name]["ours"]
        rows.append(
            (
                what,
                str(len(ours.outcomes)),
                f"{plain.sum('overlap'):,}",
                f"{ours.sum('overlap'):,}",
                f"{plain.sum('beyond'):,}",
                f"{ours.sum('beyond'):,}",
                _rate(plain),
                _rate(ours),
            )
        )
    head = (
        "incident",
        "times",
        "after the next leader's: plain",
        "this",
        "after the incident: plain",
        "this",
        "writes per s: plain",
        "this",
    )
    return table(head, rows)


def _rate(series: Series) -> str:
    return f"{series.commits / series.seconds:.0f}"


def _timing(report: Report) -> str:
    rows = []
    for name, what in INCIDENTS.items():
        modes = report.incidents[name]
        rows.append(
            (
                what,
                *(_spread(modes[mode].ended()) for mode in ("plain", "ours")),
                *(_spread(modes[mode].led()) for mode in ("plain", "ours")),
            )
        )
    head = (
        "milliseconds from the incident, median (most)",
        "stops: plain",
        "this",
        "next leads: plain",
        "this",
    )
    return table(head, rows)


def _spread(values: list[float]) -> str:
    if not values:
        return "never"
    return f"{median(values):,.0f} ({max(values):,.0f})"
