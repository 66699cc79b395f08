"""Run Go tests and count them; a skipped test does not count as passed."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

Record = Callable[[str, object], None]


def go(module: Path, *arguments: str, env: Mapping[str, str] | None = None) -> str:
    """Run a go command in ``module`` and return what it prints; fail with its errors."""
    run = subprocess.run(
        ["go", *arguments], cwd=module, capture_output=True, text=True, env=env
    )
    assert run.returncode == 0, f"go {' '.join(arguments)}\n{run.stdout}{run.stderr}"
    return run.stdout


def go_test(
    module: Path,
    record: Record,
    *arguments: str,
    env: Mapping[str, str] | None = None,
) -> Counter[str]:
    """Run ``go test`` and record how many tests passed.

    Fails with the output of the tests that failed, if any was skipped, and if
    none ran.
    """
    run = subprocess.run(
        ["go", "test", "-json", *arguments],
        cwd=module,
        capture_output=True,
        text=True,
        env=env,
    )
    counts: Counter[str] = Counter()
    output: dict[str, list[str]] = {}
    bad: list[str] = []
    for line in run.stdout.splitlines():
        event = json.loads(line)
        name = (
            f"{event.get('Package') or event.get('ImportPath')} {event.get('Test', '')}"
        )
        action = event["Action"]
        if "Output" in event:
            output.setdefault(name, []).append(event["Output"])
        if action in ("fail", "skip", "build-fail") and (
            "Test" in event or action != "skip"
        ):
            bad.append(f"{action}: {name}\n{''.join(output.get(name, []))}")
        if "Test" in event and action in ("pass", "fail", "skip"):
            counts[action] += 1
    assert not bad, "\n".join(bad)
    assert run.returncode == 0, run.stderr
    assert counts["pass"], f"no test ran in {module}"
    record("go passed", counts["pass"])
    return counts
