"""``ctxscaffold demo``: from a CRD to an operator at work on a real API server."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scaffold import project, resources
from scaffold.controlplane import ControlPlane, control_plane, ensure_built
from scaffold.errors import ScaffoldError, ToolError
from scaffold.generate import generate
from scaffold.provider import Provider
from scaffold.webhooks import Endpoint

_PATIENCE = 60.0  # seconds for anything that takes a few
_AGAIN = (
    "run it once more when the machine is less busy; if it stays so, report it with "
    "what it printed"
)


@dataclass(frozen=True, slots=True)
class Row:
    """One step: what was done, what was seen, how long it took in seconds."""

    step: str
    seen: str
    seconds: float


@dataclass(slots=True)
class Demo:
    """Runs the steps and collects a row of each. ``say`` gets progress lines."""

    say: Callable[[str], None]
    rows: list[Row] = field(default_factory=list)

    def run(self) -> None:
        """Run everything in a temporary folder; raise if anything is not as promised."""
        with ExitStack() as stack:
            folder = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="ctxscaffold-"))
            )
            operator = folder / "payment-sync"
            with self._step("build kube-apiserver and etcd") as row:
                assets = ensure_built(self.say)
                row("from Go modules, kept in the cache")
            self._make(operator)
            with self._step("start the control plane") as row:
                cluster = stack.enter_context(control_plane())
                row(f"kube-apiserver and etcd, ready at {cluster.url}")
            kubectl = Kubectl(assets / "kubectl", cluster)
            with self._step("install the CRD") as row:
                kubectl("apply", "--server-side", "-k", str(operator / "config/crd"))
                kubectl("wait", "--for=condition=Established", "--all", "crd")
                row("paymentsyncs.payments.example.com is established")
            provider = stack.enter_context(Provider())
            self._reconciles(operator, kubectl, provider, folder / "log")
            self._crd_change(operator)

    def _make(self, operator: Path) -> None:
        example = resources.root() / "examples/payment-sync"
        with self._step("ctxscaffold new, from one CRD") as row:
            made = project.new(
                operator,
                [example / "crds"],
                {
                    "project_name": "payment-sync",
                    "module": "example.com/payment-sync",
                    "http_api": True,
                },
            )
            shutil.copytree(example / "overlay", operator, dirs_exist_ok=True)
            row(f"{len(made.changes)} files; the user's part is one method")
        with self._step("go build") as row:
            _go(operator, "build", "-o", "bin/manager", "./cmd/manager")
            size = (operator / "bin/manager").stat().st_size / 1e6
            row(f"bin/manager, {size:.0f} MB")

    def _reconciles(
        self, operator: Path, kubectl: Kubectl, provider: Provider, log: Path
    ) -> None:
        with self._step("start the operator") as row:
            probes = Probes(_free_port())
            api = Api(_free_port())
            endpoint = Endpoint(_free_port(), log.parent / "certificates")
            process = _start(operator, kubectl.cluster, probes, api, endpoint, log)
            probes.await_mode("leading", process)
            row(f"process {process.pid}, elected")
        try:
            self._webhook_deadline(kubectl, provider, endpoint.configurations(operator))
            cases = {
                "flaky-payment": ("provider fails twice, then settles", "True"),
                "refused-payment": ("provider refuses: final, no retry", "False"),
                "silent-payment": ("provider never answers", "False"),
            }
            for name, (what, status) in cases.items():
                with self._step(what) as row:
                    kubectl.create(_payment(name, provider.url))
                    row(_describe(kubectl.ready(name, status)))
            self._lost_lease(kubectl, provider, probes, api, process)
            with self._step("SIGTERM in mid-reconcile") as row:
                kubectl.create(_payment("silent-at-shutdown", provider.url))
                if not provider.was_asked("silent-at-shutdown", _PATIENCE):
                    raise ToolError(
                        "the operator never saw silent-at-shutdown", fix=_AGAIN
                    )
                process.send_signal(signal.SIGTERM)
                if code := process.wait(_PATIENCE):
                    raise ToolError(f"the operator ended with {code}", fix=_AGAIN)
                ready = _describe(kubectl.ready("silent-at-shutdown", "Unknown"))
                row(f"exit 0; {ready}")
        except ScaffoldError as error:
            raise ToolError(
                f"{error.what}; the operator's last words:\n{_tail(log)}",
                fix=error.fix,
            ) from error
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    def _webhook_deadline(
        self, kubectl: Kubectl, provider: Provider, configurations: list[dict[str, Any]]
    ) -> None:
        with self._step("webhook asks a provider that never answers") as row:
            for one in configurations:
                for webhook in one["webhooks"]:
                    webhook["timeoutSeconds"] = 2
                kubectl.create(one)
            large = _payment("silent-and-large", provider.url)
            large["spec"]["amount"]["value"] = 5_000_000
            row(_refused(kubectl, large))

    def _lost_lease(
        self,
        kubectl: Kubectl,
        provider: Provider,
        probes: Probes,
        api: Api,
        process: subprocess.Popen[bytes],
    ) -> None:
        with self._step("another process takes the lease") as row:
            kubectl.steal_lease("payment-sync")
            milliseconds = 1000 * probes.await_mode("observing", process)
            kubectl.create(_payment("flaky-meanwhile", provider.url))
            row(
                f"observing {milliseconds:.0f} ms after kubectl returned; the process goes on"
            )
        with self._step("its HTTP API meanwhile") as row:
            row(f"read: {api.ask('GET')}; write: {api.ask('POST')}")
        with self._step("that lease runs out") as row:
            probes.await_mode("leading", process)
            ready = _describe(kubectl.ready("flaky-meanwhile", "True"))
            row(f"leading again, same process; made meanwhile: {ready}")

    def _crd_change(self, operator: Path) -> None:
        with self._step("a field is added to the CRD") as row:
            crd = operator / "crds/paymentsync.yaml"
            text = crd.read_text("utf-8")
            field = re.sub(
                r"^( +)endpoint:\n",
                r"\1reference:\n\1  type: string\n\g<0>",
                text,
                count=1,
                flags=re.MULTILINE,
            )
            crd.write_text(field, "utf-8")
            changed = generate(operator).visible
            _go(operator, "build", "./...")
            row(f"{len(changed)} files regenerated, none of the user's; it builds")

    @contextmanager
    def _step(self, name: str) -> Iterator[Callable[[str], None]]:
        self.say(name)
        seen: list[str] = []
        begun = time.monotonic()
        yield seen.append
        self.rows.append(Row(name, seen[0], time.monotonic() - begun))
        self.say(f"  {seen[0]}")


@dataclass(frozen=True, slots=True)
class Probes:
    """The health endpoints of the operator."""

    port: int

    def await_mode(self, mode: str, process: subprocess.Popen[bytes]) -> float:
        """Wait until /readyz says ``leading`` or ``observing``; return the seconds."""
        begun = time.monotonic()
        while time.monotonic() < begun + _PATIENCE:
            if process.poll() is not None:
                raise ToolError(
                    f"the operator ended with {process.returncode}", fix=_AGAIN
                )
            try:
                url = f"http://127.0.0.1:{self.port}/readyz?verbose"
                with urllib.request.urlopen(url, timeout=1) as answer:
                    if mode.encode() in answer.read():
                        return time.monotonic() - begun
            except OSError:
                pass  # not listening yet
            time.sleep(0.002)
        raise ToolError(
            f"the operator is not {mode} after {_PATIENCE:.0f} s", fix=_AGAIN
        )


@dataclass(frozen=True, slots=True)
class Api:
    """The operator's own HTTP API."""

    port: int

    def ask(self, method: str) -> str:
        """Make a request about payments; return its status and what callers heed."""
        path = "/apis/payments.example.com/v1/namespaces/default/paymentsyncs"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body="{}" if method == "POST" else None)
            answer = connection.getresponse()
        except OSError as error:
            raise ToolError(
                f"the HTTP API does not answer: {error}", fix=_AGAIN
            ) from error
        finally:
            connection.close()
        heeded = [
            f"{name} {answer.headers[name]}"
            for name in ("Retry-After", "Warning")
            if name in answer.headers
        ]
        return ", ".join([str(answer.status), *heeded])


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl against one control plane."""

    program: Path
    cluster: ControlPlane

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        """Run kubectl and return what it prints."""
        run = subprocess.run(
            [self.program, f"--kubeconfig={self.cluster.kubeconfig}", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
        )
        if run.returncode != 0:
            raise ToolError(
                f"kubectl {arguments[0]} failed: {run.stderr.strip()}", fix=_AGAIN
            )
        return run.stdout

    def create(self, obj: dict[str, Any]) -> None:
        """Create an object."""
        self("create", "-f", "-", stdin=json.dumps(obj))

    def steal_lease(self, name: str) -> None:
        """Make another holder take a lease, as one does that takes it for expired."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {"holderIdentity": "thief", "acquireTime": now, "renewTime": now}
        patch = json.dumps({"spec": spec})
        self("patch", "lease", name, "--type=merge", f"--patch={patch}")

    def ready(self, name: str, status: str) -> dict[str, Any]:
        """Wait for the Ready condition of a PaymentSync and return the object."""
        self(
            "wait",
            f"--for=condition=Ready={status}",
            f"--timeout={_PATIENCE:.0f}s",
            f"paymentsync/{name}",
        )
        found: dict[str, Any] = json.loads(
            self("get", "paymentsync", name, "-o", "json")
        )
        return found


def _payment(name: str, endpoint: str) -> dict[str, Any]:
    return {
        "apiVersion": "payments.example.com/v1",
        "kind": "PaymentSync",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "paymentID": name,
            "provider": "BankTransfer",
            "amount": {"currency": "EUR", "value": 1999},
            "endpoint": endpoint,
        },
    }


def _refused(kubectl: Kubectl, obj: dict[str, Any]) -> str:
    """Create an object until a webhook's deadline refuses it; return what is said.

    The API server learns of a webhook a moment after it is installed.
    """
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        begun = time.monotonic()
        try:
            kubectl.create(obj)
        except ToolError as error:
            took = time.monotonic() - begun
            if found := re.search(r"time to answer used up: .*\)", error.what):
                return f"refused after {took:.1f} s: {found[0]}"
            raise
        kubectl("delete", "paymentsync", obj["metadata"]["name"])
    raise ToolError("the webhook was never asked", fix=_AGAIN)


def _describe(obj: dict[str, Any]) -> str:
    status = obj["status"]
    ready = next(one for one in status["conditions"] if one["type"] == "Ready")
    attempts = status.get("attempts")
    asked = f" after {attempts} attempts" if attempts else ""
    return f"Ready={ready['status']} {ready['reason']}{asked}"


def _start(
    operator: Path,
    cluster: ControlPlane,
    probes: Probes,
    api: Api,
    endpoint: Endpoint,
    log: Path,
) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            [
                operator / "bin/manager",
                "--metrics-bind-address=0",
                f"--health-probe-bind-address=127.0.0.1:{probes.port}",
                f"--http-bind-address=127.0.0.1:{api.port}",
                "--http-insecure",
                *endpoint.flags,
                "--reconcile-timeout=8s",
                "--leader-elect",
                "--leader-elect-namespace=default",
                "--leader-elect-lease-duration=5s",
                "--leader-elect-renew-deadline=3s",
                "--leader-elect-retry-period=500ms",
                "--zap-log-level=debug",
            ],
            env=os.environ
            | {
                "KUBECONFIG": str(cluster.kubeconfig),
                "PROVIDER_NETWORKS": "127.0.0.0/8",
            },
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def _tail(log: Path) -> str:
    return "\n".join(log.read_text("utf-8", "replace").splitlines()[-20:])


def _go(folder: Path, *arguments: str) -> None:
    go = shutil.which("go")
    if go is None:
        raise ToolError("go is not on the PATH", fix="install Go 1.26 or later")
    run = subprocess.run([go, *arguments], cwd=folder, capture_output=True, text=True)
    if run.returncode != 0:
        raise ToolError(
            f"go {arguments[0]} failed:\n{run.stderr.strip()}",
            where=str(folder),
            fix="see that modules can be downloaded: go env GOPROXY",
        )
