"""The measurement itself, a Go program on a real API server, and its report."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from scaffold import resources
from scaffold.controlplane import control_plane

MODULE = resources.root() / "templates/runtime"


@dataclass(frozen=True)
class Plan:
    """How often what happens."""

    steals: int
    count: int
    """Of each other incident."""
    terms: int
    killing: int
    """Seconds."""


FULL = Plan(steals=200, count=50, terms=200, killing=300)
SHORT = Plan(steals=5, count=5, terms=20, killing=20)


@dataclass(frozen=True)
class Line:
    """Something for a picture: milliseconds from the incident, who, what."""

    at: float
    who: str
    what: str


@dataclass(frozen=True)
class Outcome:
    """One incident, as ``measure/incident.go`` describes it; milliseconds."""

    ended: float | None
    led: float
    sent: int
    in_flight: int
    beyond: int
    overlap: int
    reelected: bool
    why: str
    """The reason that the former leader gave for the end of its term."""
    taken_from: str
    """Who held the lease right before the next leader; empty if it was released."""
    lines: tuple[Line, ...]

    @classmethod
    def read(cls, found: dict[str, Any]) -> Self:
        """Return what the program reported."""
        return cls(
            found["ended"],
            found["led"],
            found["sent"],
            found["inFlight"],
            found["beyond"],
            found["overlap"],
            found["reelected"],
            found["why"],
            found["from"],
            tuple(Line(**line) for line in found.get("lines", ())),
        )


@dataclass(frozen=True)
class Series:
    """One kind of incident that happened to one kind of operator."""

    seconds: float
    commits: int
    outcomes: tuple[Outcome, ...]

    def handover(self) -> list[float]:
        """Return how long it took from the end of a term to the next."""
        return [o.led - o.ended for o in self.outcomes if o.ended is not None]

    def sum(self, name: str) -> int:
        """Return the sum of a count."""
        return sum(int(getattr(outcome, name)) for outcome in self.outcomes)

    def ended(self) -> list[float]:
        """Return how long terms went on, of those that ended."""
        return [o.ended for o in self.outcomes if o.ended is not None]

    def led(self) -> list[float]:
        """Return how long it took until the next term."""
        return [o.led for o in self.outcomes]


@dataclass(frozen=True)
class Report:
    """Everything that was found out in one run."""

    date: str
    seconds: float
    load: float
    """Processes that wanted to run, on average."""
    lease: dict[str, float]
    """Milliseconds."""
    versions: dict[str, str]
    incidents: dict[str, dict[str, Series]]
    """By incident, then by mode: ``ours`` or ``plain``."""
    audience: dict[str, dict[str, Any]]
    transitions: dict[str, Any]
    killing: dict[str, Any]

    @classmethod
    def read(cls, text: str) -> Self:
        """Return what the program printed."""
        found = json.loads(text)
        incidents = {
            name: {
                mode: Series(
                    series["seconds"],
                    series["commits"],
                    tuple(Outcome.read(outcome) for outcome in series["outcomes"]),
                )
                for mode, series in modes.items()
            }
            for name, modes in found["incidents"].items()
        }
        return cls(
            found["date"],
            found["seconds"],
            found["load"],
            {name.lower(): value for name, value in found["lease"].items()},
            found["versions"],
            incidents,
            found["audience"],
            found["transitions"],
            found["killing"],
        )


def median(values: list[float]) -> float:
    """Return the median, as of nothing if there is none."""
    return statistics.median(values) if values else float("nan")


def measure(plan: Plan) -> str:
    """Carry a plan out and return the program's report; progress goes to stderr.

    The load average of the last quarter of an hour is added to it.
    """
    command = [
        "go",
        "run",
        "./integration/leadership/measure",
        f"-steals={plan.steals}",
        f"-count={plan.count}",
        f"-terms={plan.terms}",
        f"-killing={plan.killing}s",
    ]
    with (
        tempfile.TemporaryDirectory(prefix="ctxscaffold-leadership-") as name,
        control_plane(audit=Path(name) / "audit.log") as cluster,
    ):
        done = subprocess.run(
            command,
            cwd=MODULE,
            env=cluster.environment(),
            stdout=subprocess.PIPE,
            stderr=sys.stderr,
            text=True,
        )
    if done.returncode != 0:
        raise SystemExit("the measurement failed, as said above")
    return json.dumps(json.loads(done.stdout) | {"load": os.getloadavg()[2]})
