"""What must hold for every CRD, and how it is measured.

generates   its Go is rendered
steady      its Go is the same in whatever words the CRD is
compiles    with its deepcopy file, which equals controller-gen's
exact       controller-gen gives the schema back, but for words, without the residual patch
predicted   exact is what was foreseen
patched     with the patch, controller-gen gives the CRD back byte for byte
lossless    random objects go through Go unchanged
differential  the API server treats them alike under both CRDs
idempotent  generating from the regenerated CRD gives the same Go
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scaffold import features, gofmt, layout, render
from scaffold.crd import package, residual
from scaffold.crd.inspect import inspect
from scaffold.crd.model import Kind, Version
from scaffold.crd.read import read
from scaffold.errors import ScaffoldError
from tests.crd import wording
from tests.crd.draw import Drawer
from tests.crd.lossless import difference, unlike
from tests.crd.oracle import Oracle, OracleError

REPOSITORY = Path(__file__).parent.parent.parent
CHECKS = (
    "generates",
    "steady",
    "compiles",
    "exact",
    "predicted",
    "patched",
    "lossless",
    "differential",
    "idempotent",
)
# Packages that one oracle sees; more take too much memory.
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
        # Seconds of CPU that reading and rendering took, gofmt included.
        self.seconds = 0.0

    def generate(self, name: str, source: Path) -> None:
        """Read and render one project."""
        begun = cpu()
        try:
            kinds = read([source])
        except ScaffoldError as error:
            failed = Result(name, str(source))
            failed.set("generates", False, str(error))
            self.failed.append(failed)
            return
        results = {kind.crd_name: Result(name, kind.crd_name) for kind in kinds}
        files = rendered(name, kinds)
        self.seconds += cpu() - begun
        for kind in kinds:
            inspect(kind)
        for path, text in files.items():
            target = self._module / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, "utf-8")
        for result in results.values():
            result.set("generates", True)
        self._steady(kinds, results)
        self.projects.append(Project(name, source, kinds, results))

    def _steady(self, kinds: tuple[Kind, ...], results: dict[str, Result]) -> None:
        """Read the kinds of a project again in other words."""
        for edit, reword in wording.EDITS.items():
            crds = [wording.reworded(kind.document, reword) for kind in kinds]
            listed = {"apiVersion": "v1", "kind": "List", "items": crds}
            for before, after in zip(
                kinds, read([json.dumps(listed).encode()]), strict=True
            ):
                result = results[before.crd_name]
                result.checks.setdefault("steady", True)
                if wording.go(before) != wording.go(after):
                    result.set("steady", False, f"other Go with its words {edit}")

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
        binary = self._program(jobs)
        oracle, served = Oracle(self._oracle), 0
        with Roundtrip(binary) as roundtrip:
            for index, (project, kind, version) in enumerate(jobs):
                drawn = self.drawn(kind, version)
                answers = roundtrip.ask(index, drawn)
                self._lossless(project, kind, version.schema, drawn, answers)
                self._differential(oracle, project, kind, version.name, drawn)
                served += 1
                if served % _CHUNK == 0:
                    # Compiled schemas and rules are not given back otherwise.
                    oracle.close()
                    oracle = Oracle(self._oracle)
        oracle.close()

    def drawn(self, kind: Kind, version: Version) -> list[Any]:
        """Return the objects of a version, the same at every call."""
        drawer = Drawer(f"{kind.crd_name}/{version.name}")
        api_version = f"{kind.group}/{version.name}"
        return [
            drawer.object(version.schema, api_version, kind.kind)
            for _ in range(self._objects)
        ]

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
        return program(
            self._module,
            [
                (f"{project.name}/api/{kind.group_dir}/{version.package}", kind.name)
                for project, kind, version in jobs
            ],
        )

    @property
    def results(self) -> list[Result]:
        """Every CRD's result, and one for each project that could not be read."""
        return [r for p in self.projects for r in p.results.values()] + self.failed


class Roundtrip:
    """The running program of :func:`program`; a context manager."""

    def __init__(self, binary: Path) -> None:
        self._process = subprocess.Popen(
            [str(binary)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __enter__(self) -> Roundtrip:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def ask(self, index: int, objects: list[Any]) -> list[Any]:
        """Return what became of objects in the type of a number."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin and stdout
        question = json.dumps({"kind": index, "objects": objects})
        stdin.write(question.encode() + b"\n")
        stdin.flush()
        answers: list[Any] = json.loads(stdout.readline())
        return answers


def program(module: Path, types: Sequence[tuple[str, str]]) -> Path:
    """Build the program that decodes and encodes objects; return it.

    ``types`` are folders of packages in ``module`` and names in them.
    """
    imports = [f'\tp{i} "corpus/{path}"' for i, (path, _) in enumerate(types)]
    kinds = [
        f"\tfunc() any {{ return &p{i}.{name}{{}} }},"
        for i, (_, name) in enumerate(types)
    ]
    template = Path(__file__).with_name("roundtrip.go.txt").read_text("utf-8")
    text = template.replace("// IMPORTS", "\n".join(imports))
    folder = module / "roundtrip"
    folder.mkdir(exist_ok=True)
    (folder / "main.go").write_text(text.replace("// KINDS", "\n".join(kinds)))
    binary = module / "roundtrip.bin"
    command = ["go", "build", "-o", str(binary), "./roundtrip"]
    subprocess.run(command, cwd=module, check=True)
    return binary


def cpu() -> float:
    """Return the seconds of CPU that this process and its children have used."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


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


def go_module(folder: Path) -> None:
    """Make the module the projects are packages of, with the emitted pins."""
    text = render.runtime_go_mod("corpus")
    (folder / "go.mod").write_text(text)
    (folder / "go.sum").write_text(render.runtime_go_sum())
    os.environ.setdefault("GOFLAGS", "-mod=mod")
