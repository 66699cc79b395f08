"""How bad input is written down: one good CRD, and what is wrong with another."""

from __future__ import annotations

from dataclasses import dataclass

GOOD = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: widgets.example.com
spec:
  group: example.com
  scope: Namespaced
  names:
    kind: Widget
    plural: widgets
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec:
              type: object
              properties:
                size:
                  type: integer
"""


@dataclass(frozen=True)
class Case:
    """One bad file called bad.yaml and what is said about it."""

    id: str
    text: bytes
    message: str


def changed(id: str, old: str, new: str, message: str) -> Case:
    """Return the good CRD with one passage replaced."""
    assert GOOD.count(old) == 1, (id, old)
    return Case(id, GOOD.replace(old, new).encode(), message)


def file(id: str, text: bytes | str, message: str) -> Case:
    """Return a file of its own."""
    return Case(id, text.encode() if isinstance(text, str) else text, message)


def field(id: str, schema: str, message: str) -> Case:
    """Return the good CRD with another schema for the field ``size``."""
    lines = "".join(f"                  {line}\n" for line in schema.splitlines())
    return changed(id, "                  type: integer\n", lines, message)
