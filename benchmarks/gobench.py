"""Figures of the runtime's Go benchmarks and tests, in ``templates/runtime``."""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping

from scaffold import resources
from scaffold.controlplane import ensure_built

RUNTIME = resources.root() / "templates/runtime"
# Of go test, with which a benchmark says a figure: `12.5 ns/op`.
_FIGURE = re.compile(r"([0-9.]+(?:e[-+]?[0-9]+)?) (\S+)")

Figures = Mapping[str, Mapping[str, float]]
Attributes = Mapping[str, Mapping[str, str]]


def go_test(*arguments: str) -> Iterator[dict[str, str]]:
    """Run ``go test`` in the runtime and yield its events; exit with its errors."""
    run = subprocess.run(
        ["go", "test", "-json", "-count=1", *arguments],
        cwd=RUNTIME,
        capture_output=True,
        text=True,
        env=os.environ | {"KUBEBUILDER_ASSETS": str(ensure_built(print))},
    )
    events = [json.loads(line) for line in run.stdout.splitlines()]
    if run.returncode != 0:
        output = "".join(event.get("Output", "") for event in events)
        raise SystemExit(f"go test {' '.join(arguments)}\n{output}{run.stderr}")
    yield from events


def benchmark(package: str, name: str, rounds: int, *arguments: str) -> Figures:
    """Return the median of each figure, by the benchmark's name and the unit."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for _ in range(rounds):
        output = "".join(
            event.get("Output", "")
            for event in go_test("-run=^$", f"-bench={name}", *arguments, package)
        )
        for line in output.splitlines():
            if line.startswith("Benchmark") and "\t" in line:
                which = re.sub(r"-\d+$", "", line.split()[0])
                for value, unit in _FIGURE.findall(line.replace("\t", " ")):
                    found[which][unit].append(float(value))
    if not found:
        raise SystemExit(f"no benchmark {name} in {package}")
    return {
        which: {unit: statistics.median(values) for unit, values in units.items()}
        for which, units in found.items()
    }


def attributes(package: str, tests: str, *arguments: str) -> Attributes:
    """Return what tests say of themselves, by test and key."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for event in go_test(f"-run=^({tests})$", *arguments, package):
        if event["Action"] == "attr":
            found[event["Test"]][event["Key"]] = event["Value"]
    if not found:
        raise SystemExit(f"no figures from {tests} in {package}")
    return found


def versions() -> str:
    """Return the versions that matter to the figures, as go.mod has them."""
    text = (RUNTIME / "go.mod").read_text("utf-8")
    wanted = ("sigs.k8s.io/controller-runtime", "k8s.io/client-go")
    found = (re.search(rf"{re.escape(name)} (v\S+)", text) for name in wanted)
    return ", ".join(
        f"{name.rpartition('/')[2]} {match[1]}"
        for name, match in zip(wanted, found, strict=True)
        if match
    )
