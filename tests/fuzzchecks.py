"""What the fuzzer asks of every answer of an operator's HTTP API.

Schemathesis finds this module by ``SCHEMATHESIS_HOOKS``. ``FUZZ_EXPECTED`` names
statuses, separated by commas, that a run must have seen: it proves that the run
got as far as what it is about.
"""

from __future__ import annotations

import os
import zlib
from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, HookContext, Response

EXPECTED = "FUZZ_EXPECTED"


NAMESPACE = "default"
NAMES = 8  # so few that what one request made another one finds


@schemathesis.hook
def map_path_parameters(
    ctx: HookContext, path_parameters: dict[str, Any] | None
) -> dict[str, Any] | None:
    """Lead most requests to objects that there may be."""
    if path_parameters is None:
        return None
    return {
        key: (_led(key, value) if isinstance(value, str) and len(value) % 5 else value)
        for key, value in path_parameters.items()
    }


@schemathesis.hook
def map_body(ctx: HookContext, body: Any) -> Any:
    """Give most objects one of those names."""
    metadata = body.get("metadata") if isinstance(body, dict) else None
    if isinstance(metadata, dict):
        name = metadata.get("name")
        if isinstance(name, str) and len(name) % 5:
            metadata["name"] = _name(name)
    return body


def _led(parameter: str, drawn: str) -> str:
    return NAMESPACE if parameter == "namespace" else _name(drawn)


def _name(drawn: str) -> str:
    return f"payment-{zlib.crc32(drawn.encode(errors='replace')) % NAMES}"


@schemathesis.check
class Bounded:
    """No 5xx but 503 with Retry-After, and 504 that names the time used up."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def after_response(
        self, ctx: CheckContext, response: Response, case: Case[Any]
    ) -> None:
        status = response.status_code
        self._seen.add(str(status))
        if status < 500:
            return
        if status == 503 and response.headers.get("retry-after"):
            return
        text = response.content.decode(errors="replace")
        if status == 504 and "used up" in text and "_deadline" in text:
            return
        raise AssertionError(f"{status} without its reason: {text[:500]}")

    def after_run(self, ctx: object) -> None:
        missing = set(os.environ.get(EXPECTED, "").split(",")) - self._seen - {""}
        if missing:
            raise AssertionError(
                f"never answered {', '.join(sorted(missing))}, "
                f"only {', '.join(sorted(self._seen))}"
            )
