"""A real Prometheus and its promtool, built of the Go module that go.mod pins."""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaffold import resources
from tests.gotests import go

_MODULE = Path(__file__).parent


def binary(name: str) -> Path:
    """Return ``prometheus`` or ``promtool``, built at the first use and then kept.

    Without the discovery of targets by clouds, which is most of it.
    """
    pins = hashlib.sha256((_MODULE / "go.mod").read_bytes()).hexdigest()[:16]
    path = resources.cache() / "prometheus" / pins / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        built = path.with_suffix(".new")
        package = f"github.com/prometheus/prometheus/cmd/{name}"
        go(_MODULE, "build", "-tags=remove_all_sd", "-o", str(built), package)
        built.rename(path)
    return path


def failures(file: Path) -> str:
    """Return what is wrong with the rules that a file of tests names; "" if nothing."""
    run = subprocess.run(
        [binary("promtool"), "test", "rules", file], capture_output=True, text=True
    )
    return "" if run.returncode == 0 else run.stdout + run.stderr


@dataclass(frozen=True)
class Prometheus:
    """A server that listens at ``url`` and logs to ``log``."""

    url: str
    log: Path

    def get(self, path: str, **parameters: str) -> dict[str, Any]:
        """Return the data of an answer of its API."""
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}") as answer:
            data: dict[str, Any] = json.load(answer)["data"]
        return data

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series of an instant query."""
        series: list[dict[str, Any]] = self.get("query", query=expression)["result"]
        return series

    def firing(self, alert: str) -> bool:
        """Whether an alert fires for anything."""
        return any(
            one["labels"]["alertname"] == alert and one["state"] == "firing"
            for one in self.get("alerts")["alerts"]
        )


@contextmanager
def running(config: str, port: int, folder: Path) -> Iterator[Prometheus]:
    """Run Prometheus with a configuration, which may name files of ``folder``."""
    (folder / "prometheus.yml").write_text(config)
    server = Prometheus(f"http://127.0.0.1:{port}", folder / "prometheus.log")
    with server.log.open("wb") as output:
        process = subprocess.Popen(
            [
                binary("prometheus"),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        end = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{server.url}/-/ready").close()
                break
            except OSError:
                ended = process.poll() is not None or time.monotonic() > end
                assert not ended, server.log.read_text()
                time.sleep(0.1)
        yield server
    finally:
        process.terminate()
        process.wait()
