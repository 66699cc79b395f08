"""The Go oracle as a Python object: one process, one JSON line a question."""

from __future__ import annotations

import base64
import json
import os
import resource
import subprocess
from pathlib import Path
from typing import Any

# What the process may use: where the first is not enough Go collects harder, at
# the second, which counts address space, it ends.
_MEMORY = "3GiB"
_ADDRESS_SPACE = 12 << 30
SOURCE = Path(__file__).parent.parent / "oracle"


class OracleError(Exception):
    """The oracle's own answer that it could not do what was asked."""


class Oracle:
    """A running oracle; see tests/oracle for the commands and their answers."""

    def __init__(self, binary: Path) -> None:
        self._process = subprocess.Popen(
            [str(binary)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "GOMEMLIMIT": _MEMORY},
        )
        resource.prlimit(
            self._process.pid,
            resource.RLIMIT_AS,
            (_ADDRESS_SPACE, _ADDRESS_SPACE),
        )

    def ask(self, command: str, **args: Any) -> dict[str, Any]:
        """Return the answer to a command; raise OracleError if it failed."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin and stdout
        stdin.write(json.dumps({"command": command, "args": args}).encode() + b"\n")
        stdin.flush()
        answer: dict[str, Any] = json.loads(stdout.readline())
        if "error" in answer:
            raise OracleError(answer["error"])
        return answer

    def yaml(self, data: bytes) -> list[Any]:
        """Return the documents kubectl reads from a file's bytes."""
        encoded = base64.b64encode(data).decode()
        documents: list[Any] = self.ask("yaml", data=encoded)["documents"]
        return documents

    def close(self) -> None:
        """End the process."""
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait(timeout=30)


def build(folder: Path) -> Path:
    """Build the oracle into a folder and return the program."""
    binary = folder / "oracle"
    subprocess.run(
        ["go", "build", "-o", str(binary), "."],
        cwd=SOURCE,
        check=True,
        env={**os.environ, "GOWORK": "off"},
    )
    return binary
