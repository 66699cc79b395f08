"""An operator that runs as it is deployed: its pod's arguments, its account's rights."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from scaffold.controlplane import ControlPlane
from scaffold.crd.read import read
from scaffold.webhooks import Endpoint
from tests.gotests import go


def attempt(
    cluster: ControlPlane, *arguments: str, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run kubectl as the administrator, or as an argument says; it may fail."""
    return subprocess.run(
        [
            cluster.assets / "kubectl",
            f"--kubeconfig={cluster.kubeconfig}",
            *arguments,
        ],
        input=stdin,
        capture_output=True,
        text=True,
    )


def kubectl(cluster: ControlPlane, *arguments: str, stdin: str = "") -> str:
    """Run kubectl, which must succeed, and return what it prints."""
    run = attempt(cluster, *arguments, stdin=stdin)
    assert run.returncode == 0, f"kubectl {' '.join(arguments)}\n{run.stderr}"
    return run.stdout


def apply(cluster: ControlPlane, project: Path) -> None:
    """Apply the project's manifests, but for its webhooks.

    No network leads from the API server to a Service here, and cert-manager is
    not installed.
    """
    made = kubectl(cluster, "kustomize", str(project / "config/default"))
    documents = [
        document
        for document in YAML(typ="safe").load_all(made)
        if not document["apiVersion"].startswith("cert-manager.io/")
        and not document["kind"].endswith("WebhookConfiguration")
    ]
    for document in documents:
        if document["kind"] == "CustomResourceDefinition":
            document["spec"].pop("conversion", None)
    items = {"apiVersion": "v1", "kind": "List", "items": documents}
    kubectl(cluster, "apply", "--server-side", "-f", "-", stdin=json.dumps(items))
    kubectl(cluster, "wait", "--for=condition=Established", "--all", "crd")


def namespace(name: str) -> str:
    """Return where the operator of a project is deployed."""
    return f"{name}-system"


def pod(cluster: ControlPlane, name: str) -> dict[str, Any]:
    """Return the spec of the operator's pods."""
    found = kubectl(
        cluster,
        "get",
        "deployment",
        f"{name}-manager",
        f"-n={namespace(name)}",
        "-o=json",
    )
    spec: dict[str, Any] = json.loads(found)["spec"]["template"]["spec"]
    return spec


@contextmanager
def running(
    cluster: ControlPlane, project: Path, name: str, folder: Path, *more: str
) -> Iterator[Path]:
    """Run the deployed operator of a project, with ``more`` arguments than its pod has.

    It signs in as its service account, and the API server asks its webhooks.
    Yields its log. In the end it must stop in an orderly way and have been refused
    nothing.
    """
    (container,) = pod(cluster, name)["containers"]
    binary, log, kubeconfig = (
        folder / "manager",
        folder / "log",
        folder / "kubeconfig",
    )
    go(project, "build", "-o", str(binary), "./cmd/manager")
    token = kubectl(
        cluster, "create", "token", f"{name}-manager", f"-n={namespace(name)}"
    )
    config = json.loads(kubectl(cluster, "config", "view", "--raw", "-o=json"))
    config["users"][0]["user"] = {"token": token.strip()}
    kubeconfig.write_text(json.dumps(config))
    endpoint = Endpoint(free_port(), folder / "certificates")
    ports = {port["name"] for port in container["ports"]}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                binary,
                *container["args"],
                *(endpoint.flags if "webhook" in ports else ()),
                *(("--http-bind-address=0",) if "http-api" in ports else ()),
                "--drain-delay=500ms",
                f"--leader-elect-namespace={namespace(name)}",
                "--metrics-bind-address=0",
                "--health-probe-bind-address=0",
                *more,
            ],
            env=os.environ
            | {"KUBECONFIG": str(kubeconfig), "PROVIDER_NETWORKS": "127.0.0.0/8"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        with _webhooks(cluster, project, name, endpoint):
            yield log
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
    refused = [line for line in log.read_text().splitlines() if "forbidden" in line]
    assert not refused, "\n".join(refused)


def free_port() -> int:
    """Return a port of this machine that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


@contextmanager
def _webhooks(
    cluster: ControlPlane, project: Path, name: str, endpoint: Endpoint
) -> Iterator[None]:
    """Have the API server ask the webhooks of a project, and convert by them."""
    converting = [kind.crd_name for kind in read([project / "crds"]) if kind.converts]
    configurations = endpoint.configurations(project)

    def convert(crd: str, patch: dict[str, Any]) -> None:
        text = json.dumps(patch)
        kubectl(cluster, "patch", "crd", crd, "--type=merge", f"--patch={text}")

    for one in configurations:
        one["metadata"]["name"] = f"{name}-{one['metadata']['name']}"
        kubectl(cluster, "create", "-f", "-", stdin=json.dumps(one))
    for crd in converting:
        convert(crd, endpoint.conversion())
    try:
        yield
    finally:
        for one in configurations:
            kubectl(cluster, "delete", one["kind"], one["metadata"]["name"])
        for crd in converting:
            convert(
                crd, {"spec": {"conversion": {"strategy": "None", "webhook": None}}}
            )


def until(what: str, log: Path, holds: Callable[[], bool]) -> None:
    """Wait for something to be true; fail with the operator's log if it never is."""
    end = time.monotonic() + 60
    while not holds():
        if time.monotonic() > end:
            pytest.fail(f"{what}: not in a minute\n{log.read_text()}")
        time.sleep(0.1)
