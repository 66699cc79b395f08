"""The emitted payment operator's HTTP API under a fuzzer that reads its description.

``make fuzz-http SECONDS=600`` runs it for longer than the tests do.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scaffold.controlplane import ControlPlane, control_plane
from tests import fuzzchecks, golden
from tests.deployed import apply, free_port, kubectl, namespace, running, until

NAME = "payment-sync"
ACCOUNT = "fuzzer"


@dataclass(frozen=True, slots=True)
class Api:
    """An HTTP API that is served: where, whom to trust, who asks, and the log."""

    url: str
    authority: Path
    token: str
    log: Path

    def fuzz(self, limit: str, *expected: int, phases: str) -> str:
        """Ask up to ``limit``; the statuses expected must be seen. Return the report.

        ``limit`` is an option of Schemathesis. Fails with the report if an answer is
        not as it must be.
        """
        checks = "Bounded,content_type_conformance,response_schema_conformance"
        run = subprocess.run(
            [
                Path(sys.executable).parent / "st",
                "run",
                f"{self.url}/openapi.json",
                f"--header=Authorization: Bearer {self.token}",
                f"--tls-verify={self.authority}",
                f"--checks={checks}",
                f"--phases={phases}",
                limit,
                "--max-failures=3",
                "--warnings=off",
                "--request-timeout=20",
                "--no-color",
            ],
            env=os.environ
            | {
                "SCHEMATHESIS_HOOKS": fuzzchecks.__name__,
                "PYTHONPATH": str(Path(__file__).parent.parent),
                fuzzchecks.EXPECTED: ",".join(map(str, expected)),
            },
            cwd=self.log.parent,
            capture_output=True,
            text=True,
        )
        report = run.stdout + run.stderr
        assert run.returncode == 0, report
        return report


@contextmanager
def serving(cluster: ControlPlane, folder: Path) -> Iterator[Api]:
    """Run the operator as it is deployed, and let an account use its HTTP API."""
    project = golden.EXAMPLES / NAME / "golden"
    apply(cluster, project)
    place = f"-n={namespace(NAME)}"
    kubectl(cluster, "create", "serviceaccount", ACCOUNT, place)
    subject = f"--serviceaccount={namespace(NAME)}:{ACCOUNT}"
    rights = {
        "objects": ("--verb=*", "--resource=paymentsyncs.payments.example.com"),
        "routes": ("--verb=*", "--non-resource-url=/payments/*"),
    }
    for name, right in rights.items():
        role = f"{ACCOUNT}-{name}"
        kubectl(cluster, "create", "clusterrole", role, *right)
        kubectl(
            cluster,
            "create",
            "clusterrolebinding",
            role,
            f"--clusterrole={role}",
            subject,
        )
    token = kubectl(cluster, "create", "token", ACCOUNT, place).strip()
    port, certificates = free_port(), folder / "http"
    with running(
        cluster,
        project,
        NAME,
        folder,
        f"--http-bind-address=127.0.0.1:{port}",
        f"--http-cert-dir={certificates}",
        "--http-self-signed=127.0.0.1",
        "--http-max-timeout=2s",
        "--leader-elect-lease-duration=3s",
    ) as log:
        lease = ("get", "lease", NAME, place, "-o=jsonpath={.spec.holderIdentity}")
        until("a leader", log, lambda: bool(kubectl(cluster, *lease)))
        authority = certificates / "ca.crt"
        until("the HTTP API is served", log, authority.exists)
        yield Api(f"https://127.0.0.1:{port}", authority, token, log)


@contextmanager
def lease_lost(cluster: ControlPlane) -> Iterator[None]:
    """Have somebody else hold the operator's lease, for an hour at most."""
    spec = {"holderIdentity": "thief", "leaseDurationSeconds": 3600}
    kubectl(
        cluster,
        "patch",
        "lease",
        NAME,
        f"-n={namespace(NAME)}",
        "--type=merge",
        f"--patch={json.dumps({'spec': spec})}",
    )
    try:
        yield
    finally:
        kubectl(cluster, "delete", "lease", NAME, f"-n={namespace(NAME)}")


def fuzz(cluster: ControlPlane, folder: Path, limit: str, phases: str) -> list[str]:
    """Fuzz up to ``limit`` while the operator leads, and then while it does not."""
    with serving(cluster, folder) as api:
        led = api.fuzz(limit, 200, 201, 202, 400, 404, 409, phases=phases)
        with lease_lost(cluster):
            return [led, api.fuzz(limit, 200, 404, 503, phases=phases)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz and print the reports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=300, help="for each of two runs")
    seconds = parser.parse_args(arguments).seconds
    with (
        control_plane(controller_manager=True) as cluster,
        tempfile.TemporaryDirectory() as folder,
    ):
        reports = fuzz(
            cluster,
            Path(folder),
            f"--max-time={seconds}",
            "examples,coverage,fuzzing,stateful",
        )
    print("\n".join(reports))
    return 0


if __name__ == "__main__":
    sys.exit(main())
