"""The emitted CI workflow and the image's build context, as they would be used."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from scaffold import manifest
from scaffold.controlplane import ensure_built
from tests.beacon import EXAMPLES, commit, git
from tests.golden import names

pytestmark = pytest.mark.golang

GOLDEN = {name: EXAMPLES / name / "golden" for name in names()}


def ignored(patterns: list[str], path: str) -> bool:
    """Report whether .dockerignore keeps a file out: the last line that fits decides."""
    out = False
    for line in patterns:
        pattern = line.removeprefix("!")
        fits = re.compile(
            "".join(
                {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(
                    part, re.escape(part)
                )
                for part in re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
            )
            + "(?:/.*)?"
        )
        if fits.fullmatch(path):
            out = not line.startswith("!")
    return out


def context(project: Path) -> Iterator[str]:
    """Yield the files of the image's build context."""
    lines = (project / ".dockerignore").read_text("utf-8").splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    for path in sorted(project.rglob("*")):
        relative = path.relative_to(project).as_posix()
        if path.is_file() and not ignored(patterns, relative):
            yield relative


@pytest.mark.parametrize("name", GOLDEN)
def test_the_build_context_has_what_the_image_needs(name: str, tmp_path: Path) -> None:
    """What COPY copies is all that go build reads, embedded files among it."""
    files = list(context(GOLDEN[name]))
    assert not [path for path in files if path.endswith("_test.go")]
    assert {Path(path).suffix for path in files} <= {".go", ".mod", ".sum", ".json"}
    for path in files:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(GOLDEN[name] / path, tmp_path / path)
    listed = subprocess.run(
        ["go", "list", "-deps", "-json=ImportPath,Error,DepsErrors", "./cmd/manager"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"},
    )
    assert listed.returncode == 0, listed.stderr
    assert "/cmd/manager" in listed.stdout and '"Error"' not in listed.stdout
    assert json.dumps("internal/httpapi/openapi.json") in json.dumps(files) or (
        not (GOLDEN[name] / "internal/httpapi").exists()
    )


def steps(project: Path, job: str) -> list[str]:
    """Return what the shell runs in a job of the workflow."""
    workflow = YAML(typ="safe", pure=True).load(
        (project / ".github/workflows/ci.yml").read_text("utf-8")
    )
    return [step["run"] for step in workflow["jobs"][job]["steps"] if "run" in step]


@pytest.mark.parametrize("name", GOLDEN)
def test_the_workflow_installs_no_name_that_is_not_its_makers(name: str) -> None:
    commands = "\n".join(steps(GOLDEN[name], "verify"))
    assert not re.search(r"pip install +(--\S+ +)*ctxscaffold", commands)
    assert "pip install" in commands and "ctxscaffold --version" in commands


@pytest.mark.controlplane
def test_the_steps_of_the_workflow(tmp_path: Path) -> None:
    """In a fresh clone whose path has a space in it, and no assets to be had from elsewhere.

    WORKFLOW=long runs those too that take minutes.
    """
    origin, clone = tmp_path / "origin", tmp_path / "a clone" / "minimal"
    shutil.copytree(GOLDEN["minimal"], origin)
    git(origin, "init", "--quiet")
    commit(origin, "start")
    git(tmp_path, "clone", "--quiet", str(origin), str(clone))
    # As setup-envtest would have downloaded it.
    store = clone / "bin/k8s/k8s/1.37.2-linux-amd64"
    store.mkdir(parents=True)
    for binary in ("kube-apiserver", "etcd", "kubectl"):
        there = ensure_built(print) / binary
        (store / binary).symlink_to(there if there.exists() else "/bin/true")
    programs = tmp_path / "programs"
    programs.mkdir()
    pip = programs / "pip"
    pip.write_text('#!/bin/sh\necho "$@" >> "$(dirname "$0")/asked"\n')
    pip.chmod(0o755)
    (programs / "ctxscaffold").symlink_to(Path(sys.executable).parent / "ctxscaffold")
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("KUBEBUILDER_ASSETS", "MAKEFLAGS", "MFLAGS", "MAKELEVEL")
    } | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "CTXSCAFFOLD_WHEEL": "a.whl",
    }

    def run(command: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-e", "-c", command],
            cwd=clone,
            capture_output=True,
            text=True,
            env=environment | more,
        )

    whole = os.environ.get("WORKFLOW") == "long"
    for job in ("verify", "test"):
        for command in steps(clone, job):
            if command in ("make lint", "make test") and not whole:
                continue  # which other tests do for every golden project
            done = run(command)
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
            assert "no KUBEBUILDER_ASSETS" not in done.stdout, command
    assert (programs / "asked").read_text() == "install a.whl\n"
    install = next(step for step in steps(clone, "verify") if "pip install" in step)
    refused = run(install, CTXSCAFFOLD_WHEEL="")
    assert refused.returncode == 1 and "::error::" in refused.stdout
    record = clone / manifest.PATH
    record.write_text(record.read_text("utf-8").replace('"0.1.0"', '"0.0.9"'))
    other = run(install)
    assert other.returncode == 1 and "0.0.9 wrote this project" in other.stdout
