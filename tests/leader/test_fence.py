"""The server-side fence as it is emitted, on a real API server with real rights."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scaffold import project
from scaffold.controlplane import ControlPlane, control_plane
from tests import golden
from tests.deployed import apply, attempt, kubectl, namespace, pod, running, until

pytestmark = [pytest.mark.golang, pytest.mark.controlplane]

NAME = "fenced"
NAMESPACE = namespace(NAME)
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{NAME}-manager"


@dataclass
class Operator:
    """An operator that runs as its service account, with the fence turned on."""

    cluster: ControlPlane
    log: Path

    def kubectl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run kubectl as the administrator, or as an argument says."""
        return attempt(self.cluster, *arguments)

    def ok(self, *arguments: str) -> str:
        """Run kubectl; it must succeed."""
        return kubectl(self.cluster, *arguments)

    def lease(self) -> dict[str, Any]:
        """Return the spec of the lease, empty while there is none."""
        done = self.kubectl("get", "lease", NAME, f"-n={NAMESPACE}", "-o=json")
        spec: dict[str, Any] = json.loads(done.stdout)["spec"] if done.stdout else {}
        return spec

    def term(self) -> dict[str, Any]:
        """Wait for a holder of the lease and return the lease's spec."""
        until("a leader", self.log, lambda: bool(self.lease().get("holderIdentity")))
        return self.lease()

    def stamped(self, term: dict[str, Any]) -> list[str]:
        """Return the arguments for a request that is said to be made in a term."""
        return [
            f"--as={ACCOUNT}",
            f"--as-user-extra=fence-holder={term['holderIdentity']}",
            f"--as-user-extra=fence-term={term.get('leaseTransitions', 0)}",
        ]


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    folder = tmp_path_factory.mktemp("fence")
    made = folder / NAME
    project.new(
        made,
        [golden.EXAMPLES / "minimal/crds"],
        {"project_name": NAME, "module": f"example.com/{NAME}", "webhooks": False},
    )
    chosen = made / "config/default/kustomization.yaml"
    text = chosen.read_text()
    assert "  # - ../fence\n" in text
    chosen.write_text(text.replace("  # - ../fence", "  - ../fence"))
    with control_plane() as cluster:
        apply(cluster, made)
        (container,) = pod(cluster, NAME)["containers"]
        assert "--leader-elect-server-fence" in container["args"]
        # For the tests' own requests in its name: kubectl reads before it writes.
        kubectl(
            cluster,
            "create",
            "clusterrole",
            "tests",
            "--verb=get,patch,delete",
            "--resource=beacons,beacons/status",
        )
        kubectl(
            cluster,
            "create",
            "clusterrolebinding",
            "tests",
            "--clusterrole=tests",
            f"--serviceaccount={NAMESPACE}:{NAME}-manager",
        )
        short = "--leader-elect-lease-duration=3s"
        with running(cluster, made, NAME, folder, short) as log:
            yield Operator(cluster, log)


def sample(operator: Operator) -> str:
    """Create a beacon from the project's sample, anew, and return its name."""
    folder = golden.EXAMPLES / "minimal/golden/config/samples"
    text = str(next(folder.glob("*_beacon.yaml")))
    operator.ok("delete", "--ignore-not-found", "-f", text)
    obj = json.loads(operator.ok("create", "-o=json", "-f", text))
    return str(obj["metadata"]["name"])


def write(how: str, name: str) -> list[str]:
    """Return the arguments of kubectl for a write to a beacon."""
    return {
        "patch": [
            "patch",
            "beacon",
            name,
            "--type=merge",
            f'-p={{"metadata":{{"labels":{{"at":"{time.monotonic_ns()}"}}}}}}',
        ],
        "status": [
            "patch",
            "beacon",
            name,
            "--subresource=status",
            "--type=merge",
            '-p={"status":{"observedGeneration":1}}',
        ],
        "delete": ["delete", "beacon", name, "--wait=false"],
    }[how]


def test_the_leader_writes(operator: Operator) -> None:
    name = sample(operator)

    def observed() -> bool:
        now = json.loads(operator.ok("get", "beacon", name, "-o=json"))
        return bool(now.get("status", {}).get("observedGeneration") == 1)

    until("the sample is reconciled", operator.log, observed)


@pytest.mark.parametrize("how", ["patch", "status", "delete"])
def test_only_the_term_in_force_writes(operator: Operator, how: str) -> None:
    """That holds for the operator; every other user may write."""
    arguments = write(how, sample(operator))
    term = operator.term()
    later = term | {"leaseTransitions": term.get("leaseTransitions", 0) + 1}
    for wrong in (
        [f"--as={ACCOUNT}"],
        operator.stamped(later),
        operator.stamped(term | {"holderIdentity": "thief"}),
    ):
        done = operator.kubectl(*arguments, *wrong)
        assert done.returncode != 0, "the API server let it write"
        assert "but the lease is in term" in done.stderr, done.stderr
    operator.ok(*arguments, *operator.stamped(term))


def test_others_write_as_ever(operator: Operator) -> None:
    operator.ok(*write("patch", sample(operator)))


def test_dry_runs_are_no_writes(operator: Operator) -> None:
    arguments = write("patch", sample(operator))
    operator.ok(*arguments, f"--as={ACCOUNT}", "--dry-run=server")


def test_a_stolen_lease_ends_the_right_to_write(operator: Operator) -> None:
    name = sample(operator)
    term = operator.term()
    operator.ok(*write("patch", name), *operator.stamped(term))
    stolen = {
        "holderIdentity": "thief",
        "leaseTransitions": term.get("leaseTransitions", 0) + 1,
    }
    operator.ok(
        "patch",
        "lease",
        NAME,
        f"-n={NAMESPACE}",
        "--type=merge",
        f"-p={json.dumps({'spec': stolen})}",
    )
    done = operator.kubectl(*write("patch", name), *operator.stamped(term))
    assert "but the lease is in term" in done.stderr, done.stderr
    operator.ok(*write("patch", name))
    until(
        "the operator leads again",
        operator.log,
        lambda: operator.lease()["holderIdentity"] == term["holderIdentity"],
    )


def test_a_missing_lease_stops_nobody(operator: Operator) -> None:
    operator.ok("delete", "lease", NAME, f"-n={NAMESPACE}")
    operator.ok("create", "configmap", "unrelated", "-n=default")
    until("the operator leads again", operator.log, lambda: bool(operator.lease()))
