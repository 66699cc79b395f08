"""What holds for every CRD of a corpus, measured: one table, JSON per CRD.

``python -m tests.crd.corpus CORPUS [--objects N] [--json FILE]`` takes a folder
or a tar archive with one folder of CRDs per project. For each CRD:

generates   its Go is rendered
compiles    with its deepcopy file, which equals controller-gen's
exact       controller-gen gives the schema back without the residual patch
predicted   exact is what was foreseen
patched     with the patch, controller-gen gives the CRD back byte for byte
lossless    random objects go through Go unchanged
differential  the API server treats them alike under both CRDs
idempotent  generating from the regenerated CRD gives the same Go
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from scaffold import features, gofmt, layout, render
from scaffold.crd import package, residual
from scaffold.crd.model import Kind
from scaffold.crd.read import read
from scaffold.errors import ScaffoldError
from tests.crd.draw import Drawer
from tests.crd.lossless import difference, unlike
from tests.crd.oracle import Oracle, OracleError, build

REPOSITORY = Path(__file__).parent.parent.parent
CHECKS = (
    "generates",
    "compiles",
    "exact",
    "predicted",
    "patched",
    "lossless",
    "differential",
    "idempotent",
)
# Packages that controller-gen loads at once; more take too much memory.
_CHUNK = 40


@dataclass(slots=True)
class Result:
    """The outcome of every check for one CRD, with what went wrong first."""

    project: str
    crd: str
    checks: dict[str, bool] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)

    def set(self, check: str, holds: bool, why: str = "") -> None:
        """Record a check's outcome."""
        self.checks[check] = holds
        if not holds and why:
            self.why[check] = why[:500]


@dataclass(slots=True)
class Project:
    """One project of the corpus in the making."""

    name: str
    source: Path
    kinds: tuple[Kind, ...]
    results: dict[str, Result]

    def result(self, kind: Kind) -> Result:
        """Return the result of a kind."""
        return self.results[kind.crd_name]


class Corpus:
    """Runs the checks over projects, in a Go module made for the purpose."""

    def __init__(self, module: Path, oracle: Path, objects: int) -> None:
        """Work in the folder ``module``; draw ``objects`` per version."""
        self._module = module
        self._oracle = oracle
        self._objects = objects
        self.projects: list[Project] = []
        self.failed: list[Result] = []
        self.canonical: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self._answers: dict[str, dict[str, Any]] = {}

    def generate(self, name: str, source: Path) -> None:
        """Read and render one project."""
        try:
            kinds = read([source])
        except ScaffoldError as error:
            failed = Result(name, str(source))
            failed.set("generates", False, str(error))
            self.failed.append(failed)
            return
        results = {kind.crd_name: Result(name, kind.crd_name) for kind in kinds}
        for path, text in rendered(name, kinds).items():
            target = self._module / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, "utf-8")
        for result in results.values():
            result.set("generates", True)
        self.projects.append(Project(name, source, kinds, results))

    def compile(self) -> None:
        """Build all packages; the errors of a package fail all kinds in it."""
        run = subprocess.run(
            ["go", "build", "./..."], cwd=self._module, capture_output=True, text=True
        )
        broken: dict[str, str] = {}
        for line in run.stderr.splitlines():
            if not line.startswith("#"):
                broken.setdefault(line.split("/")[0], line)
        for project in self.projects:
            error = broken.get(project.name, "")
            for result in project.results.values():
                result.set("compiles", not error, error)

    def regenerate(self) -> None:
        """Run controller-gen and compare its CRDs and deepcopy files with ours."""
        for chunk in _chunks(self.projects):
            oracle = Oracle(self._oracle)
            folders = {project.name: self._folders(project) for project in chunk}
            answer = oracle.ask("regenerate", dir=str(self._module), projects=folders)
            oracle.close()
            for project in chunk:
                self._compare(project, answer["projects"][project.name])

    def _folders(self, project: Project) -> list[str]:
        found = sorted((self._module / project.name / "api").glob("*/*"))
        return [
            f"./{path.relative_to(self._module)}" for path in found if path.is_dir()
        ]

    def _compare(self, project: Project, answer: dict[str, Any]) -> None:
        self._answers[project.name] = answer
        errors = "; ".join(answer["errors"][:3])
        copies = [
            folder
            for folder, text in answer["deepcopy"].items()
            if (self._module / folder / "zz_generated.deepcopy.go").read_text() != text
        ]
        by_name = {crd["metadata"]["name"]: crd for crd in answer["crds"]}
        for kind in project.kinds:
            result = project.result(kind)
            if errors or copies:
                result.set(
                    "compiles", False, errors or f"deepcopy differs: {copies[0]}"
                )
            made = by_name.get(kind.crd_name)
            if made is None:
                for check in ("exact", "predicted", "patched"):
                    result.set(
                        check, False, errors or "controller-gen makes no such CRD"
                    )
                continue
            exact = residual.same(residual.normal(made), residual.normal(kind.document))
            result.set("exact", exact)
            result.set("predicted", exact == kind.exact, f"foreseen: {kind.exact}")
            patched = apply(made, kind.residual)
            left = residual.patch(patched, kind.document)
            result.set("patched", not left, str(left[:2]))

    def idempotent(self) -> None:
        """Generate again from what controller-gen and the patch give."""
        for project in self.projects:
            crds = [
                apply(crd, kind.residual)
                for kind in project.kinds
                for crd in self._answers[project.name]["crds"]
                if crd["metadata"]["name"] == kind.crd_name
            ]
            listed = {"apiVersion": "v1", "kind": "List", "items": crds}
            again = rendered(project.name, read([json.dumps(listed).encode()]))
            for kind in project.kinds:
                changed = [
                    path
                    for path, text in again.items()
                    if (self._module / project.name / path).read_text("utf-8") != text
                ]
                project.result(kind).set("idempotent", not changed, str(changed[:2]))

    def objects(self) -> None:
        """Send random objects through Go, and through the API server's code."""
        jobs = [(p, k, v) for p in self.projects for k in p.kinds for v in k.versions]
        program = self._program(jobs)
        oracle = Oracle(self._oracle)
        with subprocess.Popen(
            [str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as go:
            assert go.stdin and go.stdout
            for index, (project, kind, version) in enumerate(jobs):
                drawer = Drawer(f"{kind.crd_name}/{version.name}")
                api_version = f"{kind.group}/{version.name}"
                drawn = [
                    drawer.object(version.schema, api_version, kind.kind)
                    for _ in range(self._objects)
                ]
                question = json.dumps({"kind": index, "objects": drawn})
                go.stdin.write(question.encode() + b"\n")
                go.stdin.flush()
                self._lossless(
                    project,
                    kind,
                    version.schema,
                    drawn,
                    json.loads(go.stdout.readline()),
                )
                self._differential(oracle, project, kind, version.name, drawn)
            go.stdin.close()
        oracle.close()

    def _lossless(
        self,
        project: Project,
        kind: Kind,
        schema: Any,
        drawn: list[Any],
        answers: list[Any],
    ) -> None:
        root = package.parse_root(schema, known_types=True)
        result = project.result(kind)
        result.checks.setdefault("lossless", True)
        for before, answer in zip(drawn, answers, strict=True):
            lost = answer.get("error") or difference(
                root, before, answer["object"], "", self.canonical
            )
            lost = lost or self._similar(answer["similar"])
            if lost:
                result.set("lossless", False, lost)
                return

    def _similar(self, answers: list[Any]) -> str:
        """Return what was lost on the way to a type of Kubernetes and back.

        A helper that refuses loses nothing; how many do is counted.
        """
        for one in answers:
            if "error" in one:
                self.refused[one["error"]] += 1
            elif unlike(one["in"], one["out"]):
                return f"{one['type']}: {one['in']} became {one['out']}"
            self.canonical["similar"] += 1
        return ""

    def _differential(
        self,
        oracle: Oracle,
        project: Project,
        kind: Kind,
        version: str,
        drawn: list[Any],
    ) -> None:
        made = next(
            (
                crd
                for crd in self._answers[project.name]["crds"]
                if crd["metadata"]["name"] == kind.crd_name
            ),
            None,
        )
        result = project.result(kind)
        if made is None:
            result.set("differential", False, "controller-gen makes no such CRD")
            return
        ours = made if kind.exact else apply(made, kind.residual)
        try:
            left, right = (
                oracle.ask("objects", crd=crd, version=version, objects=drawn)[
                    "objects"
                ]
                for crd in (kind.document, ours)
            )
        except OracleError as error:
            result.set("differential", False, str(error))
            return
        result.checks.setdefault("differential", True)
        for one, other in zip(left, right, strict=True):
            alike = residual.same(one["object"], other["object"])
            if not alike or sorted(one["errors"]) != sorted(other["errors"]):
                result.set("differential", False, str(one["errors"] or other["errors"]))
                return

    def _program(self, jobs: Sequence[tuple[Project, Kind, Any]]) -> Path:
        """Build the program that decodes and encodes objects of every version."""
        imports, kinds = [], []
        for index, (project, kind, version) in enumerate(jobs):
            path = f"corpus/{project.name}/api/{kind.group_dir}/{version.package}"
            imports.append(f'\tp{index} "{path}"')
            kinds.append(f"\tfunc() any {{ return &p{index}.{kind.name}{{}} }},")
        template = Path(__file__).with_name("roundtrip.go.txt").read_text("utf-8")
        text = template.replace("// IMPORTS", "\n".join(imports))
        folder = self._module / "roundtrip"
        folder.mkdir(exist_ok=True)
        (folder / "main.go").write_text(text.replace("// KINDS", "\n".join(kinds)))
        program = self._module / "roundtrip.bin"
        command = ["go", "build", "-o", str(program), "./roundtrip"]
        subprocess.run(command, cwd=self._module, check=True)
        return program

    @property
    def results(self) -> list[Result]:
        """Every CRD's result, and one for each project that could not be read."""
        return [r for p in self.projects for r in p.results.values()] + self.failed


def rendered(name: str, kinds: tuple[Kind, ...]) -> dict[str, str]:
    """Return the files of the API features for a project, Go formatted."""
    folder = REPOSITORY / "templates" / "emit"
    project = layout.place(name, f"corpus/{name}", [], kinds)
    environment = render._environment(str(folder))
    files: dict[str, str] = {}
    for feature in features.load(folder):
        if feature.name not in ("api", "conversion"):
            continue
        for rule in feature.files:
            template = environment.get_template(rule.template)
            for scope in render._scopes(rule, project):
                files[rule.path.format(**scope)] = template.render(scope)
    go = {path: text for path, text in files.items() if path.endswith(".go")}
    return files | gofmt.gofmt(go)


def apply(document: Any, operations: Sequence[dict[str, Any]]) -> Any:
    """Return a document with a JSON patch applied."""
    document = copy.deepcopy(document)
    for operation in operations:
        value = operation.get("value")
        if operation["op"] == "move":
            parent, key = _parent(document, operation["from"])
            value = parent.pop(key)
        parent, key = _parent(document, operation["path"])
        if operation["op"] == "remove":
            del parent[key]
        elif operation["op"] == "replace" or isinstance(parent, dict):
            parent[key] = value
        else:
            parent.insert(key, value)
    return document


def _parent(document: Any, pointer: str) -> tuple[Any, Any]:
    steps = [
        step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]
    ]
    for step in steps[:-1]:
        document = document[int(step) if isinstance(document, list) else step]
    return document, int(steps[-1]) if isinstance(document, list) else steps[-1]


def _chunks(projects: list[Project]) -> Iterator[list[Project]]:
    chunk: list[Project] = []
    count = 0
    for project in projects:
        chunk.append(project)
        count += len({(k.group, v.name) for k in project.kinds for v in k.versions})
        if count > _CHUNK:
            yield chunk
            chunk, count = [], 0
    if chunk:
        yield chunk


@contextmanager
def _folder(corpus: Path) -> Iterator[Path]:
    """Yield the corpus as a folder, unpacked if it is an archive."""
    if corpus.is_dir():
        yield corpus
        return
    with tempfile.TemporaryDirectory() as unpacked, tarfile.open(corpus) as archive:
        archive.extractall(unpacked, filter="data")
        inner = [path for path in Path(unpacked).iterdir() if path.is_dir()]
        yield inner[0] if len(inner) == 1 else Path(unpacked)


def table(results: Sequence[Result]) -> str:
    """Return the table: every check over CRDs, and as the mean over projects."""
    lines = [f"{'check':14}{'CRDs':>8}{'hold':>8}{'share':>9}{'projects':>10}"]
    for check in CHECKS:
        held = [r for r in results if r.checks.get(check)]
        shares: dict[str, list[bool]] = {}
        for result in results:
            shares.setdefault(result.project, []).append(bool(result.checks.get(check)))
        mean = sum(sum(s) / len(s) for s in shares.values()) / len(shares)
        share = len(held) / len(results)
        lines.append(f"{check:14}{len(results):8}{len(held):8}{share:9.2%}{mean:10.2%}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all checks; return 1 if one that must hold always does not."""
    parser = argparse.ArgumentParser(prog="corpus", description=__doc__)
    parser.add_argument("corpus", type=Path, help="a folder or archive of CRDs")
    parser.add_argument("--objects", type=int, default=30, help="drawn per version")
    parser.add_argument("--json", type=Path, help="write every result there")
    parser.add_argument("--project", action="append", help="only this one; repeatable")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch, _folder(options.corpus) as folder:
        module = Path(scratch) / "module"
        module.mkdir()
        go_module(module)
        corpus = Corpus(module, build(Path(scratch)), options.objects)
        for source in sorted(path for path in folder.iterdir() if path.is_dir()):
            if not options.project or source.name in options.project:
                corpus.generate(source.name, source)
        for step in ("compile", "regenerate", "idempotent", "objects"):
            print(f"{step} …", file=sys.stderr, flush=True)
            getattr(corpus, step)()
        results = corpus.results
        if options.json:
            options.json.write_text(
                json.dumps([asdict(result) for result in results], indent=1)
            )
        print(table(results))
        print(f"canonical forms: {dict(sorted(corpus.canonical.items()))}")
        for error, count in corpus.refused.most_common(20):
            print(f"refused {count}x: {error}")
        bad = [
            r
            for r in results
            if any(c not in r.checks or not r.checks[c] for c in CHECKS if c != "exact")
        ]
        for result in bad[:40]:
            print(f"{result.project} {result.crd}: {result.why}")
        return 1 if bad else 0


def go_module(folder: Path) -> None:
    """Make the module the projects are packages of, with the emitted pins."""
    text = render.runtime_go_mod("corpus")
    (folder / "go.mod").write_text(text)
    (folder / "go.sum").write_text(render.runtime_go_sum())
    os.environ.setdefault("GOFLAGS", "-mod=mod")


if __name__ == "__main__":
    sys.exit(main())
