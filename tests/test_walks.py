"""Random changes of a project's CRDs and settings, one after the other, each undone once.

``WALKS=20 WALK_STEPS=10 WALK_GO=1`` walks further, and builds and vets after each step.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from scaffold import manifest
from scaffold import project as projects
from scaffold.check import check
from scaffold.errors import ScaffoldError
from scaffold.generate import generate
from tests.trees import tree

pytestmark = pytest.mark.golang

WALKS = int(os.environ.get("WALKS", "1"))
STEPS = int(os.environ.get("WALK_STEPS", "5"))
LEFT = (
    ".ctxscaffold/dropped/",
    "config/certmanager/",
    "config/http/certificate.yaml",
)
# Versions by name, whether they are served, and which of them is stored.
VERSIONS = (
    ({"v1": True}, "v1"),
    ({"v1": True, "v2": True}, "v1"),
    ({"v1": True, "v2": True}, "v2"),
    ({"v1": False, "v2": True}, "v1"),
    ({"v2": True}, "v2"),
    ({"v1": True, "v2": True, "v3beta1": True}, "v2"),
)
KINDS = tuple(
    f"{kind}.{group}"
    for kind in ("Widget", "Gadget", "Client")
    for group in ("apps.example.com", "apps.example.org", "tools.example.com")
)


@dataclass(frozen=True)
class Crd:
    """What changes of one kind."""

    versions: int = 0
    namespaced: bool = True
    status: bool = True

    def document(self, name: str) -> dict[str, Any]:
        kind, _, group = name.partition(".")
        served, stored = VERSIONS[self.versions]
        versions = []
        for version, is_served in served.items():
            spec = {"size": {"type": "integer"}, f"only{version}": {"type": "string"}}
            properties = {"spec": {"type": "object", "properties": spec}}
            if self.status:
                phase = {"phase": {"type": "string"}}
                properties["status"] = {"type": "object", "properties": phase}
            schema = {"type": "object", "properties": properties}
            one: dict[str, Any] = {
                "name": version,
                "served": is_served,
                "storage": version == stored,
                "schema": {"openAPIV3Schema": schema},
            }
            if self.status:
                one["subresources"] = {"status": {}}
            versions.append(one)
        plural = f"{kind.lower()}s"
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{group}"},
            "spec": {
                "group": group,
                "names": {"kind": kind, "plural": plural},
                "scope": "Namespaced" if self.namespaced else "Cluster",
                "versions": versions,
            },
        }


@dataclass(frozen=True)
class State:
    """What a project is asked for."""

    crds: dict[str, Crd] = field(default_factory=dict)
    options: frozenset[str] = frozenset(("webhooks",))
    watched: frozenset[str] = frozenset()

    def write(self, project: Path) -> None:
        for path in (project / "crds").iterdir():
            path.unlink()
        for name, crd in self.crds.items():
            with (project / f"crds/{name}.yaml").open("w") as file:
                YAML().dump(crd.document(name), file)
        path = project / ".copier-answers.yml"
        answers = YAML(typ="safe").load(path)
        for option in ("webhooks", "http_api", "tenancy"):
            answers[option] = option in self.options
        watched = sorted(self.watched & self.crds.keys())
        answers["watches"] = {name: ["v1/configmaps"] for name in watched}
        with path.open("w") as file:
            YAML().dump(answers, file)


def changed(state: State, rng: random.Random) -> State:
    """Return ``state`` with one thing changed."""
    name = rng.choice(KINDS)
    if rng.random() < 0.2:
        option = rng.choice(("webhooks", "http_api", "tenancy"))
        return replace(state, options=state.options ^ {option})
    if name not in state.crds:
        return replace(state, crds={**state.crds, name: Crd()})
    crd = state.crds[name]
    choices: list[Callable[[], State]] = [
        lambda: replace(state, watched=state.watched ^ {name}),
        lambda: replace(
            state, crds={key: one for key, one in state.crds.items() if key != name}
        ),
    ] + [
        partial(replace, state, crds={**state.crds, name: one})
        for one in (
            replace(crd, versions=(crd.versions + rng.randrange(1, 5)) % len(VERSIONS)),
            replace(crd, namespaced=not crd.namespaced),
            replace(crd, status=not crd.status),
        )
    ]
    return rng.choice(choices)()


def settle(project: Path) -> None:
    """Generate, and drop what has to be dropped, by the words of the refusals."""
    drops: list[str] = []
    for _ in range(3):
        before = tree(project)
        try:
            generate(project, drop=drops)
        except ScaffoldError as error:
            assert tree(project) == before, "a refusal changed something"
            found = re.findall(r"--drop ([^\s,;]+)", str(error))
            assert found, error
            drops += found
        else:
            assert generate(project).changes == ()
            return
    raise AssertionError(f"dropping {drops} does not satisfy generate")


def sign(project: Path) -> None:
    """Write something into every user's Go file that has nothing of the user's yet."""
    record = manifest.load(project)
    assert record
    for name in record.user:
        path = project / name
        if name.endswith(".go") and path.exists() and "// mine" not in path.read_text():
            with path.open("a") as file:
                file.write(f"\n// mine: {name}\n")


def signed(files: dict[str, str]) -> list[str]:
    """Return what the user wrote, wherever it is."""
    return sorted(
        line
        for path, text in files.items()
        if path.endswith(".go")
        for line in text.splitlines()
        if line.startswith("// mine: ")
    )


def without_record(files: dict[str, str]) -> dict[str, str]:
    """Return a tree without what stays of kinds and features that came and went."""
    path = ".ctxscaffold/manifest.json"
    record = json.loads(files[path])
    del record["places"]
    found = files | {path: json.dumps(record)}
    return {path: text for path, text in found.items() if not path.startswith(LEFT)}


@pytest.mark.parametrize("seed", range(WALKS))
def test_nothing_of_the_users_is_lost(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    project = tmp_path / "op"
    state = State({"Widget.apps.example.com": Crd()})
    crds = YAML()
    with (tmp_path / "first.yaml").open("w") as file:
        crds.dump(Crd().document("Widget.apps.example.com"), file)
    answers = {"project_name": "op", "module": "example.com/op"}
    projects.new(project, [tmp_path / "first.yaml"], answers)
    state.write(project)
    settle(project)
    for step in range(STEPS):
        sign(project)
        before = tree(project)
        packages = manifest.places(project).packages
        after = changed(state, rng)
        print(f"step {step}: {after}")
        after.write(project)
        settle(project)
        now = tree(project)
        assert set(signed(before)) <= set(signed(now))
        places = manifest.places(project).packages
        assert packages.items() <= places.items()
        if os.environ.get("WALK_GO"):
            assert list(check(project))[-1] == "go vet"
        state.write(project)
        settle(project)
        assert without_record(tree(project)) == without_record(before)
        after.write(project)
        settle(project)
        state = after
