"""A real kube-apiserver and etcd for tests, benchmarks and the demo.

A Go program builds and runs them. It ships with its sources beside this
package, is compiled into the cache on first use, and stops what it started as
soon as its standard input closes: nothing is left behind, however this process
ends.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn

from scaffold import resources
from scaffold.errors import ToolError

Progress = Callable[[str], None]


def _silent(line: str) -> None:
    """Ignore a line of progress."""


_GO_DOWNLOADS = "https://go.dev/dl"
_STOP_SECONDS = 60.0  # more than the program grants all its components together


@dataclass(frozen=True)
class ControlPlane:
    """A running control plane."""

    kubeconfig: Path
    """Of an administrator; contains its certificates."""
    url: str
    """``https://127.0.0.1:<port>``."""
    assets: Path
    """The folder with ``kube-apiserver`` and ``etcd``."""
    audit_log: Path | None
    """One JSON object a line; a request is in it when it has been answered."""
    pids: Mapping[str, int]
    """Process ids by component, such as ``{"etcd": 4711}``."""

    def environment(self) -> dict[str, str]:
        """Return this process's environment, leading clients and envtest here."""
        found = os.environ | {
            "KUBECONFIG": str(self.kubeconfig),
            "KUBEBUILDER_ASSETS": str(self.assets),
            "USE_EXISTING_CLUSTER": "true",
        }
        if self.audit_log:
            found["CTXSCAFFOLD_AUDIT_LOG"] = str(self.audit_log)
        return found


def source_dir() -> Path:
    """Return the folder of the Go program's sources. It may be read-only."""
    return resources.root() / "tests" / "controlplane"


def ensure_built(progress: Progress) -> Path:
    """Build every component that is missing and return their folder.

    That takes minutes the first time and nothing later. ``progress`` gets a line
    now and then. ``KUBEBUILDER_ASSETS`` is used if it holds all components.
    Raises :class:`ToolError` if Go is missing or too old, or the build fails.
    """
    program = _program(progress)
    _build(program, (), progress)
    found = subprocess.run(
        [program, "assets"], env=_environment(), capture_output=True, text=True
    )
    if found.returncode != 0:
        raise _fault(found.stderr, found.returncode)
    return Path(found.stdout.strip())


@contextmanager
def control_plane(
    audit: Path | None = None,
    controller_manager: bool = False,
    progress: Progress = _silent,
) -> Iterator[ControlPlane]:
    """Run a control plane of one's own for the length of a ``with`` block.

    ``audit`` is a file to be made, with one event for each request and two for a
    watch. ``controller_manager`` adds the namespace, quota, garbage-collection and
    role-aggregation controllers. What is missing is built first, as by
    :func:`ensure_built`.

    Raises :class:`ToolError` if it does not start, or ended by itself before
    the block did.
    """
    components = ["etcd", "kube-apiserver"]
    arguments = ["run"]
    if controller_manager:
        components.append("kube-controller-manager")
        arguments.append("--controller-manager")
    if audit is not None:
        arguments += ["--audit", str(audit.absolute())]
    program = _program(progress)
    _build(program, components, progress)
    with tempfile.TemporaryFile("w+") as messages:
        process = subprocess.Popen(
            [program, *arguments],
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=messages,
            text=True,
            # Ctrl-C is for this process, which may still need the API server.
            start_new_session=True,
        )
        try:
            yield _read_info(process, messages)
        except BaseException:
            _stop(process)
            raise
        if code := _stop(process):
            raise _fault(_text(messages), code)


def main(arguments: Sequence[str], progress: Progress = _silent) -> NoReturn:
    """Become the Go program, with these arguments: its help says which there are.

    Does not return. Raises :class:`ToolError` if it cannot be built.
    """
    program = _program(progress)
    argv = [program.name, *arguments]
    # Replaced, not called: its signals and its exit code need no go-between.
    os.execve(program, argv, _environment())


def _read_info(process: subprocess.Popen[str], messages: IO[str]) -> ControlPlane:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise _fault(_text(messages), process.wait())
    info = json.loads(line)
    return ControlPlane(
        kubeconfig=Path(info["kubeconfig"]),
        url=info["url"],
        assets=Path(info["assets"]),
        audit_log=Path(info["auditLog"]) if "auditLog" in info else None,
        pids=info["pids"],
    )


def _stop(process: subprocess.Popen[str]) -> int:
    """Stop the program, wait for its end and return its exit code."""
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.close()
        return process.wait(_STOP_SECONDS)
    finally:
        process.stdout.close()
        if process.poll() is None:
            process.kill()
            process.wait()


def _program(progress: Progress) -> Path:
    """Return the compiled program, compiling it if its sources are new."""
    source = source_dir()
    digest = hashlib.sha256()
    for file in sorted(source.iterdir()):
        compiled = file.suffix == ".go" and not file.name.endswith("_test.go")
        if compiled or file.name in ("go.mod", "go.sum"):
            digest.update(f"{file.name}\0".encode() + file.read_bytes() + b"\0")
    key = f"{digest.hexdigest()[:16]}-{sys.platform}-{platform.machine()}"
    program = resources.cache().absolute() / "controlplane" / f"program-{key}"
    if not program.is_file():
        progress("building the control plane program")
        _compile(source, program)
    return program


def _compile(source: Path, program: Path) -> None:
    go = _go(source)
    try:
        program.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=program.parent) as folder:
            # Named once it is complete: others may be waiting to run it.
            unfinished = Path(folder) / program.name
            command = [go, "build", "-mod=readonly", "-buildvcs=false"]
            build = subprocess.run(
                [*command, "-o", unfinished, "."],
                cwd=source,
                env=_go_environment(),
                capture_output=True,
                text=True,
            )
            if build.returncode != 0:
                raise ToolError(
                    f"the control plane program does not build:\n{build.stderr.strip()}",
                    where=str(source),
                    fix="see that go version is 1.26 or later and that modules can "
                    "be downloaded: go env GOPROXY",
                )
            unfinished.replace(program)
    except OSError as error:
        raise ToolError(
            f"the cache cannot be written: {error.strerror}",
            where=str(program.parent),
            fix="set CTXSCAFFOLD_CACHE to a folder that can be written",
        ) from error


def _go(source: Path) -> str:
    """Return the go command, or say why it cannot build what is in ``source``."""
    needed = _go_version((source / "go.mod").read_text("utf-8"), r"^go ")
    go = shutil.which("go")
    if go is None:
        raise ToolError(
            "go is not on the PATH, and the control plane is built with it",
            fix=f"install Go {needed[0]}.{needed[1]} or later: {_GO_DOWNLOADS}",
        )
    # In the folder of the module, where a newer toolchain is chosen if allowed.
    found = subprocess.run(
        [go, "env", "GOVERSION"],
        cwd=source,
        env=_go_environment(),
        capture_output=True,
        text=True,
    )
    if found.returncode != 0 or _go_version(found.stdout, r"^go") < needed:
        said = (found.stdout + found.stderr).strip()
        raise ToolError(
            f"{go} is too old for the control plane ({said})",
            fix=f"install Go {needed[0]}.{needed[1]} or later: {_GO_DOWNLOADS}",
        )
    return go


def _go_version(text: str, before: str) -> tuple[int, int]:
    found = re.search(before + r"(\d+)\.(\d+)", text, re.MULTILINE)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _go_environment() -> dict[str, str]:
    """Return the environment of a build for this machine, outside any workspace."""
    inherited = {k: v for k, v in os.environ.items() if k not in ("GOOS", "GOARCH")}
    return inherited | {"GOWORK": "off"}


def _environment() -> dict[str, str]:
    return os.environ | {"CTXSCAFFOLD_CACHE": str(resources.cache().absolute())}


def _build(program: Path, components: Sequence[str], progress: Progress) -> None:
    with subprocess.Popen(
        [program, "build", *components],
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as build:
        assert build.stderr is not None
        messages: list[str] = []
        try:
            for line in build.stderr:
                messages.append(line)
                progress(line.rstrip("\n"))
        except BaseException:
            build.terminate()
            raise
    if build.returncode != 0:
        raise _fault("".join(messages), build.returncode)


def _text(messages: IO[str]) -> str:
    messages.seek(0)
    return messages.read()


def _fault(messages: str, code: int) -> ToolError:
    """Turn what the program wrote before it failed into an error."""
    *_, last = re.split(r"^controlplane: ", messages, flags=re.MULTILINE)
    what, _, fix = last.strip().partition("\n  fix: ")
    if last == messages:
        what = f"the control plane program ended with code {code}: {what}"
    return ToolError(what, fix=fix or "report it with what it printed")
