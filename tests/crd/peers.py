"""Other tools that make Go types of a schema, measured by our checks.

They know JSON Schema or OpenAPI and nothing of Kubernetes, so that each CRD is
handed to them as what they read: the schema of its stored version by itself.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scaffold.crd import package
from scaffold.crd.markers import Schema
from scaffold.crd.model import Kind
from tests.crd import checks
from tests.crd.checks import Corpus, Result
from tests.crd.lossless import difference

_SECONDS = 60


@dataclass(slots=True)
class Peer:
    """A tool: the module it is built from, and how it is called.

    ``document`` is the input for a schema, ``arguments`` the command's, given
    input and output files and the package's name. ``root`` is the Go type.
    """

    name: str
    module: str
    suffix: str
    document: Callable[[dict[str, Any]], dict[str, Any]]
    arguments: Callable[[Path, Path, str], list[str]]
    requires: tuple[str, ...] = ()
    # CRD -> folder of its package, for those it generated; why it did not, else.
    made: dict[str, Path] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def peers() -> list[Peer]:
    """Return the peers that run here."""
    return [
        Peer(
            "oapi-codegen v2.8.2",
            "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2",
            ".json",
            lambda schema: {
                "openapi": "3.0.0",
                "info": {"title": "crd", "version": "v1"},
                "paths": {},
                "components": {"schemas": {"Root": schema}},
            },
            lambda source, target, package: [
                "-generate=types,skip-prune",
                f"-package={package}",
                f"-o={target}",
                str(source),
            ],
            ("github.com/oapi-codegen/runtime@v1.1.2",),
        ),
        Peer(
            "go-jsonschema v0.24.1",
            "github.com/atombender/go-jsonschema@v0.24.1",
            ".json",
            lambda schema: {"$id": "root", "title": "Root", **schema},
            lambda source, target, package: [
                f"--package={package}",
                "--struct-name-from-title",
                f"--output={target}",
                str(source),
            ],
        ),
    ]


def install(peer: Peer, folder: Path) -> Path:
    """Build a peer's command and return it."""
    subprocess.run(
        ["go", "install", peer.module],
        cwd=folder,
        check=True,
        capture_output=True,
        env={**os.environ, "GOBIN": str(folder), "GOFLAGS": "-mod=mod"},
    )
    name = peer.module.partition("@")[0].rpartition("/")[2]
    return folder / name


def _whole(schema: Schema) -> Schema:
    """Return a schema with what every object of Kubernetes has."""
    text = {"type": "string"}
    meta = {"apiVersion": text, "kind": text, "metadata": {"type": "object"}}
    return {**schema, "properties": {**meta, **(schema.get("properties") or {})}}


def generate(
    peer: Peer, command: Path, kinds: Sequence[Kind], module: Path, base: str
) -> None:
    """Let a peer make the types of kinds, a package each below ``base``."""
    for index, kind in enumerate(kinds):
        package = f"p{index}"
        folder = module / base / package
        folder.mkdir(parents=True)
        source = folder / f"schema{peer.suffix}"
        source.write_text(json.dumps(peer.document(_whole(kind.storage.schema))))
        try:
            run = subprocess.run(
                [
                    str(command),
                    *peer.arguments(source, folder / "types.go", package),
                ],
                capture_output=True,
                text=True,
                timeout=_SECONDS,
            )
        except subprocess.TimeoutExpired:
            peer.failed[kind.crd_name] = f"no end in {_SECONDS} s"
            continue
        text = (folder / "types.go").read_text() if run.returncode == 0 else ""
        if re.search(r"^type Root\b", text, re.MULTILINE):
            peer.made[kind.crd_name] = folder
        else:
            why = (run.stderr or run.stdout).strip()
            peer.failed[kind.crd_name] = why.splitlines()[-1] if why else "no type"


def measure(corpus: Corpus, scratch: Path) -> list[tuple[Peer, list[Result]]]:
    """Let each peer do what ours did; return what holds of it."""
    measured = []
    for number, peer in enumerate(peers()):
        print(f"{peer.name} …", file=sys.stderr, flush=True)
        module = scratch / f"peer{number}"
        module.mkdir()
        checks.go_module(module)
        command = install(peer, module)
        if peer.requires:
            subprocess.run(
                ["go", "get", *peer.requires],
                cwd=module,
                check=True,
                capture_output=True,
                env={**os.environ, "GOFLAGS": "-mod=mod"},
            )
        measured.append((peer, _results(peer, command, corpus, module)))
    return measured


def _results(peer: Peer, command: Path, corpus: Corpus, module: Path) -> list[Result]:
    owners = {
        kind.crd_name: (project.name, kind)
        for project in corpus.projects
        for kind in project.kinds
    }
    generate(peer, command, [kind for _, kind in owners.values()], module, "made")
    results = {name: Result(owner, name) for name, (owner, _) in owners.items()}
    for name, result in results.items():
        result.set("generates", name in peer.made, peer.failed.get(name, ""))
        result.set("compiles", False, "nothing was generated")
        result.set("lossless", False, "nothing was compiled")
    run = subprocess.run(
        ["go", "build", "-gcflags=-e=1", "./made/..."],
        cwd=module,
        capture_output=True,
        text=True,
    )
    errors: dict[str, str] = {}
    for line in run.stderr.splitlines():
        if found := re.match(r"made/(p\d+)/", line):
            errors.setdefault(found[1], line)
    good = {}
    for name, folder in peer.made.items():
        error = errors.get(folder.name, "")
        results[name].set("compiles", not error, error)
        if not error:
            good[name] = f"made/{folder.name}"
    binary = checks.program(module, [(path, "Root") for path in good.values()])
    with checks.Roundtrip(binary) as roundtrip:
        for index, name in enumerate(good):
            _, kind = owners[name]
            drawn = corpus.drawn(kind, kind.storage)
            root = package.parse_root(kind.storage.schema, known_types=False)
            lost = ""
            for before, answer in zip(drawn, roundtrip.ask(index, drawn), strict=True):
                lost = (
                    lost
                    or answer.get("error")
                    or difference(root, before, answer["object"], "", Counter())
                )
            results[name].set("lossless", not lost, lost)
    return list(results.values())
