"""Plain data as YAML text that every reader understands alike.

Block style, keys sorted, strings quoted wherever any version of YAML could
take them for something else; several lines become a literal block.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from scaffold.crd.numbers import format_number

_PLAIN = re.compile(r"[A-Za-z_/][\w./()+*=;<>-]*(?:[ :][\w./()+*=;<>-]+)*", re.ASCII)
_WORDS = frozenset(
    {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"}
)
# YAML readers allow a key of one line up to 1,024 characters.
_LONG_KEY = 1000
# Longer strings are always quoted.
_SHORT = 120
_BLOCK = re.compile(
    "[^\n\x20-\x7e\xa1-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_ESCAPE = re.compile("[\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff]")


def dump(value: Any) -> str:
    """Return a JSON value as a YAML document, without ``---``."""
    lines: list[str] = []
    _add(lines, value, "")
    return "\n".join(lines) + "\n"


def _add(lines: list[str], value: Any, indent: str) -> None:
    if isinstance(value, dict) and value:
        for key in sorted(value):
            text = scalar(key)
            if len(text) > _LONG_KEY // 4 and len(text.encode()) > _LONG_KEY:
                lines.append(f"{indent}? {text}")
                text = ""
            _add_entry(lines, f"{indent}{text}:", value[key], indent)
    elif isinstance(value, list) and value:
        for item in value:
            _add_item(lines, item, indent)
    else:
        lines.append(indent + scalar(value))


def _add_entry(lines: list[str], head: str, value: Any, indent: str) -> None:
    if isinstance(value, dict) and value:
        lines.append(head)
        _add(lines, value, indent + "  ")
    elif isinstance(value, list) and value:
        lines.append(head)
        _add(lines, value, indent)
    elif isinstance(value, str) and "\n" in value and _is_literal(value):
        lines.extend(_literal(head, value, indent + "  "))
    else:
        lines.append(f"{head} {scalar(value)}")


def _add_item(lines: list[str], value: Any, indent: str) -> None:
    if isinstance(value, dict | list) and value:
        first = len(lines)
        _add(lines, value, indent + "  ")
        lines[first] = f"{indent}- {lines[first][len(indent) + 2:]}"
    elif isinstance(value, str) and "\n" in value and _is_literal(value):
        lines.extend(_literal(f"{indent}-", value, indent + "  "))
    else:
        lines.append(f"{indent}- {scalar(value)}")


def _is_literal(text: str) -> bool:
    body = text.removesuffix("\n")
    return (
        bool(body)
        and not body.endswith("\n")
        and body[0] not in " \n"
        and not _BLOCK.search(text)
    )


def _literal(head: str, text: str, indent: str) -> Iterator[str]:
    yield f"{head} {'|' if text.endswith(chr(10)) else '|-'}"
    for line in text.removesuffix("\n").split("\n"):
        yield indent + line if line else ""


def scalar(value: Any) -> str:
    """Return one line of YAML for a scalar or an empty collection."""
    if isinstance(value, str):
        return _word(value) if len(value) < _SHORT else _quoted(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return format_number(value)
    return "{}" if isinstance(value, dict) else "[]"


@lru_cache(maxsize=4096)  # a CRD has few words, again and again
def _word(text: str) -> str:
    if text.lower() not in _WORDS and _PLAIN.fullmatch(text):
        return text
    return _quoted(text)


def _quoted(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    return _ESCAPE.sub(lambda match: f"\\u{ord(match.group()):04x}", quoted)
