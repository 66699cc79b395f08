"""Strings that satisfy a schema: its pattern, its format and its bounds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from scaffold.crd.markers import Schema

# They have no stubs.
sre, sre_parser = import_module("re._constants"), import_module("re._parser")

# Tried in this order before a string is built from the pattern.
_COMMON = (
    "example",
    "a",
    "1",
    "10",
    "example.com",
    "example.com/name",
    "https://example.com",
    "http://example.com",
    "10.0.0.1",
    "10.0.0.0/24",
    "5m",
    "1h",
    "30s",
    "1.0.0",
    "v1.0.0",
    "1Gi",
    "user@example.com",
    "/example",
    "2020-01-01T00:00:00Z",
    "00:00",
    "Example",
    "EXAMPLE",
)
_FORMATS = {
    "bsonobjectid": "507f1f77bcf86cd799439011",
    "byte": "ZXhhbXBsZQ==",
    "cidr": "10.0.0.0/24",
    "creditcard": "4111111111111111",
    "date": "2020-01-01",
    "date-time": "2020-01-01T00:00:00Z",
    "datetime": "2020-01-01T00:00:00Z",
    "duration": "1h",
    "email": "user@example.com",
    "hexcolor": "#ffffff",
    "hostname": "example.com",
    "ipv4": "10.0.0.1",
    "ipv6": "2001:db8::1",
    "isbn": "978-0321751041",
    "isbn10": "0321751043",
    "isbn13": "978-0321751041",
    "k8s-long-name": "example.com",
    "k8s-short-name": "example",
    "mac": "00:00:5e:00:53:01",
    "password": "example",
    "rgbcolor": "rgb(255,255,255)",
    "ssn": "111-11-1111",
    "uri": "https://example.com",
    "uuid": "123e4567-e89b-42d3-a456-426614174000",
    "uuid3": "123e4567-e89b-32d3-a456-426614174000",
    "uuid4": "123e4567-e89b-42d3-a456-426614174000",
    "uuid5": "123e4567-e89b-52d3-a456-426614174000",
}
_CLASSES = {
    "alpha": "A-Za-z",
    "digit": "0-9",
    "alnum": "A-Za-z0-9",
    "upper": "A-Z",
    "lower": "a-z",
    "space": r"\s",
    "word": r"\w",
    "xdigit": "0-9A-Fa-f",
}


def matching(schema: Schema, index: int = 0) -> str | None:
    """Return a short readable string a string schema accepts, None if none is found.

    ``index`` counts strings that differ from one another.
    """
    least = schema.get("minLength") or 0
    most = schema.get("maxLength")
    patterns = [compiled(pattern) for pattern in _patterns(schema)]
    if None in patterns:
        return None
    found: list[str] = []
    for text in _numbered(_candidates(schema, least), found):
        fits = len(text) >= least and (most is None or len(text) <= most)
        if fits and all(pattern.search(text) for pattern in patterns if pattern):
            if text not in found:
                found.append(text)
            if len(found) > index:
                return text
    return None


def _patterns(schema: Schema) -> list[str]:
    """Return every pattern that a string has to match."""
    own = [schema["pattern"]] if schema.get("pattern") else []
    return own + [text for one in schema.get("allOf") or () for text in _patterns(one)]


def _numbered(candidates: Iterator[str], found: list[str]) -> Iterator[str]:
    """Yield candidates, and then those that were found with a number at the end."""
    yield from candidates
    for text in found[:3]:
        for number in range(1, 100):
            yield f"{text}{number}"
            yield f"{text[: -len(str(number))]}{number}"


def compiled(pattern: str) -> re.Pattern[str] | None:
    """Return Go's regular expression as Python's, None where they differ."""
    text = re.sub(r"\[:(\w+):\]", lambda m: _CLASSES.get(m.group(1), ""), pattern)
    text = (
        text.replace(r"\z", r"\Z").replace(r"\pL", "[A-Za-z]").replace(r"\pN", "[0-9]")
    )
    text = re.sub(r"\\p\{(\w+)\}", "[A-Za-z]", text)
    try:
        return re.compile(text, re.ASCII)
    except (re.error, OverflowError, RecursionError):
        return None


def _candidates(schema: Schema, least: int) -> Iterator[str]:
    if schema.get("format") in _FORMATS:
        yield _FORMATS[schema["format"]]
    yield from _COMMON
    yield "a" * max(least, 1)
    parts: list[str] = []
    for pattern in filter(None, map(compiled, _patterns(schema))):
        for repeats in (1, 2, 3, max(least, 1)):
            built = _build(sre_parser.parse(pattern.pattern, re.ASCII), repeats)
            if built is not None:
                parts.append(built)
                yield built
                yield built.ljust(least, "a")
    # Patterns that do not begin and end alike are often met by one after the other.
    yield from (first + second for first in parts[:20] for second in parts[:20])


def _build(parsed: Any, repeats: int) -> str | None:
    """Return a string for a parsed pattern; ``repeats`` is how often stars repeat."""
    parts = []
    for op, argument in parsed:
        part = _part(op, argument, repeats)
        if part is None:
            return None
        parts.append(part)
    return "".join(parts)


def _part(op: Any, argument: Any, repeats: int) -> str | None:
    if op is sre.LITERAL:
        return chr(argument)
    if op is sre.NOT_LITERAL:
        return "a" if argument != ord("a") else "b"
    if op is sre.ANY:
        return "a"
    if op is sre.AT:
        return ""
    if op is sre.IN:
        return _one_of(argument)
    if op is sre.BRANCH:
        options = (_build(option, repeats) for option in argument[1])
        return next((option for option in options if option), None) or ""
    if op is sre.SUBPATTERN:
        return _build(argument[-1], repeats)
    if op in (sre.MAX_REPEAT, sre.MIN_REPEAT):
        least, most, inner = argument
        one = _build(inner, repeats)
        count = min(max(least, repeats if least else repeats - 1), int(most))
        return None if one is None else one * count
    return None


def _one_of(argument: Any) -> str | None:
    """Return a character of a class, a letter or digit if there is one."""
    accepted = [
        chr(code)
        for code in (*range(97, 123), *range(48, 58), *range(65, 91), *range(33, 127))
        if _in_class(code, argument)
    ]
    return accepted[0] if accepted else None


def _in_class(code: int, argument: Any) -> bool:
    negated, found = False, False
    for op, value in argument:
        if op is sre.NEGATE:
            negated = True
        elif op is sre.LITERAL:
            found = found or code == value
        elif op is sre.RANGE:
            found = found or value[0] <= code <= value[1]
        elif op is sre.CATEGORY:
            found = found or _in_category(chr(code), str(value))
    return found is not negated


def _in_category(char: str, category: str) -> bool:
    plain = {
        "DIGIT": char.isdigit(),
        "WORD": char.isalnum() or char == "_",
        "SPACE": char.isspace(),
    }
    for name, holds in plain.items():
        if category.endswith(name):
            return not holds if "NOT" in category else holds
    return False
