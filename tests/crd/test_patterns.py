"""Regular expressions of other dialects: refused exactly where Go refuses them."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from scaffold.crd.document import parse
from scaffold.crd.read import read
from scaffold.errors import ScaffoldError
from tests.crd.bad_input import GOOD
from tests.crd.oracle import Oracle

PATTERNS = [
    *(r"^[a-z]([-a-z0-9]*[a-z0-9])?$", r"\d+(\.\d+)?", r"(?i)abc", r"(?P<n>a)", r"(?<n>a)"),
    *(r"\p{Greek}", r"\pN", r"[[:alpha:]]+", r"[^[:^digit:]]", r"\x{10FFFF}", r"\Qa+b\E", r"\z"),
    *(r"\A\bword\B", r"a{2,5}?", r"a{1000}", r"a{,5}", r"x\+\+", r"[\]a]", r"[]a]", r"[^]a]", r"\\1"),
    *(r"[*+?]+", r"\*\+", r"(a*)+", r"[\d\-_.]", r"\.\-\/", r"\(\?=", r"[(?=]", r"\a\f\t\n\r\v"),
    *(r"(a)\1", r"(?=a)b", r"(?!a)b", r"(?<=a)b", r"(?<!a)b", r"(?>a)", r"a++", r"a*+", r"a?+", r"a{2}+"),
    *(r"a{1001}", r"a{2000}", r"a{1,2000}", r"\Z", r"\h", r"\R", r"\K", r"\G", r"\cA", r"\u0041"),
    *(r"\k<n>", r"(?P=n)", r"(?#note)a", r"(?(1)a|b)", r"(", r"[a", r"*a", r"a)", r"\e", r"\N"),
]  # fmt: skip


@pytest.mark.golang
@pytest.mark.parametrize("pattern", PATTERNS)
def test_as_the_api_server_judges(pattern: str, oracle: Oracle) -> None:
    crd: dict[str, Any] = copy.deepcopy(parse("good", GOOD.encode())[0].data)
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["properties"]["text"] = {"type": "string", "pattern": pattern}
    try:
        read([json.dumps(crd).encode()])
        ours = ""
    except ScaffoldError as error:
        ours = str(error)
    theirs = oracle.ask("validate", crd=crd)["errors"]
    assert bool(ours) == bool(theirs), f"we say {ours!r}, the server {theirs}"
