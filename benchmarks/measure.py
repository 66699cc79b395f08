"""CPU and wall time of whole processes, children included, as medians."""

from __future__ import annotations

import os
import platform
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of CPU (user and system) and of wall clock."""

    cpu: float
    wall: float


def run(command: Sequence[str | Path], cwd: Path) -> Cost:
    """Run a command to its end and return what it and its children cost.

    Python may keep its bytecode, as it does where it is installed.
    """
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    begun = time.monotonic()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(cpu, time.monotonic() - begun)


def median(rounds: int, measure: Callable[[], Cost]) -> Cost:
    """Return the medians of ``rounds`` measurements after one that is not counted."""
    measure()
    costs = [measure() for _ in range(rounds)]
    return Cost(
        statistics.median(cost.cpu for cost in costs),
        statistics.median(cost.wall for cost in costs),
    )


def machine() -> str:
    """Return the machine and the versions a result was measured with."""
    go = subprocess.run(["go", "version"], capture_output=True, text=True).stdout
    return (
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, {go.split()[2]}"
    )
