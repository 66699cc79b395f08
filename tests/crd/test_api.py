"""The emitted API packages of the examples, against Kubernetes' own code."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scaffold.crd import document, yamltext
from scaffold.crd.inspect import inspect
from scaffold.crd.read import read
from tests.crd import corpus
from tests.crd.oracle import Oracle

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
CRDS = sorted(EXAMPLES.glob("*/crds"))


@pytest.mark.golang
def test_every_check_holds_for_the_examples(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Compiled, regenerated, patched, drawn and compared: see tests/crd/corpus.py."""
    for folder in CRDS:
        (tmp_path / folder.parent.name).symlink_to(folder)
    assert corpus.main([str(tmp_path), "--objects", "40"]) == 0, capsys.readouterr().out


@pytest.mark.golang
@pytest.mark.parametrize("folder", CRDS, ids=lambda path: path.parent.name)
def test_samples_are_accepted(folder: Path, oracle: Oracle) -> None:
    for kind in read([folder]):
        for version in kind.served:
            (sample,) = oracle.yaml(kind.sample(version).encode())
            (answer,) = oracle.ask(
                "objects", crd=kind.document, version=version.name, objects=[sample]
            )["objects"]
            assert answer["errors"] == [], kind.sample(version)


def test_conditions_are_recognised() -> None:
    folder = EXAMPLES / "minimal" / "crds"
    (recognised,), (plain,) = read([folder]), read([folder], known_types=False)
    assert recognised.storage.conditions
    assert not plain.storage.conditions


def test_what_needs_the_patch_is_reported_with_its_line() -> None:
    text = (EXAMPLES / "minimal" / "crds" / "beacon.yaml").read_text()
    branch = "  oneOf: [{required: [color]}]\n"
    marker = "            spec:\n"
    assert text.count(marker) == 1
    changed = text.replace(marker, f"{marker}            {branch}")
    (kind,) = read([changed.encode()])
    line = changed[: changed.index("oneOf")].count("\n") + 1
    report = inspect(kind)
    assert not report.exact
    assert [
        (construct.where, construct.change)
        for construct in report.constructs
        if construct.path.endswith("spec.oneOf")
    ] == [(f"<stdin>:{line}", "add")]


def test_what_only_the_patch_restores_is_counted_by_its_form() -> None:
    text = (EXAMPLES / "minimal" / "crds" / "beacon.yaml").read_text()
    crd = document.parse("beacon", text.encode())[0].data
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["properties"]["two"] = {"type": "string", "description": "A.\n\n\nB."}
    spec["properties"]["one"] = {"type": "string"}
    spec["required"] = ["two", "one"]
    (kind,) = read([yamltext.dump(crd).encode()], known_types=False)
    report = inspect(kind)
    assert report.exact and not report.constructs
    assert dict(report.restored) == {"order": 2, "words": 1}


def test_the_same_bytes_under_every_hash_seed() -> None:
    program = (
        "import hashlib, pathlib, sys\n"
        "from scaffold.crd.read import read\n"
        "kinds = read([pathlib.Path(p) for p in sys.argv[1:]])\n"
        "text = ''.join(k.yaml + k.residual_json + ''.join(\n"
        "    k.sample(v) + '\\n'.join(v.code.blocks) + v.code.deepcopy\n"
        "    + '\\n'.join(v.spoke.functions if v.spoke else ()) for v in k.versions) for k in kinds)\n"
        "print(hashlib.sha256(text.encode()).hexdigest())\n"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program, *map(str, CRDS)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(digests) == 1
    assert len(digests.pop().strip()) == hashlib.sha256().digest_size * 2
