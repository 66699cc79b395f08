"""Mutation check of the emitted runtime: each guard, removed, turns a test red.

The guards are listed in templates/runtime/mutations*.toml. Everything happens in
a temporary copy of the module. Exit code 0 only if every mutant is caught.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from scaffold.controlplane import ensure_built

MODULE = Path(__file__).resolve().parent.parent / "templates" / "runtime"
LISTS = "mutations*.toml"
TIMEOUT = 60  # seconds for one test; a mutant may hang


class ListError(Exception):
    """The list of mutations is wrong: it must be mended, not the runtime."""


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

    def apply(self, module: Path) -> str:
        """Change the file below `module`; return its former text."""
        path = module / self.file
        text = path.read_text(encoding="utf-8")
        found = text.count(self.find)
        if found != 1:
            raise ListError(
                f"{self.file} has {found} places with the text of {self.guard!r}, not one"
            )
        path.write_text(text.replace(self.find, self.replace), encoding="utf-8")
        return text

    def restore(self, module: Path, text: str) -> None:
        """Put the former text back."""
        (module / self.file).write_text(text, encoding="utf-8")


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


def go_test(
    module: Path, package: str, tests: list[str], count: int = 1, tags: str = ""
) -> tuple[bool, str]:
    """Run the tests of one package; return whether they passed, and the output."""
    done = _go(
        module,
        "test",
        f"-tags={tags}",
        "-vet=off",
        f"-count={count}",
        f"-timeout={TIMEOUT}s",
        "-run",
        f"^({'|'.join(tests)})$",
        package,
    )
    return done.returncode == 0, done.stdout


def _go(module: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ)
    if "-tags=integration" in arguments:
        environment["KUBEBUILDER_ASSETS"] = str(ensure_built(print))
    return subprocess.run(
        ["go", *arguments],
        cwd=module,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def by_package(mutations: list[Mutation]) -> dict[tuple[str, str], set[str]]:
    """Return the named tests of each package and set of build tags."""
    tests: dict[tuple[str, str], set[str]] = defaultdict(set)
    for mutation in mutations:
        tests[mutation.package, mutation.tags].add(mutation.test)
    return tests


def check_unchanged(module: Path, mutations: list[Mutation]) -> None:
    """Every named test must exist and pass while its guard is in place."""
    for (package, tags), tests in sorted(by_package(mutations).items()):
        listed = _go(module, "test", f"-tags={tags}", "-list", ".*", package)
        missing = tests - set(listed.stdout.split())
        if missing:
            raise ListError(
                f"{package} has no {', '.join(sorted(missing))}\n{listed.stdout}"
            )
        passed, output = go_test(module, package, sorted(tests), tags=tags)
        if not passed:
            raise ListError(f"{package} fails before anything is changed:\n{output}")


def verdict(mutation: Mutation, passed: bool, output: str) -> str | None:
    """Say why the mutant counts as a failure, None if its test caught it."""
    if passed:
        return "survived: the test stays green"
    if "[build failed]" in output or "[setup failed]" in output:
        return f"does not compile:\n{output}"
    red = re.search(rf"^--- FAIL: {re.escape(mutation.test)}\b", output, re.MULTILINE)
    hung = (
        f"panic: test timed out after {TIMEOUT}s" in output
        or "\t" + mutation.test + " (" in output
    )
    broke = re.search(r"^(panic|fatal error): ", output, re.MULTILINE)
    if red or hung or broke:
        return None
    return f"the run failed, but not by {mutation.test}:\n{output}"


def run(module: Path, mutations: list[Mutation]) -> int:
    """Try every mutation in a copy; return how many were caught."""
    caught = 0
    with tempfile.TemporaryDirectory(prefix="mutate-") as temporary:
        copy = Path(temporary) / "runtime"
        shutil.copytree(module, copy)
        emitted = (
            module.parent / "emit"
        )  # whose CRDs tests on a real API server install
        if emitted.is_dir():
            shutil.copytree(emitted, copy.parent / "emit")
        check_unchanged(copy, mutations)
        for mutation in mutations:
            begin = time.monotonic()
            text = mutation.apply(copy)
            try:
                reason = verdict(
                    mutation,
                    *go_test(
                        copy,
                        mutation.package,
                        [mutation.test],
                        mutation.count,
                        mutation.tags,
                    ),
                )
            finally:
                mutation.restore(copy, text)
            took = time.monotonic() - begin
            if reason is None:
                caught += 1
                print(f"caught  {took:5.1f} s  {mutation.guard}", flush=True)
            else:
                print(
                    f"MISSED  {took:5.1f} s  {mutation.guard}\n  {mutation.file}: {reason}",
                    flush=True,
                )
    return caught


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
