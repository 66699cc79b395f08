"""Where a kind's conditions are, and whether Ready can be among them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from scaffold.crd import golang, gotypes, strings
from scaffold.crd.gotypes import Pointer, Slice
from scaffold.crd.lists import Array
from scaffold.crd.markers import RULES, Schema
from scaffold.crd.model import OwnConditions
from scaffold.crd.nodes import Integer, String, Time
from scaffold.crd.structs import Field, Root, Struct

# The conditions that the runtime sets, and what it says in them: the shortest and
# the longest message, and reasons as they are spelled.
_READY = "Ready"
_TYPES = (_READY, "Reconciling", "Stalled")
_STATUSES = ("True", "False", "Unknown")
_REASONS = ("Canceled", "Reconciled", "ReconcileDeadlineExceeded")
_MESSAGES = ("", "work took longer than 15s", "a" * 1003)
_MOMENT = "2020-01-01T00:00:00Z"
# The times that some types have besides, of the last look or the last write.
_STAMPS = frozenset({"lastHeartbeatTime", "lastProbeTime", "lastUpdateTime"})
# What no sample value can tell the meaning of.
_OPAQUE = (RULES, "allOf", "anyOf", "not", "oneOf")
_LIST = "status.conditions"


class _Unfit(Exception):
    """Why conditions cannot hold Ready."""


def find(root: Root) -> OwnConditions | str | None:
    """Return how conditions are kept, or why they cannot be; None if in the usual type.

    The types of ``root`` are emitted.
    """
    status = next((one.node for one in root.fields if one.json == "status"), None)
    if status is None:
        return "it has no status"
    if not isinstance(status, Struct):
        return "its status has no properties"
    field = next((one for one in status.fields if one.json == "conditions"), None)
    if field is None:
        return "its status has no conditions"
    if str(field.kind) == f"[]{gotypes.CONDITION}":
        return None
    try:
        return _own(field)
    except _Unfit as error:
        return str(error)


def _own(field: Field) -> OwnConditions:
    node, go = field.node, field.kind
    if not (
        isinstance(node, Array)
        and isinstance(node.items, Struct)
        and isinstance(go, Slice)
        and isinstance(go.elem, gotypes.Struct)
    ):
        raise _Unfit(f"{_LIST} is no list of objects with properties")
    if any(node.schema.get(key) or node.items.schema.get(key) for key in _OPAQUE):
        raise _Unfit(f"{_LIST} has rules that a condition may break")
    fields = {one.json: one for one in node.items.fields}
    for name in ("type", "status"):
        if name not in fields:
            raise _Unfit(f"{_LIST}[] has no {name}")
    filled = [one for one in fields.values() if _fits(one)]
    names = {one.json for one in filled}
    for name in ("status", "type", *_needed(node)):
        if name not in names:
            raise _Unfit(f"{_LIST}[].{name} cannot be what Ready needs")
    return OwnConditions(
        field=field.go,
        item=go.elem.name,
        read=tuple(_read(filled)),
        write=tuple((one.go, _written(one)) for one in filled),
        stamps=bool(names & _STAMPS),
        types=_types(fields["type"].node.schema),
    )


def _needed(conditions: Array) -> Iterable[str]:
    """Return the fields that no element can do without."""
    keys = conditions.schema.get("x-kubernetes-list-map-keys") or ()
    return (*(conditions.items.schema.get("required") or ()), *keys)


def _types(schema: Schema) -> tuple[str, ...]:
    """Return the types that a CRD allows as Go strings, none if it allows any."""
    allowed = [one for one in _TYPES if _takes(schema, one)]
    if allowed == list(_TYPES):
        return ()
    return tuple(map(golang.string, schema.get("enum") or allowed))


def _fits(field: Field) -> bool:
    """Whether a field can hold what there is to say in it."""
    schema = field.node.schema
    if any(schema.get(key) for key in _OPAQUE):
        return False
    if field.json in _STAMPS or field.json == "lastTransitionTime":
        return isinstance(field.node, Time) or _takes_text(field, (_MOMENT,))
    if field.json == "observedGeneration":
        is_bounded = schema.keys() & {"enum", "maximum", "multipleOf"}
        is_from_0 = (schema.get("minimum") or 0) <= 0
        return isinstance(field.node, Integer) and not is_bounded and is_from_0
    wanted = {
        "type": (_READY,),
        "status": _STATUSES,
        "reason": _REASONS,
        # One that is optional is left out if it is empty.
        "message": _MESSAGES if field.required else _MESSAGES[1:],
    }.get(field.json)
    return wanted is not None and _takes_text(field, wanted)


def _takes_text(field: Field, texts: Iterable[str]) -> bool:
    schema = field.node.schema
    return (
        isinstance(field.node, String)
        and schema.get("format") in (None, "", "date-time")
        and (schema.get("format") != "date-time" or _MOMENT in texts)
        and all(_takes(schema, text) for text in texts)
    )


def _takes(schema: Schema, text: str) -> bool:
    """Whether a string's enum, bounds and pattern allow a text."""
    enum, most = schema.get("enum"), schema.get("maxLength")
    if enum and text not in enum:
        return False
    if len(text) < (schema.get("minLength") or 0):
        return False
    if most is not None and len(text) > most:
        return False
    if not schema.get("pattern"):
        return True
    pattern = strings.compiled(schema["pattern"])
    return pattern is not None and pattern.search(text) is not None


# The fields of a metav1.Condition in their order, by the property they are.
_CONDITION = {
    "type": "Type",
    "status": "Status",
    "observedGeneration": "ObservedGeneration",
    "lastTransitionTime": "LastTransitionTime",
    "reason": "Reason",
    "message": "Message",
}
_OF_CONDITION = {"Status": "metav1.ConditionStatus", "ObservedGeneration": "int64"}


def _read(fields: Iterable[Field]) -> Iterator[tuple[str, str]]:
    by_name = {one.json: one for one in fields}
    for name, wanted in _CONDITION.items():
        if name not in by_name:
            continue
        field = by_name[name]
        value, go = f"c.{field.go}", str(field.kind)
        if isinstance(field.kind, Pointer):
            value, go = f"reconciler.Value({value})", str(field.kind.elem)
        if name == "lastTransitionTime":
            is_text = isinstance(field.node, String)
            yield wanted, f"reconciler.ParseTime({value})" if is_text else value
        else:
            kind = _OF_CONDITION.get(wanted, "string")
            yield wanted, value if go == kind else f"{kind}({value})"


def _written(field: Field) -> str:
    """Return what a field is set to; {api} stands for the package of the API."""
    go = field.kind.elem if isinstance(field.kind, Pointer) else field.kind
    if isinstance(field.node, Integer | String):
        wanted = _CONDITION.get(field.json)
        value = "now" if field.json in _STAMPS else f"c.{wanted}"
        if field.json in _STAMPS or field.json == "lastTransitionTime":
            value = f"reconciler.FormatTime({value})"
        elif str(go) != _OF_CONDITION.get(str(wanted), "string"):
            name = str(go) if isinstance(go, gotypes.Basic) else f"{{api}}.{go}"
            value = f"{name}({value})"
    else:
        value = "now" if field.json in _STAMPS else "c.LastTransitionTime"
    return f"reconciler.Optional({value})" if isinstance(field.kind, Pointer) else value
