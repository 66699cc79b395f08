from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest

from scaffold import layout, render
from scaffold.crd import numbers, yamltext
from scaffold.crd.document import parse
from scaffold.crd.read import read
from scaffold.crd.residual import same
from scaffold.errors import InputError
from tests.crd.bad_input import GOOD
from tests.crd.oracle import Oracle, OracleError

SCALARS = [
    "yes",
    "no",
    "on",
    "off",
    "y",
    "n",
    "Y",
    "N",
    "~",
    "null",
    "true",
    "True",
    "TRUE",
    "False",
    "=",
    "<<",
    "<<:",
    "0x1F",
    "0o17",
    "0o18",
    "010",
    "08",
    "0b1",
    "0b+1",
    "-0b1",
    "1_000",
    "1__0",
    "_1",
    "1_",
    "12:30:00",
    "2020-01-01",
    "2020-01-01T00:00:00Z",
    ".inf",
    "-.inf",
    ".nan",
    "1e3",
    "1.0",
    "1.",
    ".5",
    ".5_0",
    "._5",
    "1e400",
    "18446744073709551615",
    "18446744073709551616",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "+12",
    "-0",
    "-0.0",
    "0.1",
    "1e20",
    "1e21",
    "1e-6",
    "1e-7",
    "1.5e-7",
    "123456.7e10",
    "1e6",
    "0x",
    "00",
    "+0x1F",
    "123456789012345678901234567890",
    "'12'",
    '"12"',
]
TAGGED = (
    "!!int '3'",
    "!!int 1.5",
    "!!float 3",
    "!!str 3",
    "!!bool yes",
    "!!bool x",
    "!!null ''",
    "!!null x",
    "!!binary aGk=",
    "!!binary '*'",
    "!!timestamp 2020-01-01",
    "!!timestamp 2020-13-01",
    "! 12",
    "!foo 12",
)
FILES = (
    b"a: 1\n---\nb: 2\n",
    b"---\n---\n",
    b"--- # c\na: 1\n",
    b'{"a": 1}{"b": 2}',
    b"{a: 1}\n---\n{b: 2}",
    b"a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}\n",
    b"a: &x {b: 1}\nc: {b: 0, <<: *x}\n",
    b"c: {<<: [{a: 1}, {a: 2, b: 3}]}\n",
    b"a: 1\na: 2\n",
    b"? {a: b}\n: b\n",
    b"~: a\n",
    b"a: |\n  x\n  y\n",
    b"a: >-\n  x\n  y\n\n  z\n",
    b'{"a": "\\ud83d\\ude00"}',
    b'{"a": 1.0, "b": 1e3, "c": 12345678901234567890123}',
    b"\xef\xbb\xbfa: 1\n",
    b"a: 1\r\nb: 2\r\n",
    b"a: {url: http://x:80/y, t: [12:30:00]}\n",
    b'{"a": NaN}',
    b"a: b: c",
    b"\ta: 1",
)


def _ours(data: bytes) -> list[Any] | None:
    try:
        return [one.data for one in parse("f", data)]
    except InputError:
        return None


def _theirs(oracle: Oracle, data: bytes) -> list[Any] | None:
    try:
        return oracle.yaml(data)
    except OracleError:
        return None


@pytest.mark.golang
def test_yaml_reads_as_kubectl_reads_it(oracle: Oracle) -> None:
    source = random.Random(1)
    alphabet = "0123456789+-._xobeEaAyYnN~tf:TZ"
    words = [*SCALARS, *TAGGED] + [
        "".join(source.choices(alphabet, k=source.randint(1, 8))) for _ in range(3000)
    ]
    files = [*FILES]
    for word in words:
        files += (f"a: {word}\n".encode(), f"{word}: a\n".encode())
        files.append(f"- {word}\n".encode())
    different = [
        (data, ours, theirs)
        for data in files
        if not same(ours := _ours(data), theirs := _theirs(oracle, data))
    ]
    assert different == []


@pytest.mark.golang
def test_the_corpus_reads_as_kubectl_reads_it(oracle: Oracle) -> None:
    files = sorted(Path("examples").glob("*/crds/*.yaml"))
    assert files
    for path in files:
        data = path.read_bytes()
        assert same(_ours(data), _theirs(oracle, data)), path


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (2**64, "18446744073709551616"),
        (0.1, "0.1"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (1.5e21, "1.5e+21"),
    ],
)
def test_numbers_print_as_in_go(value: float, text: str) -> None:
    assert numbers.format_number(value) == text


def test_what_kubectl_get_prints() -> None:
    crd = parse("f", GOOD.encode())[0].data
    live = {
        **crd,
        "metadata": {
            "name": crd["metadata"]["name"],
            "labels": {"a": "b", "chart": "{{ .Chart.Name }}", "empty": ""},
            "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": "{}",
                "keep": "me",
            },
            "uid": "1",
            "resourceVersion": "2",
            "generation": 1,
            "creationTimestamp": "2020-01-01T00:00:00Z",
            "managedFields": [{}],
        },
        "status": {"storedVersions": ["v1"]},
    }
    listed = {"apiVersion": "v1", "kind": "List", "items": [live]}
    (kind,) = read([json.dumps(listed).encode()])
    assert kind.document == {
        **crd,
        "metadata": {
            "name": "widgets.example.com",
            "labels": {"a": "b", "empty": ""},
            "annotations": {"keep": "me"},
        },
    }


def test_folders_and_bundles(tmp_path: Path) -> None:
    other = GOOD.replace("Widget", "Gadget").replace("widget", "gadget")
    config = "apiVersion: v1\nkind: ConfigMap\n"
    (tmp_path / "b.yml").write_text(f"{config}---\n{GOOD}")
    (tmp_path / "a.json").write_text(json.dumps(parse("f", other.encode())[0].data))
    (tmp_path / "README.md").write_text("no CRD")
    kinds = read([tmp_path])
    assert [(kind.kind, kind.source[1]) for kind in kinds] == [
        ("Gadget", 1),
        ("Widget", 4),
    ]


def test_two_groups_with_one_kind() -> None:
    other = GOOD.replace("example.com", "example.org")
    kinds = read([GOOD.encode(), other.encode()])
    assert [kind.package for kind in kinds] == ["widgetexamplecom", "widgetexampleorg"]
    assert [kind.group_dir for kind in kinds] == ["examplecom", "exampleorg"]


@pytest.mark.parametrize(
    ("served", "sampled"),
    [
        ({"v1", "v1beta1"}, "v1"),
        ({"v1beta1", "v1beta2"}, "v1beta2"),
        (set(), ""),
    ],
)
def test_samples_are_applied_in_a_version_that_is_served(
    served: set[str], sampled: str
) -> None:
    crd = copy.deepcopy(parse("good", GOOD.encode())[0].data)
    (stored,) = crd["spec"]["versions"]
    crd["spec"]["versions"] = [
        {**stored, "name": name, "storage": name == "v1", "served": name in served}
        for name in ("v1beta1", "v1", "v1beta2")
    ]
    kinds = read([yamltext.dump(crd).encode()])
    files = render.render(layout.place("op", "example.com/op", [], kinds))
    found = {
        path.removeprefix("config/samples/")
        for path in files
        if path.startswith("config/samples/example_")
    }
    assert found == {f"example_{name}_widget.yaml" for name in served}
    listed = files["config/samples/kustomization.yaml"].text.split("resources:\n")[1:]
    assert listed == ([f"  - example_{sampled}_widget.yaml\n"] if sampled else [])
