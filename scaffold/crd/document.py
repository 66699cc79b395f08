"""YAML and JSON files as kubectl reads them, with line numbers on demand.

A file is split at lines that begin with ``---``, and each document is read by
:mod:`scaffold.crd.kubeyaml`. Lines are not kept for every node:
:meth:`Document.lines` reads the text again, only when a message needs one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

from scaffold.crd import kubeyaml, numbers
from scaffold.crd.kubeyaml import MAX_DEPTH, Path
from scaffold.errors import InputError

# A CRD that fits into etcd has at most 1.5 MB; this is room for a bundle.
MAX_BYTES = 32 * 1024 * 1024

_FROM_CHART = (
    "if it is a template of a Helm chart, have Helm fill it in: "
    "helm template CHART | ctxscaffold new DEST --crd -"
)
_BEGIN = re.compile(rb"^apiVersion:", re.MULTILINE)
_SEPARATOR = re.compile(rb"---.*")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML or JSON document: plain data and where it came from.

    ``line`` is the line of the file on which ``text`` begins, ``first`` the line
    of ``text``, from 0, on which the data begins. ``data`` is built of dict, list, str, int, float, bool and None, and is
    shared where the text has aliases: never change it in place.
    """

    name: str
    line: int
    data: Any
    text: bytes
    first: int = 0
    prefix: Path = ()

    def where(self, *path: str | int) -> str:
        """Return ``file:line`` of the node at a path, or of its nearest parent."""
        return f"{self.name}:{self.lines([path])[path]}"

    def lines(self, paths: Collection[Path]) -> dict[Path, int]:
        """Return the line of every path, one pass over the text for all."""
        wanted = {self.prefix + path for path in paths}
        ancestors = {path[:n] for path in wanted for n in range(len(path) + 1)}
        found = kubeyaml.locate(self.text, ancestors)
        lines = {}
        for path in paths:
            full = self.prefix + path
            while full not in found and full:
                full = full[:-1]
            lines[path] = self.line + found.get(full, self.first)
        return lines

    def child(self, *path: str | int) -> Document:
        """Return the document that is the node at a path (an item of a List)."""
        data = self.data
        for step in path:
            data = data[step]
        return replace(self, data=data, prefix=self.prefix + path)


def parse(name: str, raw: bytes) -> list[Document]:
    """Return the non-empty documents of a file, in order.

    ``name`` is what messages call the file. Raises :class:`InputError` for
    what kubectl could not read either, and for what is too big or too deep.
    """
    if len(raw) > MAX_BYTES:
        raise too_big(name, len(raw))
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(
            "the file is UTF-16, kubectl reads UTF-8 only",
            where=name,
            fix=f"iconv -f UTF-16 -t UTF-8 {name}",
        )
    if (nul := raw.find(b"\0")) >= 0:
        raise InputError(
            "a NUL byte: the file is binary, not YAML",
            where=f"{name}:{raw.count(10, 0, nul) + 1}",
            fix="give the CRD as YAML or JSON text",
        )
    raw = raw.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")
    documents = _json_documents(name, raw) if raw.lstrip()[:1] == b"{" else []
    if documents:
        return documents
    for line, chunk in _split(name, raw):
        _check_joined(name, line, chunk)
        try:
            data, first = kubeyaml.read(chunk)
        except kubeyaml.Bad as error:
            raise InputError(
                error.problem,
                where=f"{name}:{line + error.line}",
                fix=_FROM_CHART if b"{{" in chunk else "mend the YAML there",
            ) from None
        if data is not None:
            documents.append(Document(name, line, data, chunk, first))
    return documents


def _check_joined(name: str, line: int, chunk: bytes) -> None:
    """Raise if two objects are one document, of which YAML would keep the last."""
    begins = [match.start() for match in _BEGIN.finditer(chunk)]
    if len(begins) > 1:
        before = chunk.count(b"\n", 0, begins[1])
        raise InputError(
            "a second apiVersion: two objects joined without a line '---' between",
            where=f"{name}:{line + before}",
            fix="put '---' on a line of its own between them",
        )


def too_big(name: str, size: int) -> InputError:
    """Return the error for a file over the limit."""
    return InputError(
        f"the file has {size:,} bytes, the limit is {MAX_BYTES:,}",
        where=name,
        fix="split it into one file per CRD; the API server takes 3 MB at most",
    )


def _split(name: str, raw: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (first line, text) of each document, split as kubectl splits."""
    start, line = 0, 1
    for match in _SEPARATOR.finditer(raw):
        if match.start() and raw[match.start() - 1 : match.start()] != b"\n":
            continue
        chunk = raw[start : match.start()]
        if chunk.strip():
            yield line, chunk
        line += chunk.count(b"\n") + 1
        rest = match.group()[3:].strip()
        if rest and not rest.startswith(b"#"):
            raise InputError(
                "text after the document separator '---'",
                where=f"{name}:{line - 1}",
                fix="put it on a line of its own, as kubectl requires",
            )
        start = match.end() + 1
    if raw[start:].strip():
        yield line, raw[start:]


def _json_documents(name: str, raw: bytes) -> list[Document]:
    """Return the objects of a JSON stream, or nothing if it is no JSON."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return []
    decoder = json.JSONDecoder(
        parse_float=numbers.json_number,
        parse_int=numbers.json_number,
        parse_constant=_json_constant,
    )
    documents: list[Document] = []
    position = 0
    try:
        while True:
            while text[position : position + 1].isspace():
                position += 1
            if position == len(text):
                return documents
            line = text.count("\n", 0, position) + 1
            data, end = decoder.raw_decode(text, position)
            if _SURROGATE.search(json.dumps(data, ensure_ascii=False)):
                data = json.loads(
                    _SURROGATE.sub("\ufffd", json.dumps(data, ensure_ascii=False))
                )
            _check_depth(name, line, data)
            chunk = text[position:end].encode()
            if data is not None:
                documents.append(Document(name, line, data, chunk))
            position = end
    except ValueError:
        return []
    except RecursionError:
        raise _too_deep(f"{name}:{line}") from None


def _json_constant(text: str) -> Any:
    raise ValueError(text)


def _check_depth(name: str, line: int, data: Any) -> None:
    """Raise unless the data's nesting is within the limit."""
    level = [data]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise _too_deep(f"{name}:{line}")


def _too_deep(where: str) -> InputError:
    return InputError(
        f"nested deeper than {MAX_DEPTH} levels",
        where=where,
        fix="flatten the schema; the API server has limits as well",
    )
