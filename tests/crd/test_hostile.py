"""Whatever a CRD says, it stays text: the Go has the declarations it should have."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scaffold.crd import golang, yamltext
from scaffold.crd.document import Document, parse
from scaffold.crd.read import read
from scaffold.crd.residual import same
from tests.crd.bad_input import GOOD
from tests.crd.checks import rendered
from tests.crd.oracle import Oracle

_PIECES = st.sampled_from(
    [
        "*/",
        "/*",
        "//",
        "`",
        '"',
        "'",
        "''",
        "``",
        "{{ 7 * 7 }}",
        "{% raw %}",
        "{# #}",
        "\n",
        "\r",
        "\t",
        "\x0b",
        "\x7f",
        "\u2028",
        "\ufeff",
        "\x85",
        "\\",
        "\\n",
        "+kubebuilder:validation:Enum=a",
        "\n+optional",
        "\n// +k8s:required",
        "\n---\n",
        "\nTODO: x",
        "\n```\n",
        "\n- item",
        "\n# heading",
        "}",
        "\n}\nfunc init() { panic(1) }\n",
        "package x",
        'import "os"',
        'json:"-"',
        "a",
        "é",
        "\U0001f600",
        " ",
        "%s",
        "$(x)",
    ]
)
TEXT = st.lists(_PIECES, max_size=6).map("".join) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=12
)
_ALLOWED = re.compile(
    r"type Widget\w*|const Widget\w*|func \(Widget\w*\) (Unm|M)arshalJSON|func (un)?marshalWithExtra"
    r'|import "(encoding/json|k8s\.io/(api|apimachinery|apiextensions-apiserver)/[\w/]+)"'
)
_CRD: dict[str, Any] = parse("good", GOOD.encode())[0].data


def _hostile(texts: list[str]) -> dict[str, Any]:
    """Return a CRD with the texts in every place where text may stand."""
    crd = copy.deepcopy(_CRD)
    version = crd["spec"]["versions"][0]
    a, b, c, d = texts
    crd["metadata"]["annotations"] = {"example.com/a": a}
    version["additionalPrinterColumns"] = [
        {"name": b or "x", "type": "string", "jsonPath": f".{c}", "description": d}
    ]
    version["schema"]["openAPIV3Schema"] = {
        "type": "object",
        "description": a,
        "properties": {
            "spec": {
                "type": "object",
                "description": b,
                "properties": {
                    a: {"type": "string", "description": c, "default": d},
                    f"x{b}": {"type": "string", "enum": [a, b, f"{c}1", f"{d}2"]},
                    f"y{c}": {
                        "type": "array",
                        "description": d,
                        "example": [a, b],
                        "items": {"type": "string", "description": a, "title": b},
                    },
                    f"z{d}": {
                        "type": "object",
                        "title": c,
                        "externalDocs": {"url": a, "description": b},
                        "x-kubernetes-preserve-unknown-fields": True,
                        "properties": {c: {"type": "integer"}},
                        "x-kubernetes-validations": [
                            {
                                "rule": f"self == {a!r}",
                                "message": " ".join(f"m{b}".split()),
                            }
                        ],
                    },
                    "map": {
                        "type": "object",
                        "default": {a: b, c: [d, {b: a}]},
                        "additionalProperties": {
                            "type": "object",
                            "description": d,
                            "properties": {
                                "p": {"type": "string", "pattern": re.escape(a)}
                            },
                        },
                    },
                },
            }
        },
    }
    return crd


@pytest.mark.golang
@given(st.lists(TEXT, min_size=4, max_size=4))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_text_never_becomes_go(oracle: Oracle, texts: list[str]) -> None:
    crd = _hostile(texts)
    (kind,) = read([yamltext.dump(crd).encode()])
    assert same(kind.document, crd)
    files = rendered("x", (kind,))
    for path, text in files.items():
        if path.endswith(".go"):
            answer = oracle.ask("go", source=text)
            assert answer["formatted"], path
            if "widget.go" in path:
                strange = [
                    d for d in answer["declarations"] if not _ALLOWED.fullmatch(d)
                ]
                assert strange == []
        elif path.endswith(".yaml"):
            assert len(oracle.yaml(text.encode())) == 1, path


@given(TEXT)
def test_a_comment_is_comment_only(text: str) -> None:
    lines = golang.comment_lines(text)
    assert not any("\n" in line or "\r" in line or "\0" in line for line in lines)
    assert not any(line.strip().startswith("+") for line in lines)


@pytest.mark.golang
@given(st.lists(TEXT, min_size=1, max_size=20))
@settings(deadline=None, suppress_health_check=list(HealthCheck))
def test_strings_are_one_literal_each(oracle: Oracle, texts: list[str]) -> None:
    constants = "\n".join(
        f"const C{index} = {golang.string(text)}" for index, text in enumerate(texts)
    )
    answer = oracle.ask("go", source=f"package x\n\n{constants}\n")
    assert answer["declarations"] == [f"const C{i}" for i in range(len(texts))]
    assert answer["strings"] == texts


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | TEXT,
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)


@given(_JSON)
@settings(deadline=None)
def test_yaml_text_reads_back(value: Any) -> None:
    documents: list[Document] = parse("f", yamltext.dump({"a": value}).encode())
    read_back = documents[0].data["a"]
    assert same(_rounded(read_back), _rounded(value))


def _rounded(value: Any) -> Any:
    """Return a value with integers as kubectl keeps them: 64 bits, else a float."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        fits = -(2**63) <= value < 2**64
        return value if fits else float(value)
    return value
