"""Generating an operator, beside kubebuilder doing the same, in one run.

Both start from nothing and end with a project whose types, deepcopy methods,
manifests and controllers are written. kubebuilder's first round, in which it
installs controller-gen, is not counted, nor is ours.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import Cost, machine, median, run
from scaffold import resources
from scaffold.table import table

ROOT = resources.root()
CTXSCAFFOLD = Path(sys.executable).with_name("ctxscaffold")
CRD = (ROOT / "examples/minimal/crds/beacon.yaml").read_text("utf-8")


def crd(number: int) -> str:
    """Return the CRD of a kind of its own."""
    return (
        CRD.replace("Beacon", f"Beacon{number}")
        .replace("beacons", f"beacon{number}s")
        .replace("singular: beacon", f"singular: beacon{number}")
    )


class Bench:
    """The measurements, each in a folder of its own below ``folder``."""

    def __init__(self, folder: Path, rounds: int) -> None:
        self.folder = folder
        self.rounds = rounds
        self.rows: list[tuple[str, Cost]] = []

    def add(self, name: str, cost: Cost) -> Cost:
        """Note a result, say it, and return it."""
        print(f"{name}: {cost.cpu:.3f} s CPU, {cost.wall:.3f} s", file=sys.stderr)
        self.rows.append((name, cost))
        return cost

    def help(self) -> None:
        """Measure the front door itself."""
        self.add(
            "ctxscaffold --help",
            median(self.rounds, lambda: run([CTXSCAFFOLD, "--help"], self.folder)),
        )

    def new(self, kinds: int) -> None:
        """Measure a project from nothing."""
        source = self._crds(kinds)

        def once() -> Cost:
            project = self._empty(f"new{kinds}")
            return run([CTXSCAFFOLD, "new", project, "--crd", source], self.folder)

        self.add(f"ctxscaffold new, {_kinds(kinds)}", median(self.rounds, once))

    def generate(self, kinds: int) -> None:
        """Measure all derived files of a project anew, then one field changed."""
        project = self._empty(f"generate{kinds}")
        run([CTXSCAFFOLD, "new", project, "--crd", self._crds(kinds)], self.folder)

        def anew() -> Cost:
            for name in ("api", "internal", "config/crd", "config/samples"):
                shutil.rmtree(project / name)
            (project / ".ctxscaffold/manifest.json").unlink()
            return run([CTXSCAFFOLD, "generate", "--overwrite"], project)

        self.add(f"ctxscaffold generate, {_kinds(kinds)}", median(self.rounds, anew))
        changed = project / "crds/0.yaml"
        text = changed.read_text("utf-8")
        count = 0

        def field() -> Cost:
            nonlocal count
            count += 1
            changed.write_text(
                text.replace("Colour of the light", f"Colour number {count}"), "utf-8"
            )
            return run([CTXSCAFFOLD, "generate"], project)

        self.add(
            f"ctxscaffold generate, one field of {_kinds(kinds)}",
            median(self.rounds, field),
        )

    def kubebuilder(self) -> None:
        """Measure kubebuilder's way to one kind with its webhooks and manifests."""
        tool = self.folder / "kubebuilder"
        run(
            ["go", "build", "-o", tool, "sigs.k8s.io/kubebuilder/v4"],
            ROOT / "benchmarks/kubebuilder",
        )
        group = ["--group", "signals", "--version", "v1alpha1", "--kind", "Beacon"]
        webhooks = ["--defaulting", "--programmatic-validation"]
        steps: list[list[str | Path]] = [
            [tool, "init", "--domain", "example.com", "--repo", "example.com/beacon"],
            [tool, "create", "api", *group, "--resource", "--controller"],
            [tool, "create", "webhook", *group, *webhooks],
            ["make", "manifests"],
        ]

        def once() -> Cost:
            project = self._empty("kubebuilder-project")
            project.mkdir()
            costs = [run(step, project) for step in steps]
            return Cost(sum(c.cpu for c in costs), sum(c.wall for c in costs))

        self.add(
            "kubebuilder init, create api, create webhook, make manifests, 1 kind",
            median(min(self.rounds, 3), once),
        )

    def _crds(self, kinds: int) -> Path:
        folder = self.folder / f"crds{kinds}"
        folder.mkdir(exist_ok=True)
        for number in range(kinds):
            (folder / f"{number}.yaml").write_text(crd(number), "utf-8")
        return folder

    def _empty(self, name: str) -> Path:
        path = self.folder / name
        shutil.rmtree(path, ignore_errors=True)
        return path


def _kinds(number: int) -> str:
    return "1 kind" if number == 1 else f"{number} kinds"


def page(rows: list[tuple[str, Cost]]) -> str:
    """Return the results as a page of docs."""
    peer = rows[-1][1]
    body = [
        (name, f"{cost.cpu:.3f}", f"{cost.wall:.3f}", f"{peer.cpu / cost.cpu:.1f}")
        for name, cost in rows
    ]
    head = ("command", "CPU s", "wall s", "kubebuilder's CPU / this")
    return f"""# Generating, beside kubebuilder

`make bench`, {time.strftime("%Y-%m-%d")}: {machine()}; kubebuilder v4.15.0. Medians of whole processes with their children, all in one run.

{table(head, body)}

`new` makes a whole project and pays for copier; `generate` writes every derived file of a project; `one field` is what a developer
repeats. kubebuilder's row needs its tools installed and its module cache filled, which its uncounted first round does. After `create
api` its types are still empty; ours hold the schema.
"""


def main() -> int:
    """Measure, print the table and, with ``--page``, write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--page", type=Path, help="write the results to this page")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ctxscaffold-bench-") as name:
        bench = Bench(Path(name), options.rounds)
        bench.help()
        bench.new(1)
        for kinds in (1, 30, 100):
            bench.generate(kinds)
        bench.kubebuilder()
    text = page(bench.rows)
    print(text)
    if options.page:
        options.page.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
