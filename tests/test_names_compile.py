"""Kinds, versions, groups and fields that are called as something else already is."""

from __future__ import annotations

import json
import keyword
import os
import random
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from scaffold import project as projects
from scaffold.crd import names
from tests.beacon import EXAMPLES
from tests.gotests import go

pytestmark = pytest.mark.golang

_DECLARED = re.compile(
    r"^(?:func|type|var|const|\t)(?: \([^)]*\))? ?([A-Za-z]\w*)", re.M
)


def vocabulary() -> list[str]:
    """Return the words of emitted code, of its folders and files, and of Go."""
    words = set(names.KEYWORDS | names.PREDECLARED | names.TAKEN_PACKAGES)
    words |= set(keyword.kwlist)
    for golden in EXAMPLES.glob("*/golden"):
        for path in golden.rglob("*"):
            words |= set(
                re.split(r"[^A-Za-z0-9]+", path.relative_to(golden).as_posix())
            )
            inside = path.suffix == ".go" and "runtime" not in path.parts
            words |= (
                set(_DECLARED.findall(path.read_text("utf-8"))) if inside else set()
            )
    return sorted(word for word in words if re.fullmatch(r"[A-Za-z][A-Za-z0-9]*", word))


def crd(rand: random.Random, words: list[str], group: str, kind: str) -> dict[str, Any]:
    """Return a CRD of a kind, with versions and root fields of such names."""
    versions = rand.sample([word.lower() for word in words], rand.choice([1, 1, 2]))
    if rand.random() < 0.2:
        versions = ["v1beta", "v1-beta"]
    fields = rand.sample(words, 4)
    schema = {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {f: {"type": "string"} for f in fields},
            },
            **{
                field: {"type": "string"}
                for field in rand.sample(words, 3)
                if field not in ("apiVersion", "kind", "metadata", "spec", "status")
            },
        },
    }
    plural = kind.lower()
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "listKind": f"{kind}s"},
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": index == 0,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}},
                }
                for index, version in enumerate(dict.fromkeys(versions))
            ],
        },
    }


def drawn(rand: random.Random, words: list[str]) -> list[dict[str, Any]]:
    """Return CRDs whose kinds are named as code is, as each other's lists too."""
    made = []
    for group in (f"{rand.choice(words).lower()}.example.com" for _ in range(2)):
        kinds = {word[:1].upper() + word[1:] for word in rand.sample(words, 5)}
        kinds |= {f"{kind}List" for kind in list(kinds)[:1]}
        alike = {kind.lower(): kind for kind in sorted(kinds)}  # plurals must differ
        made += [crd(rand, words, group, kind) for kind in alike.values()]
    return list({one["metadata"]["name"]: one for one in made}.values())


@pytest.mark.parametrize("seed", range(int(os.environ.get("NAMES", "1"))))
def test_any_name_compiles(tmp_path: Path, seed: int) -> None:
    """NAMES=20 makes as many projects, each of a dozen kinds."""
    rand = random.Random(seed)
    words = vocabulary()
    assert len(words) > 500
    folder = tmp_path / "crds"
    folder.mkdir()
    for index, one in enumerate(drawn(rand, words)):
        (folder / f"{index}.json").write_text(json.dumps(one))
    made = tmp_path / "op"
    settings = {"http_api": True, "tenancy": True, "project_name": "no"}
    outcome = projects.new(made, [folder], {"module": "example.com/op", **settings})
    assert len(outcome.kinds) > 8
    go(made, "vet", "./...")
    go(
        made,
        "vet",
        "-tags=integration",
        "./internal/controller/...",
        "./internal/webhook/...",
    )
    shutil.rmtree(made)


def test_names_are_strings_in_manifests(tmp_path: Path) -> None:
    """Also those that YAML takes for something else: no, 1.2."""
    one = crd(random.Random(1), ["on", "y", "yes", "off", "null"], "1.2", "No")
    (tmp_path / "crd.json").write_text(json.dumps(one))
    made = tmp_path / "op"
    projects.new(made, [tmp_path / "crd.json"], {"project_name": "no", "tenancy": True})
    yaml = YAML(typ="safe", pure=True)
    yaml.version = (1, 1)  # as kubectl reads it
    rules = 0
    for path in (made / "config").rglob("*.yaml"):
        for document in yaml.load_all(path.read_text("utf-8")):
            for rule in found(document, "rules"):
                lists = (
                    rule.get(key) or ()
                    for key in ("apiGroups", "resources", "apiVersions")
                )
                assert all(isinstance(name, str) for one in lists for name in one), path
                rules += 1
            for labels in found(document, "labels", "matchLabels"):
                values = (
                    labels.values()
                    if "pairs" not in labels
                    else labels["pairs"].values()
                )
                assert all(
                    isinstance(v, str) for v in values if not isinstance(v, dict)
                ), path
    assert rules > 10


def found(node: Any, *keys: str) -> list[dict[str, Any]]:
    """Return the mappings, and those in lists, that stand under such a key."""
    if isinstance(node, list):
        return [one for child in node for one in found(child, *keys)]
    if not isinstance(node, dict):
        return []
    here = [node[key] for key in keys if key in node]
    flat = [
        one for value in here for one in (value if isinstance(value, list) else [value])
    ]
    below = [one for child in node.values() for one in found(child, *keys)]
    return [one for one in flat if isinstance(one, dict)] + below
