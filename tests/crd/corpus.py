"""All checks on a corpus: one table, JSON per CRD and per project.

``python -m tests.crd.corpus [CORPUS]`` takes a folder or an archive with one
folder of CRDs per project; without one, the CRDs of the Go modules in
modules.txt. The exit code is 1 if a check other than ``exact`` fails for a CRD.
:mod:`tests.crd.checks` says what is checked.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.measure import machine
from scaffold.crd import package
from scaffold.crd.model import Kind
from scaffold.crd.nodes import Known, Node
from scaffold.crd.read import read
from scaffold.crd.structs import Struct
from scaffold.table import table
from tests.crd import checks, make_known, origins, peers
from tests.crd.checks import CHECKS, Corpus, Result
from tests.crd.oracle import build

_PAGE_HEAD = """\
# Fidelity

What CRDs keep on their way into Go types and back. Written by `make corpus`; the checks are those of `tests/crd/checks.py`,
the judges controller-gen and the API server's own code, in the versions that `tests/oracle/go.mod` pins.
"""


def share(results: Sequence[Result], check: str) -> tuple[int, float, float]:
    """Return how many hold a check, their share, and the mean of projects' shares."""
    held = sum(bool(result.checks.get(check)) for result in results)
    shares: dict[str, list[bool]] = {}
    for result in results:
        shares.setdefault(result.project, []).append(bool(result.checks.get(check)))
    mean = sum(sum(s) / len(s) for s in shares.values()) / len(shares)
    return held, held / len(results), mean


def summary(
    results: Sequence[Result], others: Sequence[tuple[peers.Peer, list[Result]]]
) -> str:
    """Return the table: every check over CRDs and over projects, beside the peers."""
    head = ["check", "CRDs", "hold", "share", "mean of projects"]
    rows = []
    for check in _made(results):
        held, part, mean = share(results, check)
        row = [check, str(len(results)), str(held), f"{part:.2%}", f"{mean:.2%}"]
        for _, theirs in others:
            measured = any(check in result.checks for result in theirs)
            row.append(f"{share(theirs, check)[1]:.2%}" if measured else "-")
        rows.append(row)
    return table([*head, *(peer.name for peer, _ in others)], rows)


def _made(results: Sequence[Result]) -> list[str]:
    """Return the checks that were made of any CRD."""
    return [check for check in CHECKS if any(check in one.checks for one in results)]


def ready(kinds: Sequence[Kind]) -> Counter[str]:
    """Count kinds by where their stored version can say that an object is ready."""
    return Counter(
        (
            "of metav1.Condition"
            if kind.storage.conditions
            else (
                "of a type of their own"
                if kind.storage.own_conditions
                else "without Ready"
            )
        )
        for kind in kinds
    )


def known_types(kinds: Sequence[Kind]) -> Counter[str]:
    """Count the objects with properties by what they are in Go."""
    counts: Counter[str] = Counter()

    def walk(parent: Node, is_inside: bool) -> None:
        for _, node in parent.children():
            inside = is_inside
            if isinstance(node, Known):
                counts["a type of Kubernetes"] += 1
            elif isinstance(node, Struct) and is_inside:
                counts["inside of a struct with helpers"] += 1
            elif isinstance(node, Struct):
                inside = node.similar is not None
                counts["a struct with helpers" if inside else "another struct"] += 1
            walk(node, inside)

    for kind in kinds:
        for version in kind.versions:
            walk(package.parse_root(version.schema, known_types=True), False)
    return counts


def largest(kinds: Sequence[Kind]) -> tuple[str, float]:
    """Return the CRD with the longest text, and the CPU seconds that it takes."""
    kind = max(kinds, key=lambda one: len(one.yaml))
    text = kind.yaml.encode()
    begun = checks.cpu()
    checks.rendered("largest", read([text]))
    return kind.crd_name, checks.cpu() - begun


def report(
    corpus: Corpus, others: Sequence[tuple[peers.Peer, list[Result]]], objects: int
) -> str:
    """Return everything measured as Markdown."""
    kinds = [kind for project in corpus.projects for kind in project.kinds]
    versions = sum(len(kind.versions) for kind in kinds)
    counts = known_types(kinds)
    nodes = counts.total() or 1
    name, seconds = largest(kinds)
    lines = [
        summary(corpus.results, others),
        "",
        f"{len(corpus.results)} CRDs of {len({r.project for r in corpus.results})} "
        f"projects, {versions} versions, {objects} objects drawn for each. Reading "
        f"and rendering all of it took {corpus.seconds:.1f} s of CPU, the largest "
        f"CRD ({name}) {seconds:.2f} s.",
        "",
        f"Conditions of the stored versions: {listed(ready(kinds))}.",
    ]
    if corpus.canonical:
        lines += [
            "",
            f"Canonical forms, the only differences: {listed(corpus.canonical)}.",
        ]
    if corpus.refused:
        lines += [
            "",
            f"Helpers refused {corpus.refused.total()} values that the type of "
            "Kubernetes cannot hold, such as a time of any text or an int32 out of "
            "range.",
        ]
    lines += ["", "Objects with properties, by what they are in Go:", ""]
    rows = [
        (what, str(count), f"{count / nodes:.1%}")
        for what, count in counts.most_common()
    ]
    lines.append(table(("in Go", "objects", "share"), rows))
    return "\n".join(lines)


def listed(counts: Counter[str]) -> str:
    """Return counts as one line of text."""
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def as_json(results: Sequence[Result]) -> dict[str, Any]:
    """Return the results of each CRD, and of each project the share that holds."""
    by_project: dict[str, list[Result]] = {}
    for result in results:
        by_project.setdefault(result.project, []).append(result)
    return {
        "crds": [asdict(result) for result in results],
        "projects": {
            name: {check: share(inside, check)[1] for check in CHECKS}
            for name, inside in sorted(by_project.items())
        },
    }


def write_page(page: Path, title: str, text: str) -> None:
    """Write a result into its section of a page; other sections stay."""
    old = page.read_text("utf-8") if page.exists() else _PAGE_HEAD
    head, *sections = re.split(r"^(?=## )", old, flags=re.MULTILINE)
    kept = [one for one in sections if not one.startswith(f"## {title}\n")]
    day = datetime.now(UTC).date()
    made = (
        f"## {title}\n\n{day}; {machine()}; controller-gen v0.23.0, "
        f"Kubernetes {make_known.pinned()}.\n\n{text}\n"
    )
    parts = (part.strip() for part in (head, *kept, made))
    page.write_text("\n\n".join(parts) + "\n", "utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all checks; return 1 if one that must hold always does not."""
    parser = argparse.ArgumentParser(prog="corpus", description=__doc__)
    parser.add_argument(
        "corpus", type=Path, nargs="?", help="a folder or archive of CRDs"
    )
    parser.add_argument("--objects", type=int, default=30, help="drawn per version")
    parser.add_argument(
        "--quick", action="store_true", help="leave out the checks that run Go's code"
    )
    parser.add_argument("--json", type=Path, help="write every result there")
    parser.add_argument("--project", action="append", help="only this one; repeatable")
    parser.add_argument("--peers", action="store_true", help="measure other tools too")
    parser.add_argument("--page", type=Path, help="write the result into this page")
    parser.add_argument(
        "--title", default="The CRDs of public Go modules", help="its section there"
    )
    options = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory() as scratch,
        origins.projects(options.corpus) as sources,
    ):
        module = Path(scratch) / "module"
        module.mkdir()
        checks.go_module(module)
        oracle = Path() if options.quick else build(Path(scratch))
        corpus = Corpus(module, oracle, options.objects)
        for name, source in sources.items():
            if not options.project or name in options.project:
                corpus.generate(name, source)
        steps = ("compile", "regenerate", "idempotent", "objects")
        for step in () if options.quick else steps:
            print(f"{step} …", file=sys.stderr, flush=True)
            getattr(corpus, step)()
        others = peers.measure(corpus, Path(scratch)) if options.peers else []
        results = corpus.results
        if options.json:
            options.json.write_text(json.dumps(as_json(results), indent=1))
        text = report(corpus, others, options.objects)
        print(text)
        if options.page:
            write_page(options.page, options.title, text)
        wanted = _made(results) if options.quick else CHECKS
        bad = [
            r
            for r in results
            if any(c not in r.checks or not r.checks[c] for c in wanted if c != "exact")
        ]
        for result in bad[:40]:
            print(f"{result.project} {result.crd}: {result.why}")
        return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
