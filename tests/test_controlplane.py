"""The Python side of the control plane, and the Go module's own tests."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from scaffold import controlplane
from scaffold.controlplane import ControlPlane, control_plane, ensure_built
from scaffold.errors import ToolError
from tests.gotests import Record, go_test

pytestmark = pytest.mark.controlplane

ROOT = Path(__file__).parent.parent
DEADLINE = 60.0  # seconds; only a failure reaches it
PYTHON = {"PYTHONPATH": str(ROOT)}


def kubectl(plane: ControlPlane, *arguments: str) -> str:
    program = str(plane.assets / "kubectl")
    run = subprocess.run(
        [program, "--kubeconfig", str(plane.kubeconfig), *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    return run.stdout


def is_running(pid: int) -> bool:
    """Report whether a process has not ended; one that nobody waited for has."""
    try:
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat")
        return not stat.exists() or ") Z " not in stat.read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False


def must_end(pids: Mapping[str, int]) -> None:
    """Wait for the end of processes that are not this one's children."""
    deadline = time.monotonic() + DEADLINE
    while any(is_running(pid) for pid in pids.values()):
        assert time.monotonic() < deadline, f"still running: {pids}"
        time.sleep(0.02)


def script(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


@pytest.fixture(autouse=True)
def without_assets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests are about what the program builds, not about what there is."""
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CTXSCAFFOLD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "controlplane"


@pytest.mark.golang
def test_go_module(record_property: Record) -> None:
    go_test(ROOT / "tests/controlplane", record_property, "-count=1", "./...")


def test_block_has_a_control_plane_and_stops_it() -> None:
    with control_plane() as plane:
        assert set(plane.pids) == {"etcd", "kube-apiserver"}
        assert plane.audit_log is None
        # Control-C at this process's terminal does not reach it.
        assert os.getsid(plane.pids["etcd"]) != os.getsid(0)
        version = json.loads(kubectl(plane, "get", "--raw", "/version"))
        assert version["gitVersion"] in plane.assets.name
        assert kubectl(plane, "cluster-info").count(plane.url) == 1
    assert not any(is_running(pid) for pid in plane.pids.values())
    assert not plane.kubeconfig.exists()


def test_stops_when_the_block_raises() -> None:
    with pytest.raises(ZeroDivisionError), control_plane() as plane:
        raise ZeroDivisionError
    assert not any(is_running(pid) for pid in plane.pids.values())


def test_audit_log_counts_writes(tmp_path: Path) -> None:
    with control_plane(audit=tmp_path / "audit.log") as plane:
        assert plane.audit_log == tmp_path / "audit.log"
        for i in range(10):
            kubectl(plane, "create", "configmap", f"number-{i}")
        events = map(json.loads, plane.audit_log.read_text("utf-8").splitlines())
        created = [
            event["objectRef"]["name"]
            for event in events
            if event["verb"] == "create"
            and event["objectRef"]["resource"] == "configmaps"
            and event["objectRef"]["namespace"] == "default"
        ]
    assert created == [f"number-{i}" for i in range(10)]


def test_controller_manager_and_environment() -> None:
    with control_plane(controller_manager=True) as plane:
        assert "kube-controller-manager" in plane.pids
        environment = plane.environment()
        assert environment["USE_EXISTING_CLUSTER"] == "true"
        assert environment["KUBEBUILDER_ASSETS"] == str(plane.assets)
        assert "CTXSCAFFOLD_AUDIT_LOG" not in environment
        create = [str(plane.assets / "kubectl"), "create", "quota", "q"]
        subprocess.run([*create, "--hard=pods=1"], env=environment, check=True)
        status = "--for=jsonpath={.status.hard.pods}=1"
        kubectl(plane, "wait", "quota/q", status, f"--timeout={DEADLINE:.0f}s")


def test_a_component_that_dies_is_an_error() -> None:
    with (
        pytest.raises(ToolError, match="etcd ended by itself: signal: killed"),
        control_plane() as plane,
    ):
        os.kill(plane.pids["etcd"], signal.SIGKILL)
        must_end(plane.pids)


KILLED = """
import json, os, signal
from scaffold.controlplane import control_plane
# A process started in the background by a shell inherits that SIGINT is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
with control_plane(controller_manager=True) as plane:
    print(json.dumps(plane.pids), flush=True)
    signal.pause()
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_its_python(how: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED],
        env=os.environ | PYTHON,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        pids = json.loads(parent.stdout.readline())
        assert all(is_running(pid) for pid in pids.values()) and len(pids) == 3
        parent.send_signal(how)
    must_end(pids)


def test_start_failure_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path / "etcd", "exec sleep 1000")
    script(tmp_path / "kube-apiserver", "echo unknown flag >&2; exit 1")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    with pytest.raises(ToolError) as caught, control_plane():
        pytest.fail("it started")
    assert caught.value.what.startswith("kube-apiserver ended by itself: exit status 1")
    assert caught.value.what.endswith("unknown flag")
    assert caught.value.fix is not None and "--dir" in caught.value.fix


def test_ensure_built_is_quick_and_silent_when_built() -> None:
    ensure_built(print)
    lines: list[str] = []
    folder = ensure_built(lines.append)
    assert lines == []
    assert (folder / "kube-apiserver").is_file() and (folder / "kubectl").is_file()


def test_program_is_built_once_for_its_sources(empty_cache: Path) -> None:
    lines: list[str] = []
    first = controlplane._program(lines.append)
    assert controlplane._program(lines.append) == first
    assert lines == ["building the control plane program"]
    assert list(empty_cache.iterdir()) == [first]


def test_sources_may_be_read_only(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a wheel, whose files are elsewhere and belong to somebody else."""
    expected = controlplane._program(print)
    copy = tmp_path / "copy"
    shutil.copytree(controlplane.source_dir(), copy)
    for file in [*copy.iterdir(), copy]:
        file.chmod(0o555 if file.is_dir() else 0o444)
    monkeypatch.setattr(controlplane, "source_dir", lambda: copy)
    before = sorted(copy.iterdir())
    expected.unlink()
    assert controlplane._program(print) == expected
    assert expected.is_file() and sorted(copy.iterdir()) == before


def test_changed_sources_make_another_program(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = controlplane._program(print)
    copy = tmp_path / "copy"
    shutil.copytree(controlplane.source_dir(), copy)
    (copy / "broken.go").write_text("package main\n\nvar x int = false\n")
    monkeypatch.setattr(controlplane, "source_dir", lambda: copy)
    with pytest.raises(ToolError, match=r"broken\.go:3") as caught:
        controlplane._program(print)
    assert caught.value.where == str(copy)
    assert list(empty_cache.iterdir()) == [first]


def test_wheel_carries_the_sources() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    carried = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    relative = controlplane.source_dir().relative_to(ROOT).as_posix()
    assert carried[relative] == f"scaffold/_data/{relative}"


@pytest.mark.parametrize(
    ("go", "what"),
    [
        (None, "go is not on the PATH"),
        ("echo go1.22.7", r"too old .*\(go1\.22\.7\)"),
        ("echo go: go.mod requires go '>= 1.26' >&2; exit 1", "too old .*requires go"),
    ],
)
def test_go_missing_or_too_old(
    go: str | None,
    what: str,
    empty_cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    if go:
        script(folder / "go", go)
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(ToolError, match=what) as caught:
        ensure_built(print)
    assert caught.value.fix == "install Go 1.26 or later: https://go.dev/dl"


def test_cache_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CTXSCAFFOLD_CACHE", str(tmp_path / "file"))
    with pytest.raises(ToolError, match="cannot be written") as caught:
        ensure_built(print)
    assert caught.value.fix is not None and "CTXSCAFFOLD_CACHE" in caught.value.fix


FRONT_DOOR = (sys.executable, "-m", "scaffold", "controlplane")


@contextmanager
def terminal(*command: str) -> Iterator[tuple[int, int]]:
    """Run a command at a terminal of its own; yield its pid and the terminal."""
    pid, master = pty.fork()
    if pid == 0:
        os.execvpe(command[0], command, os.environ | PYTHON)
    try:
        yield pid, master
    finally:
        os.close(master)


def read_until(master: int, text: str) -> str:
    """Return what a terminal shows up to and with ``text``."""
    shown = b""
    while text.encode() not in shown:
        ready, _, _ = select.select([master], [], [], DEADLINE)
        assert ready, f"no {text!r} in {shown!r}"
        shown += os.read(master, 4096)
    return shown.decode()


def exit_code(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


INTERRUPTS = """
import os, signal, sys
if sys.argv[1] == "alone":
    os.setpgid(0, 0)
count = 0
def interrupted(*_):
    global count
    count += 1
    print("interrupted", flush=True)
signal.signal(signal.SIGINT, interrupted)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(10 + count))
print("ready", flush=True)
while True:
    signal.pause()
"""


@pytest.mark.parametrize(("group", "count"), [("shared", 1), ("alone", 0)])
def test_control_c_at_a_terminal_is_not_passed_on(group: str, count: int) -> None:
    """It reaches the command by itself: twice would be taken for impatience.

    Only what is passed on reaches a command that has left the terminal's group.
    """
    command = ("exec", "--", sys.executable, "-c", INTERRUPTS, group)
    with terminal(*FRONT_DOOR, *command) as (pid, master):
        read_until(master, "ready")
        os.write(master, b"\x03")
        read_until(master, "interrupted" if count else "^C")
        os.kill(pid, signal.SIGTERM)
        assert exit_code(pid) == 10 + count


def test_run_at_a_terminal_lasts_until_control_c() -> None:
    with terminal(*FRONT_DOOR, "run") as (pid, master):
        pids = json.loads(read_until(master, "}}"))["pids"]
        os.write(master, b"\x03")
        assert exit_code(pid) == 0
    assert not any(is_running(component) for component in pids.values())


def test_run_in_the_background_of_a_terminal() -> None:
    """Where a program that reads from the terminal is stopped."""
    shell = 'set -m; "$@" & read line; kill %1; wait %1'
    with terminal("sh", "-c", shell, "sh", *FRONT_DOOR, "run") as (pid, master):
        pids = json.loads(read_until(master, "}}"))["pids"]
        assert all(is_running(component) for component in pids.values())
        os.write(master, b"\n")
        assert exit_code(pid) == 0
    assert not any(is_running(component) for component in pids.values())
