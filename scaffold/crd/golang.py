"""The only way of a CRD's text into Go source: comments, strings, tags, markers.

Whatever a CRD says, what comes out of these functions is one line of comment
text, one string literal or one struct tag. :func:`read_back` says what
controller-gen makes of a comment, so that a loss is known beforehand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from scaffold.crd.numbers import format_number

# Characters that Go refuses in source text or drops from it, and line breaks.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029\ufeff\ufffe\uffff]")
_UNPRINTABLE = re.compile(
    "[^\x20-\x7e\xa1-\xac\xae-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_LIST_ITEM = re.compile(r"\s*([-*+\u2022\u2013]|\d+[.)])\s")
_LINK = re.compile(r"\[[^\]]+\]:\s")
_TAG_NAME = re.compile(r"[\w!#$%&()*+./:;<=>?@\[\]^{|}~ -]+")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def comment_lines(text: str) -> list[str]:
    """Return a description as the lines of a ``//`` comment, without the slashes.

    No line is one that controller-gen drops or takes for a marker: TODO and
    ``---`` are moved in by a space, ``+`` follows the line before or is quoted.
    """
    if "\n" not in text and not _CONTROL.search(text):
        line = _kept(text.rstrip())
        return [_quoted_marker(line)] if line else []
    lines: list[str] = []
    in_code = False
    for raw in text.split("\n"):
        line = _CONTROL.sub(" ", raw).rstrip()
        if line.startswith(("```", "~~~")):
            in_code = not in_code
        elif not in_code:
            line = _kept(line)
        if line.strip().startswith("+"):
            if lines and lines[-1]:
                lines[-1] += f" {line.strip()}"
                continue
            line = _quoted_marker(line)
        lines.append(line)
    while lines and not lines[-1]:
        lines.pop()
    while lines and not lines[0]:
        lines.pop(0)
    return lines


def _kept(line: str) -> str:
    return f" {line}" if line.startswith(("TODO", "---")) else line


def _quoted_marker(line: str) -> str:
    return f'"{line.strip()}"' if line.strip().startswith("+") else line


def read_back(lines: Sequence[str]) -> str:
    """Return the description controller-gen reads from :func:`comment_lines`."""
    kept = [
        line
        for index, line in enumerate(lines)
        if line or not index or lines[index - 1]
    ]
    return "\n".join(kept)


def gofmt_keeps(lines: Sequence[str]) -> bool:
    """Whether gofmt leaves a top-level doc comment with these lines alone.

    It re-indents lists and code, and makes headings and quotation marks of what
    looks like them. Indented comments, such as a field's, it never touches.
    """
    for index, line in enumerate(lines):
        if line[:1] in (" ", "\t", "#") or "``" in line or "''" in line:
            return False
        if _LIST_ITEM.match(line) or _LINK.match(line):
            return False
        alone = (
            index > 0
            and not lines[index - 1]
            and index + 1 < len(lines)
            and not lines[index + 1]
        )
        if alone and line[:1].isupper():
            return False
    return True


def string(text: str) -> str:
    """Return a Go string literal that markers can hold too: raw where it reads better."""
    if "\\" in text and "`" not in text and not _UNPRINTABLE.search(text):
        return f"`{text}`"
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    escaped = re.sub(r'["\\\n\r\t]', lambda match: _ESCAPES[match.group()], text)
    return _UNPRINTABLE.sub(lambda match: _code_point(ord(match.group())), escaped)


def _code_point(code: int) -> str:
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def json_text(value: Any) -> str:
    """Return a value as one line of JSON that may stand in a Go comment."""
    if isinstance(value, str):
        text = json.dumps(value, ensure_ascii=False)
        return _UNPRINTABLE.sub(_json_escape, text)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return format_number(value)
    if isinstance(value, list):
        return "[" + ",".join(map(json_text, value)) + "]"
    if isinstance(value, dict):
        members = (f"{json_text(k)}:{json_text(value[k])}" for k in sorted(value))
        return "{" + ",".join(members) + "}"
    return "null"


def _json_escape(match: re.Match[str]) -> str:
    return json.dumps(match.group())[1:-1]


def taggable(name: str) -> bool:
    """Whether encoding/json can be told this name by a struct tag."""
    return bool(_TAG_NAME.fullmatch(name)) and not _UNPRINTABLE.search(name)


def tag(name: str, option: str) -> str:
    """Return the struct tag of a JSON name that is :func:`taggable`."""
    spelled = f"{name},{option}" if option or name == "-" else name
    return f'`json:"{spelled}"`'
