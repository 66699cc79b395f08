"""What must hold of every run, each as one line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.leadership.report import Plan, Report, median

INCIDENTS = {
    "steal": "the lease is stolen",
    "steal, unwatched": "the lease is stolen, its watch brings nothing",
    "delete": "the lease is deleted",
    "partition": "the connection to the lease is cut, writes get through",
    "freeze": "the process is frozen for longer than the lease",
    "stop": "the process gets SIGTERM",
}
WHY = {
    "steal": "held by",
    "steal, unwatched": "held by",
    "delete": "deleted",
    "partition": "not renewed",
    "freeze": "not renewed",
}
"""What ends the term. Whoever learns it too late finds that its time has run out."""
TIMELY = "not renewed"
STEAL = 50.0  # milliseconds from a steal to the end of the term, in the median
SLACK = 10  # goroutines: connections and timers come and go; a leak would be one a term


@dataclass(frozen=True)
class Bar:
    """One thing that must hold."""

    claim: str
    found: str
    holds: bool

    def __str__(self) -> str:
        return f"{'holds' if self.holds else 'BROKEN'}: {self.claim}: {self.found}"


def bars(report: Report, plan: Plan) -> list[Bar]:
    """Return what must hold of ``report``, made by ``plan``, on any machine."""
    return [
        *_incidents(report, plan),
        *_causes(report),
        *_transitions(report, plan),
        *_killing(report, plan),
    ]


def _incidents(report: Report, plan: Plan) -> Iterator[Bar]:
    for name, what in INCIDENTS.items():
        ours = report.incidents[name]["ours"]
        count = len(ours.outcomes)
        planned = plan.steals if name == "steal" else plan.count
        writes = [ours.sum(key) for key in ("sent", "in_flight", "overlap")]
        yield Bar(
            f"{what}: writes sent after the term had ended, on their way then and "
            "accepted later, after the next leader's first",
            f"{writes[0]}, {writes[1]}, {writes[2]} in {count} times",
            count == planned and not any(writes),
        )
        if name != "stop":
            again = ours.sum("reelected")
            yield Bar(
                f"{what}: the same process led again",
                f"{again} of {count}",
                again == count,
            )


def _causes(report: Report) -> Iterator[Bar]:
    for name, why in WHY.items():
        outcomes = report.incidents[name]["ours"].outcomes
        known = sum(why in o.why or TIMELY in o.why for o in outcomes)
        yield Bar(
            f"{INCIDENTS[name]}: that is why the term ended",
            f"{known} of {len(outcomes)}",
            known == len(outcomes),
        )
    outcomes = report.incidents["stop"]["ours"].outcomes
    released = sum(o.taken_from == "" for o in outcomes)
    yield Bar(
        f"{INCIDENTS['stop']}: the next leader took a lease that was released",
        f"{released} of {len(outcomes)}",
        released == len(outcomes),
    )
    stop = report.incidents["stop"]["ours"]
    yield Bar(
        "writes after the release of the lease",
        str(stop.sum("beyond")),
        stop.sum("beyond") == 0,
    )


def times(report: Report) -> Iterator[Bar]:
    """Yield how long things may take, on a machine that is not too busy."""
    lease = report.lease
    ended = median(report.incidents["steal"]["ours"].ended())
    yield Bar(
        f"the watch ends the term within {STEAL:.0f} ms of a steal, in the median",
        f"{ended:.1f} ms",
        ended <= STEAL,
    )
    yield _within(
        "without the watch, a retry period and a call end it",
        report.incidents["steal, unwatched"]["ours"].ended(),
        lease["retryperiod"] + lease["renewdeadline"] / 2,  # a call's timeout
    )
    cut = report.incidents["partition"]["ours"].ended()
    limit = lease["duration"] - lease["margin"]
    yield Bar(
        f"cut off from the lease, the term ends within {limit:.0f} ms, in the median",
        f"{median(cut):.1f} ms, {max(cut):.1f} ms at most",
        median(cut) <= limit,
    )
    yield _within(
        "a successor leads within a retry period of the release",
        report.incidents["stop"]["ours"].handover(),
        lease["retryperiod"],
    )


def _within(claim: str, found: list[float], limit: float) -> Bar:
    worst = max(found)
    return Bar(
        f"{claim}: at most {limit:.0f} ms",
        f"{median(found):.1f} ms in the median, {worst:.1f} ms at most",
        worst <= limit,
    )


def _transitions(report: Report, plan: Plan) -> Iterator[Bar]:
    found = report.transitions
    terms = f"{found['terms']} terms"
    yield Bar("terms, one after the other", terms, found["terms"] == plan.terms)
    reads, writes = found["reads"], found["writes"]
    yield Bar(
        f"reads in {terms}: none fails",
        answers(reads),
        bool(reads) and set(reads) <= {"200", "200 and warning"},
    )
    yield Bar(
        f"writes in {terms}: 200, or 503 with Retry-After",
        answers(writes),
        set(writes) == {"200", "503 and retry"},
    )
    yield Bar(
        f"processes that ended in {terms}",
        str(found["restarts"]),
        found["restarts"] == 0,
    )
    for name, slack in (("handlers", 0), ("goroutines", SLACK)):
        before = [counts[name] for counts in found["before"]]
        after = [counts[name] for counts in found["after"]]
        yield Bar(
            f"{name} of each replica before and after {terms}",
            ", ".join(f"{b} and {a}" for b, a in zip(before, after, strict=True)),
            all(a <= b + slack for b, a in zip(before, after, strict=True)),
        )


def answers(counts: dict[str, int]) -> str:
    """Say how often there was which answer."""
    return ", ".join(f"{counts[name]:,} x {name}" for name in sorted(counts))


def _killing(report: Report, plan: Plan) -> Iterator[Bar]:
    found = report.killing
    kills = f"{found['kills']} kills of three replicas in {found['seconds']:.0f} s"
    yield Bar(
        "kills, in the time planned",
        kills,
        found["seconds"] == plan.killing and found["kills"] > 0,
    )
    yield Bar(
        f"{kills}: writers that wrote when another one had written since",
        f"{found['twoWriters']} of {found['terms']} terms",
        found["twoWriters"] == 0,
    )
    yield Bar(
        f"{kills}, {found['changes']} changes meanwhile: objects left unreconciled",
        str(found["unreconciled"]),
        found["unreconciled"] == 0,
    )


def instrument(report: Report) -> Iterator[Bar]:
    """Yield what tells that the run measures anything: plain managers do it."""
    for name in ("steal", "freeze"):
        plain = report.incidents[name]["plain"].sum("overlap")
        yield Bar(
            f"{INCIDENTS[name]}: a plain manager is seen to write after the next leader's first",
            str(plain),
            plain > 0,
        )
