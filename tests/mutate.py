"""Mutation check of the emitted runtime: each guard, removed, turns a test red.

The guards are listed in templates/runtime/mutations*.toml. A package is built once with
all mutants in it, of which MUTANT in the environment chooses one (tests/mutants); those
that cannot be beside the others have builds of their own. The tree is left as it is: Go
takes changed files from an overlay. Exit code 0 only if every mutant is caught.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol, TypeVar

from scaffold.controlplane import ensure_built

MODULE = Path(__file__).resolve().parent.parent / "templates" / "runtime"
EMBEDDER = Path(__file__).resolve().parent / "mutants"
LISTS = "mutations*.toml"
INTEGRATION = "integration"  # the tag of tests that start an API server
PATIENCE = "10s"  # of a test that waits for what a mutant may never do
WORKERS = os.cpu_count() or 1


class ListError(Exception):
    """The list of mutations is wrong: it must be mended, not the runtime."""


@dataclass(frozen=True)
class Suite:
    """The tests of a package, built with these tags."""

    package: str
    tags: str

    @property
    def timeout(self) -> int:
        """How many seconds one test may take; a mutant may hang."""
        return 60 if self.tags == INTEGRATION else 30


@dataclass(frozen=True)
class Mutation:
    """One guard: `find` in `file` becomes `replace`, and `test` must fail."""

    guard: str
    file: str
    find: str
    replace: str
    package: str
    test: str
    count: int = 1
    tags: str = ""

    @property
    def suite(self) -> Suite:
        """What the test is in."""
        return Suite(self.package, self.tags)

    def apply(self, module: Path) -> str:
        """Return the text of the file in ``module`` without the guard."""
        text = (module / self.file).read_text(encoding="utf-8")
        found = text.count(self.find)
        if found != 1:
            raise ListError(
                f"{self.file} has {found} places with the text of {self.guard!r}, not one"
            )
        return text.replace(self.find, self.replace)


def read_lists(module: Path) -> list[Mutation]:
    """Return the mutations of all lists in ``module``, in their order."""
    mutations: list[Mutation] = []
    for path in sorted(module.glob(LISTS)):
        try:
            entries = tomllib.loads(path.read_text(encoding="utf-8"))["mutation"]
            mutations += [Mutation(**entry) for entry in entries]
        except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
            raise ListError(f"{path}: {error}") from error
    guards = [m.guard for m in mutations]
    for guard in guards:
        if guards.count(guard) > 1:
            raise ListError(f"{module}: guard {guard!r} is listed twice")
    return mutations


class BuildError(Exception):
    """Go does not compile it; the text is what it says."""


@dataclass(frozen=True)
class Bench:
    """Builds a module's tests, with and without mutants, in a folder and runs them."""

    module: Path
    folder: Path

    def overlay(self, name: str, sources: Mapping[str, str]) -> Path:
        """Write files that take the places of others, and the list that says so."""
        replace: dict[str, str] = {}
        for path, text in sources.items():
            file = self.folder / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            replace[str(self.module / path)] = str(file)
        overlay = self.folder / f"{name}.json"
        overlay.write_text(json.dumps({"Replace": replace}), encoding="utf-8")
        return overlay

    def embed(self, numbered: Mapping[int, Mutation]) -> tuple[Path, set[int]]:
        """Return an overlay with the mutants in it, and the numbers of those that are not."""
        alone: set[int] = set()
        while True:
            request: dict[str, list[dict[str, object]]] = defaultdict(list)
            for number, m in numbered.items():
                if number not in alone:
                    request[m.file].append(
                        {"number": number, "find": m.find, "replace": m.replace}
                    )
            done = subprocess.run(
                ["go", "run", "."],
                cwd=EMBEDDER,
                env=os.environ | {"GOWORK": "off", "PWD": str(EMBEDDER)},
                input=json.dumps({"folder": str(self.module), "mutants": request}),
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            answer = json.loads(done.stdout)
            alone.update(answer["alone"])
            overlay = self.overlay("all", answer["sources"])
            try:
                self.compile(numbered.values(), overlay)
            except BuildError as error:
                culprits = re.findall(r"\bmutant-(\d+)\.go\b", str(error))
                if not culprits:
                    raise ListError(f"the module does not compile:\n{error}") from None
                alone.update(map(int, culprits))
            else:
                return overlay, alone

    def compile(self, mutations: Collection[Mutation], overlay: Path) -> None:
        """Compile the packages that the mutations change."""
        for tags in sorted({m.tags for m in mutations}):
            folders = {Path(m.file).parent for m in mutations if m.tags == tags}
            packages = [f"./{folder}" for folder in sorted(folders)]
            self._go("build", tags, overlay, Path(os.devnull), *packages)

    def build(self, suite: Suite, overlay: Path) -> Path:
        """Return the program that runs a suite's tests."""
        name = f"{overlay.stem}-{suite.package}-{suite.tags}".replace("/", "_")
        program = self.folder / name
        options = ["-c", "-vet=off", "-ldflags=-s -w"]
        self._go("test", suite.tags, overlay, program, *options, suite.package)
        return program

    def _go(
        self, command: str, tags: str, overlay: Path, output: Path, *arguments: str
    ) -> None:
        options = [f"-tags={tags}", f"-overlay={overlay}", f"-o={output}"]
        done = subprocess.run(
            ["go", command, *options, *arguments],
            cwd=self.module,
            env=os.environ | {"PWD": str(self.module)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise BuildError(done.stdout)

    def test(
        self,
        program: Path,
        suite: Suite,
        tests: Collection[str],
        *options: str,
        timeout: int,
        mutant: int | None = None,
    ) -> tuple[bool, str]:
        """Run tests in their folder; return whether they passed, and the output."""
        folder = self.module / suite.package
        chosen = "" if mutant is None else str(mutant)
        environment = os.environ | {
            "PWD": str(folder),
            "TMPDIR": str(self.folder),
            "MUTANT": chosen,
            "PATIENCE": PATIENCE,
        }
        if suite.tags == INTEGRATION:
            environment["KUBEBUILDER_ASSETS"] = assets()
        # To a file: a process that a test leaves behind would keep a pipe open.
        with tempfile.TemporaryFile("w+", dir=self.folder, errors="replace") as output:
            process = subprocess.Popen(
                [
                    program,
                    f"-test.run=^({'|'.join(sorted(tests))})$",
                    f"-test.timeout={timeout}s",
                    "-test.failfast",
                    "-test.paniconexit0",
                    *options,
                ],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                process.wait(2 * timeout)
                hung = ""
            except subprocess.TimeoutExpired:
                hung = "\nhung: it did not even end at the timeout\n"
            finally:
                process.kill()
                process.wait()
                end_session(process.pid)
            output.seek(0)
            return process.returncode == 0, output.read() + hung


@cache
def assets() -> str:
    """Return the folder of the API server's program, which is built if it is missing."""
    return str(ensure_built(print))


def end_session(session: int) -> None:
    """End what a test has left running, as an API server where the test timed out."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid="], stdout=subprocess.PIPE, text=True, check=True
    )
    for pid in map(int, listed.stdout.split()):
        with suppress(ProcessLookupError, PermissionError):
            if os.getsid(pid) == session:
                os.kill(pid, signal.SIGKILL)


def verdict(mutation: Mutation, passed: bool, output: str) -> str | None:
    """Say why the mutant counts as a failure, None if its test caught it."""
    if passed:
        return "survived: the test stays green"
    red = re.search(rf"^--- FAIL: {re.escape(mutation.test)}\b", output, re.MULTILINE)
    broke = re.search(r"^(panic|fatal error|hung): ", output, re.MULTILINE)
    if red or broke:
        return None
    return f"the run failed, but not by {mutation.test}:\n{output}"


def check_unchanged(bench: Bench, program: Path, suite: Suite, tests: set[str]) -> None:
    """Every named test must exist and pass while its guard is in place."""
    passed, output = bench.test(
        program, suite, tests, "-test.v", timeout=5 * suite.timeout
    )
    if not passed:
        raise ListError(f"{suite.package} fails before anything is changed:\n{output}")
    missing = tests - set(re.findall(r"^=== RUN +(\S+)$", output, re.MULTILINE))
    if missing:
        raise ListError(f"{suite.package} has no {', '.join(sorted(missing))}")


class Tagged(Protocol):
    """What is built with tags."""

    @property
    def tags(self) -> str: ...


Item = TypeVar("Item", bound=Tagged)
Result = TypeVar("Result")


def spread(work: Callable[[Item], Result], items: Iterable[Item]) -> dict[Item, Result]:
    """Do the work on several items at a time, but on one of those with an API server."""
    stop = threading.Event()

    def one_by_one(chain: list[Item]) -> dict[Item, Result]:
        return {item: work(item) for item in chain if not stop.is_set()}

    chains: list[list[Item]] = [[]]
    for item in items:
        if item.tags == INTEGRATION:
            chains[0].append(item)
        else:
            chains.append([item])
    results: dict[Item, Result] = {}
    with ThreadPoolExecutor(WORKERS) as pool:
        try:
            for done in pool.map(one_by_one, chains):
                results |= done
        except BaseException:
            stop.set()
            raise
    return results


def run(module: Path, mutations: list[Mutation]) -> int:
    """Try every mutation; return how many were caught."""
    module = module.resolve()
    for mutation in mutations:
        mutation.apply(module)
    numbers = {mutation: number for number, mutation in enumerate(mutations)}
    tests: dict[Suite, set[str]] = defaultdict(set)
    for mutation in mutations:
        tests[mutation.suite].add(mutation.test)

    with tempfile.TemporaryDirectory(prefix="mutate-") as temporary:
        bench = Bench(module, Path(temporary).resolve())
        begin = time.monotonic()
        overlay, alone = bench.embed(dict(enumerate(mutations)))

        def prepare(suite: Suite) -> Path:
            try:
                program = bench.build(suite, overlay)
            except BuildError as error:
                raise ListError(f"{suite.package} does not compile:\n{error}") from None
            check_unchanged(bench, program, suite, tests[suite])
            return program

        programs = spread(prepare, tests)
        took = time.monotonic() - begin
        print(
            f"built   {took:5.1f} s  {len(mutations) - len(alone)} mutants in "
            f"{len(programs)} programs, {len(alone)} to be built alone",
            flush=True,
        )

        def judge(mutation: Mutation) -> str | None:
            suite, number = mutation.suite, numbers[mutation]
            program, mutant = programs[suite], number if number not in alone else None
            if mutant is None:
                changed = {mutation.file: mutation.apply(module)}
                try:
                    program = bench.build(suite, bench.overlay(f"{number}", changed))
                except BuildError as error:
                    return f"does not compile:\n{error}"
            passed, output = bench.test(
                program,
                suite,
                {mutation.test},
                f"-test.count={mutation.count}",
                timeout=suite.timeout,
                mutant=mutant,
            )
            if mutant is None:
                program.unlink()
            return verdict(mutation, passed, output)

        def attempt(mutation: Mutation) -> bool:
            begin = time.monotonic()
            reason = judge(mutation)
            took = time.monotonic() - begin
            if reason is None:
                print(f"caught  {took:5.1f} s  {mutation.guard}", flush=True)
            else:
                print(
                    f"MISSED  {took:5.1f} s  {mutation.guard}\n  {mutation.file}: {reason}",
                    flush=True,
                )
            return reason is None

        return sum(spread(attempt, mutations).values())


def main(arguments: list[str] | None = None) -> int:
    """Command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only",
        metavar="TEXT",
        default="",
        help="only guards and files with this text",
    )
    parser.add_argument(
        "--module",
        type=Path,
        default=MODULE,
        help="the Go module (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    try:
        mutations = [
            m
            for m in read_lists(options.module)
            if options.only in m.guard or options.only in m.file
        ]
        if not mutations:
            raise ListError(f"no guard with {options.only!r}")
        caught = run(options.module, mutations)
    except ListError as error:
        print(f"mutate: {error}", file=sys.stderr)
        return 2
    print(f"{caught} of {len(mutations)} guards are held by a test")
    return 0 if caught == len(mutations) else 1


if __name__ == "__main__":
    sys.exit(main())
