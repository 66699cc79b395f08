"""What tests share: a real API server for the session, and a count of Go's tests."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from scaffold.controlplane import ControlPlane, control_plane

# A shell that runs this in the background has SIGINT ignored, and so would every
# process that a test starts to interrupt it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# As in an activated environment: ctxscaffold and copier are found by name.
os.environ["PATH"] = os.pathsep.join(
    [str(Path(sys.executable).parent), os.environ["PATH"]]
)


def pytest_report_header() -> str:
    """Say what room there is: a first run, with nothing in Go's caches, takes 12 GB."""
    free = shutil.disk_usage(tempfile.gettempdir()).free
    return f"room for temporary files: {free / 1e9:.1f} GB"


@pytest.fixture(scope="session")
def cluster() -> Iterator[ControlPlane]:
    """A control plane with the controllers that operators depend on."""
    with control_plane(controller_manager=True) as running:
        yield running


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter,
) -> None:
    """Say how many Go tests ran inside the Python ones."""
    total: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed"):
        for name, count in report.user_properties:
            if name.startswith("go "):
                total[name.removeprefix("go ")] += int(str(count))
    if total:
        counts = ", ".join(f"{total[name]} {name}" for name in sorted(total))
        terminalreporter.write_line(f"Go tests: {counts}")
