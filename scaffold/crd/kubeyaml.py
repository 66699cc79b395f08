"""One YAML document as kubectl reads it.

kubectl converts YAML to JSON with sigs.k8s.io/yaml: YAML 1.1 booleans
(``on``, ``y``), octals (``010``), no base 60, timestamps as strings, the last
of two equal keys wins. This module does the same on libyaml's events, so that
what the API server would see is what the rest of the package sees.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import re
from collections.abc import Collection, Hashable, Iterator
from math import isfinite
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.cyaml import CBaseLoader
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from scaffold.crd import numbers

# The deepest known CRD has 38 levels of schema, about 80 levels of YAML.
MAX_DEPTH = 300

Path = tuple[str | int, ...]


class Bad(Exception):
    """A text that cannot become JSON: why, and on which line counted from 0."""

    def __init__(self, problem: str, line: int = 0) -> None:
        """Keep the problem, one phrase, and the line it was found on."""
        super().__init__(problem)
        self.problem = problem
        self.line = line


_TRUE = ("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON")
_FALSE = ("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF")
_WORDS: dict[str, Any] = {
    **dict.fromkeys(_TRUE, True),
    **dict.fromkeys(_FALSE, False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF"), float("inf")),
    **dict.fromkeys(("+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}
# The first characters of scalars that may be something other than a string.
_SPECIAL = frozenset("0123456789+-.yYnNtTfFoO~")
_NUMERIC = frozenset("0123456789+-")
_TAG = "tag:yaml.org,2002:"
_TIMESTAMP = re.compile(
    r"(\d{4})-(\d\d?)-(\d\d?)"
    r"(?:[Tt ](\d\d?):(\d\d?):(\d\d?)(?:[.,]\d+)?(?:Z|[-+]\d\d:\d\d)?)?"
)


def _resolve(text: str) -> Any:
    """Return the value of a plain scalar without a tag."""
    if text and text[0] not in _SPECIAL:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if text[0] in _NUMERIC:
        number = numbers.yaml_number(text)
    elif text[0] == ".":
        number = numbers.yaml_fraction(text)
    else:
        return text
    return text if number is None else number


def _resolve_tagged(tag: str, text: str) -> Any:
    """Return the value of a scalar with an explicit tag."""
    kind = tag.removeprefix(_TAG)
    if kind == tag or kind not in (
        "bool",
        "int",
        "float",
        "null",
        "timestamp",
        "binary",
    ):
        return text
    if kind == "binary":
        try:
            return base64.b64decode(
                text.replace("\n", "").replace("\r", ""), validate=True
            ).decode(errors="replace")
        except binascii.Error:
            raise Bad("a !!binary value that is not base64") from None
    if kind == "timestamp" and _is_timestamp(text):
        return text
    value = _resolve(text)
    fits = {
        "bool": isinstance(value, bool),
        "int": isinstance(value, int) and not isinstance(value, bool),
        "float": isinstance(value, int | float) and not isinstance(value, bool),
        "null": value is None,
    }
    if not fits.get(kind, False):
        raise Bad(f"{text!r} cannot be read as !!{kind}")
    return value


def _is_timestamp(text: str) -> bool:
    match = _TIMESTAMP.fullmatch(text)
    if not match:
        return False
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups())
    try:
        datetime.datetime(year or 1, month, day, hour, minute, second)
    except ValueError:
        return False
    return True


def _key(value: Any) -> str:
    """Return the JSON key kubectl makes of a YAML key."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return str(value)
    if isinstance(value, float):
        return numbers.key_text(value)
    raise Bad("a mapping key that is no string")


class _Frame:
    """An open mapping or sequence while reading."""

    __slots__ = ("anchor", "container", "key", "merging", "size")

    def __init__(self, container: Any, anchor: str | None) -> None:
        self.container = container
        self.anchor = anchor
        self.key: str | None = None
        self.merging = False
        self.size = 1

    def awaits_key(self) -> bool:
        """Whether the next node is a mapping's key."""
        return type(self.container) is dict and self.key is None and not self.merging


_MERGE = object()


class _Reader:
    """Builds the data of one document from libyaml's events."""

    def __init__(self) -> None:
        self.stack: list[_Frame] = []
        self.anchors: dict[str, tuple[Any, int] | None] = {}
        self.count = 0
        self.aliased = 0
        self.root: Any = None

    def open(self, container: Any, anchor: str | None) -> None:
        self.count += 1
        if len(self.stack) == MAX_DEPTH:
            raise Bad(f"nested deeper than {MAX_DEPTH} levels")
        if anchor is not None:
            self.anchors[anchor] = None
        self.stack.append(_Frame(container, anchor))

    def scalar(self, event: Any) -> None:
        self.count += 1
        value = event.value
        frame = self.stack[-1] if self.stack else None
        is_key = frame is not None and frame.awaits_key()
        if event.implicit[0] and event.ctag is None:
            if is_key and value == "<<":
                value = _MERGE
            elif not value or value[0] in _SPECIAL:
                value = _resolve(value)
        elif event.ctag is not None:
            if is_key and event.tag == _TAG + "merge" and value == "<<":
                value = _MERGE
            else:
                value = _resolve_tagged(event.tag, value)
        if type(value) is float and not is_key:
            if not isfinite(value):
                raise Bad(f"{event.value} is no JSON number")
            value = numbers.canonical(value)
        if event.anchor is not None:
            self.anchors[event.anchor] = (value, 1)
        self.add(value, 1)

    def close(self) -> None:
        frame = self.stack.pop()
        if frame.anchor is not None:
            self.anchors[frame.anchor] = (frame.container, frame.size)
        self.add(frame.container, frame.size)

    def alias(self, anchor: str) -> None:
        if anchor not in self.anchors:
            raise Bad(f"unknown anchor '{anchor}' referenced")
        target = self.anchors[anchor]
        if target is None:
            raise Bad(f"anchor '{anchor}' value contains itself")
        value, size = target
        self.aliased += size
        self.count += size
        if (
            self.aliased > 100
            and self.count > 1000
            and self.aliased > self.count * _allowed(self.count)
        ):
            raise Bad("excessive aliasing")
        self.add(value, size)

    def add(self, value: Any, size: int) -> None:
        """Put a finished value into the innermost open container."""
        if not self.stack:
            self.root = value
            return
        frame = self.stack[-1]
        frame.size += size
        container = frame.container
        if type(container) is list:
            container.append(value)
        elif frame.merging:
            frame.merging = False
            _merge(container, value)
        elif frame.key is None:
            if value is _MERGE:
                frame.merging = True
            else:
                frame.key = _key(value)
        else:
            container[frame.key] = value
            frame.key = None


def _merge(container: dict[str, Any], value: Any) -> None:
    """Apply a ``<<`` key: later keys win, of several maps the first wins."""
    if isinstance(value, dict):
        container.update(value)
    elif isinstance(value, list) and all(isinstance(item, dict) for item in value):
        for item in reversed(value):
            container.update(item)
    else:
        raise Bad("'<<' needs a mapping or a list of mappings")


def _allowed(count: int) -> float:
    """Return the share of nodes that may come from aliases, as kubectl's reader."""
    low, high = 400_000, 4_000_000
    if count <= low:
        return 0.99
    if count >= high:
        return 0.10
    return 0.99 - 0.89 * (count - low) / (high - low)


def _events(text: bytes) -> Iterator[Any]:
    """Return libyaml's events for a text."""
    return iter(CBaseLoader(text).get_event, None)


def _lenient_events(text: bytes) -> Iterator[Any]:
    """Yield the events of the slow parser, which allows ``[a:b]`` as kubectl does."""
    yaml = YAML(typ="safe", pure=True)
    yaml.version = (1, 1)
    yield from yaml.parse(text.decode())


def read(text: bytes) -> tuple[Any, int]:
    """Return the data of a text's only document, and the line it begins on.

    Lines count from 0. Raises :class:`Bad`.
    """
    try:
        try:
            return _build(_events(text))
        except MarkedYAMLError as error:
            if error.problem != "found unexpected ':'":
                raise
            return _build(_lenient_events(text))
    except YAMLError as error:
        raise _syntax_error(text, error) from None


def _build(events: Iterator[Any]) -> tuple[Any, int]:
    """Return the data that a document's events spell, and its first line."""
    reader = _Reader()
    event: Any = None
    first: int | None = None
    try:
        for event in events:
            kind = type(event)
            if kind is ScalarEvent:
                reader.scalar(event)
            elif kind is MappingStartEvent:
                reader.open({}, event.anchor)
            elif kind is SequenceStartEvent:
                reader.open([], event.anchor)
            elif kind is MappingEndEvent or kind is SequenceEndEvent:
                reader.close()
                continue
            elif kind is AliasEvent:
                reader.alias(event.anchor)
            elif kind is DocumentStartEvent:
                if first is not None:
                    raise Bad("text after '...', which kubectl would ignore")
                continue
            else:
                continue
            if first is None:
                first = event.start_mark.line
    except Bad as error:
        raise Bad(error.problem, event.start_mark.line) from None
    return reader.root, first or 0


def _syntax_error(text: bytes, error: YAMLError) -> Bad:
    if isinstance(error, MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        problem = " ".join(str(part) for part in (error.problem, error.context) if part)
        return Bad(f"not valid YAML: {problem}", mark.line if mark else 0)
    line = text.count(b"\n", 0, getattr(error, "position", 0))
    return Bad(f"not valid YAML: {str(error).splitlines()[0]}", line)


def locate(text: bytes, wanted: Collection[Path]) -> dict[Path, int]:
    """Return the zero-based line of every wanted path that the text spells.

    A key's line is where the key stands, a sequence item's where it begins.
    Nodes reached through an alias or a merge have no line of their own.
    """
    found: dict[Path, int] = {}
    # (path of the container, next index or None, key's line)
    stack: list[list[Any]] = []
    for event in _quiet_events(text):
        kind = type(event)
        if kind in (MappingEndEvent, SequenceEndEvent):
            stack.pop()
            continue
        if kind not in (ScalarEvent, AliasEvent, MappingStartEvent, SequenceStartEvent):
            continue
        line = event.start_mark.line
        path: Path | None = ()
        if stack:
            frame = stack[-1]
            parent, state = frame[0], frame[1]
            if isinstance(state, int):
                path = None if parent is None else (*parent, state)
                frame[1] = state + 1
            elif state is None:
                frame[1] = _key_of(event)
                frame[2] = line
                if kind in (MappingStartEvent, SequenceStartEvent):
                    stack.append([None, 0 if kind is SequenceStartEvent else None, 0])
                continue
            else:
                path = None if parent is None else (*parent, state)
                line = frame[2]
                frame[1] = None
        if path is not None and path in wanted:
            found[path] = line
        if kind is MappingStartEvent:
            stack.append([path if path in wanted else None, None, 0])
        elif kind is SequenceStartEvent:
            stack.append([path if path in wanted else None, 0, 0])
    return found


def _key_of(event: Any) -> Hashable:
    """Return the JSON key of a key event, or a mark for one that has none."""
    if type(event) is not ScalarEvent:
        return _MERGE
    if not event.implicit[0] or event.tag is not None:
        return str(event.value)
    try:
        return _key(_resolve(event.value))
    except Bad:
        return _MERGE


def _quiet_events(text: bytes) -> Iterator[Any]:
    """Yield the events up to the first error: JSON is not always YAML."""
    try:
        yield from _events(text)
    except YAMLError:
        return
