"""A sample object of a version: valid against its schema, short, readable.

It has what the schema requires and, of ``oneOf`` and ``anyOf`` branches that
require fields, the first one's. Rules in CEL are not evaluated; the sample's
comment says where there are any.
"""

from __future__ import annotations

from typing import Any

from scaffold.crd import yamltext
from scaffold.crd.markers import EMBEDDED, INT_OR_STRING, PRESERVE, RULES, Schema
from scaffold.crd.strings import matching


class _Sampler:
    def __init__(self) -> None:
        # Paths whose values are a guess, because CEL has a say or none was found.
        self.ruled: list[str] = []
        self.unsure: list[str] = []

    def value(self, schema: Schema, path: str, index: int = 0) -> Any:
        """Return a value for a node; ``index`` counts values that differ."""
        if schema.get(RULES):
            self.ruled.append(path)
        if schema.get("default") is not None and not index:
            return schema["default"]
        enum = [value for value in schema.get("enum") or () if value not in (None, "")]
        if schema.get("enum"):
            return enum[index % len(enum)] if enum else schema["enum"][0]
        kind = schema.get("type") or ""
        if kind == "object":
            return self.object(schema, path)
        if kind == "array":
            return self.array(schema, path)
        if kind == "string" or schema.get(INT_OR_STRING):
            return self.string(schema, path, index)
        if kind in ("integer", "number"):
            return self.number(schema, path, index)
        if kind == "boolean":
            return bool(index % 2)
        return {}

    def object(self, schema: Schema, path: str) -> dict[str, Any]:
        properties = schema.get("properties") or {}
        wanted = list(schema.get("required") or ())
        wanted += _branch(schema, frozenset(wanted))
        made = {
            name: self.value(properties.get(name) or {}, f"{path}.{name}")
            for name in dict.fromkeys(wanted)
            if name in properties
        }
        if schema.get(EMBEDDED):
            made |= {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "example"},
            }
        elif schema.get(PRESERVE):
            made |= {name: {} for name in wanted if name not in properties}
        least = schema.get("minProperties") or 0
        for name, child in sorted(properties.items()):
            if len(made) >= least:
                break
            made.setdefault(name, self.value(child or {}, f"{path}.{name}"))
        additional = schema.get("additionalProperties")
        if isinstance(additional, dict):
            required = [name for name in wanted if name not in properties]
            names = required or [f"key{index}" for index in range(1, least + 1)]
            for name in names:
                made[name] = self.value(additional, f"{path}.{name}")
        elif len(made) < least:
            made |= {f"key{index}": "value" for index in range(least - len(made))}
        return made

    def array(self, schema: Schema, path: str) -> list[Any]:
        least = schema.get("minItems") or 0
        items = schema.get("items") or {}
        if schema.get("x-kubernetes-list-type") not in ("map", "set"):
            return [self.value(items, f"{path}[{index}]") for index in range(least)]
        made = [self.item(schema, path, index) for index in range(least)]
        if any(one in made[:index] for index, one in enumerate(made)):
            self.unsure.append(path)
        return made

    def item(self, schema: Schema, path: str, index: int) -> Any:
        """Return an item of a set, or of a map of that key, unlike the others."""
        items = schema.get("items") or {}
        made = self.value(items, f"{path}[{index}]", index)
        properties = items.get("properties") or {}
        for key in schema.get("x-kubernetes-list-map-keys") or ():
            at = f"{path}[{index}].{key}"
            made[key] = self.value(properties.get(key) or {}, at, index)
        return made

    def string(self, schema: Schema, path: str, index: int) -> str | int:
        if schema.get(INT_OR_STRING) and not schema.get("pattern"):
            return 1 + index
        text = matching(schema, index)
        if text is None:
            self.unsure.append(path)
            return "example"
        return text

    def number(self, schema: Schema, path: str, index: int) -> int | float:
        step = schema.get("multipleOf") or 1
        low, high = schema.get("minimum"), schema.get("maximum")
        value: int | float = 1
        if low is not None and value < low:
            value = low
        if high is not None and value > high:
            value = high
        if schema.get("exclusiveMinimum") and value == low:
            value = value + step
        if schema.get("exclusiveMaximum") and value == high:
            value = value - step
        if step != 1 and value % step:
            value = -(-value // step) * step
        value += index * step
        if high is not None and value > high:
            value -= 2 * index * step  # the other way, if there is more room
        if (low is not None and value < low) or (high is not None and value > high):
            self.unsure.append(path)
        return value


def _branch(schema: Schema, required: frozenset[str]) -> list[str]:
    """Return the fields that the first branch of oneOf or anyOf requires."""
    found: list[str] = []
    for key in ("oneOf", "anyOf", "allOf"):
        branches = schema.get(key) or ()
        for branch in branches:
            if key != "allOf" and any(
                required >= set(other.get("required") or ("?",)) for other in branches
            ):
                break
            found += branch.get("required") or ()
            found += _branch(branch, required | set(found))
            if key != "allOf":
                break
    return found


def sample(
    api_version: str, kind: str, name: str, namespaced: bool, schema: Schema
) -> tuple[dict[str, Any], list[str]]:
    """Return a sample object and remarks on what in it is a guess."""
    sampler = _Sampler()
    properties = dict(schema.get("properties") or {})
    metadata = (properties.pop("metadata", None) or {}).get("properties") or {}
    body_schema = {
        **schema,
        "properties": {
            key: child
            for key, child in properties.items()
            if key not in ("apiVersion", "kind")
        },
    }
    wanted = list(schema.get("required") or ())
    if "spec" in properties and "spec" not in wanted:
        wanted.append("spec")
    body = sampler.object({**body_schema, "required": wanted}, "")
    if schema.get(RULES):
        sampler.ruled.append("")
    if metadata.get("name"):
        name = matching(metadata["name"]) or name
    made: dict[str, Any] = {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, **({"namespace": "default"} if namespaced else {})},
        **body,
    }
    remarks = [f"no value was found for {path.lstrip('.')}" for path in sampler.unsure]
    if sampler.ruled:
        where = ", ".join(
            path.lstrip(".") or "the object" for path in sampler.ruled[:5]
        )
        remarks.append(f"CEL rules were not considered: they concern {where}")
    return made, remarks


def text(made: dict[str, Any], remarks: list[str]) -> str:
    """Return a sample as YAML, its remarks as comments."""
    head = "".join(f"# {yamltext.scalar(remark)}\n" for remark in remarks)
    return head + yamltext.dump(made)
