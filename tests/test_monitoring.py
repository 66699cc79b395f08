"""The emitted alert rules and dashboard, judged by Prometheus and by Grafana's SDK."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from scaffold import resources
from scaffold.controlplane import ControlPlane
from scaffold.provider import Provider
from tests import deployed, golden, prometheus
from tests.crd.oracle import Oracle, OracleError, build
from tests.deployed import free_port, kubectl, namespace, until

pytestmark = pytest.mark.golang

NAME = "payment-sync"
WINDOW = "20s"  # of rates, which are over five minutes in the rules


@pytest.fixture(
    scope="module", params=[False, True], ids=["without tenancy", "with tenancy"]
)
def tenancy(request: pytest.FixtureRequest) -> bool:
    param: bool = request.param
    return param


@pytest.fixture(scope="module")
def operator(tenancy: bool, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project."""
    folder = tmp_path_factory.mktemp("monitoring") / NAME
    golden.build(NAME, folder, tenancy=tenancy)
    return folder


@pytest.fixture(scope="module")
def monitoring(operator: Path) -> Path:
    """Return ``config/prometheus`` of the project."""
    return operator / "config/prometheus"


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    return Oracle(build(tmp_path_factory.mktemp("oracle")))


def test_rules_pass_their_tests(monitoring: Path) -> None:
    assert prometheus.failures(monitoring / "tests/rules_test.yaml") == ""


def test_the_custom_resource_has_the_rules_that_are_tested(monitoring: Path) -> None:
    yaml = YAML(typ="safe")
    tested = yaml.load(monitoring / "tests/rules.yaml")
    assert yaml.load(monitoring / "rule.yaml")["spec"] == tested


def test_every_alert_is_held_by_a_test(
    monitoring: Path, tenancy: bool, tmp_path: Path
) -> None:
    """With another threshold, with none, or without its wait an alert turns a test red."""
    shutil.copytree(monitoring / "tests", tmp_path / "tests")
    rules = tmp_path / "tests/rules.yaml"
    text = rules.read_text()
    alerts = re.findall(r"      - alert: .*(?:\n        .*)+", text)
    assert len(alerts) == 4 + tenancy
    for alert in alerts:
        threshold = re.compile(r"> [\d.]+$", re.MULTILINE)
        for mutant in (
            threshold.sub("> 0", alert, count=1),
            threshold.sub("> 1e9", alert, count=1),
            re.sub(r"for: .*", "for: 0s", alert),
        ):
            assert mutant != alert
            rules.write_text(text.replace(alert, mutant))
            failed = prometheus.failures(tmp_path / "tests/rules_test.yaml")
            assert failed, f"no test fails with\n{mutant}"


def test_the_rules_know_how_every_operation_may_end(monitoring: Path) -> None:
    """By the names in the runtime's code: timeouts, and decisions to stop."""
    code = "".join(
        path.read_text("utf-8")
        for path in (resources.root() / "templates/runtime").rglob("*.go")
        if not path.name.endswith("_test.go")
    )
    causes = re.findall(r"\b(Deadline|Cancel|Fence)\(\"(\w+)\"", code)
    names = set(re.findall(r"^\tName\w+ += \"(\w+)\"", code, re.MULTILINE))
    decided = {"canceled"} | {name for made, name in causes if made != "Deadline"}
    late = {"deadline_exceeded", "client_limiter", "api_timeout", "timeout"}
    late |= {name for made, name in causes if made == "Deadline"}
    assert {"superseded", "reconcile_deadline", "request_deadline"} <= decided | late
    rules = (monitoring / "tests/rules.yaml").read_text()
    timeouts, cancels = re.findall(r"outcome=~\"(.*?)\"", rules)
    every = names | decided | late
    assert {one for one in every if re.fullmatch(timeouts, one)} == late
    assert {one for one in every if re.fullmatch(cancels, one)} == decided


def test_grafanas_schema_knows_the_dashboard(
    monitoring: Path, tenancy: bool, oracle: Oracle
) -> None:
    text = (monitoring / "dashboard.json").read_text()
    assert oracle.ask("dashboard", text=text)["panels"] == 6 + tenancy
    dashboard = json.loads(text)
    dashboard["panels"][0]["unheard-of"] = 1
    with pytest.raises(OracleError, match="unheard-of"):
        oracle.ask("dashboard", text=json.dumps(dashboard))


def expressions(monitoring: Path) -> list[str]:
    """Return the queries of the dashboard, over the time that the test has."""
    panels = json.loads((monitoring / "dashboard.json").read_text())["panels"]
    found = [target["expr"] for panel in panels for target in panel["targets"]]
    return [one.replace("$__rate_interval", WINDOW) for one in found]


def sign_in(cluster: ControlPlane, monitoring: Path, account: str) -> str:
    """Return the token of an account that may read the metrics by the emitted role."""
    place = f"-n={namespace(NAME)}"
    kubectl(cluster, "apply", "-f", str(monitoring / "reader.yaml"))
    kubectl(cluster, "create", "serviceaccount", account, place)
    kubectl(
        cluster,
        "create",
        "clusterrolebinding",
        account,
        "--clusterrole=metrics-reader",
        f"--serviceaccount={namespace(NAME)}:{account}",
    )
    return kubectl(cluster, "create", "token", account, place).strip()


def config(port: int, token: str, folder: Path, monitoring: Path) -> str:
    """Return Prometheus' configuration: what the Prometheus Operator makes of ours.

    Minutes are seconds in it.
    """
    monitor = YAML(typ="safe").load(monitoring / "monitor.yaml")
    (endpoint,) = monitor["spec"]["endpoints"]
    rules = (monitoring / "tests/rules.yaml").read_text()
    rules = re.sub(r"for: \d+m", "for: 2s", rules.replace("[5m]", f"[{WINDOW}]"))
    (folder / "rules.yaml").write_text(rules)
    job = {
        "job_name": NAME,
        "scheme": endpoint["scheme"],
        "metrics_path": endpoint["path"],
        "tls_config": {
            "insecure_skip_verify": endpoint["tlsConfig"]["insecureSkipVerify"]
        },
        "authorization": {"credentials": token},
        "static_configs": [
            {
                "targets": [f"127.0.0.1:{port}"],
                "labels": {"namespace": namespace(NAME)},
            }
        ],
    }
    return json.dumps(
        {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(folder / "rules.yaml")],
            "scrape_configs": [job],
        }
    )


def payment(name: str, endpoint: str) -> str:
    """Return a payment that ``endpoint`` is to be asked about."""
    spec = {
        "paymentID": name,
        "provider": "BankTransfer",
        "amount": {"value": 1, "currency": "EUR"},
        "endpoint": endpoint,
    }
    return json.dumps(
        {
            "apiVersion": "payments.example.com/v1",
            "kind": "PaymentSync",
            "metadata": {"name": name, "namespace": "default"},
            "spec": spec,
        }
    )


@pytest.mark.controlplane
def test_an_alert_fires_and_resolves_and_every_query_has_data(
    cluster: ControlPlane,
    operator: Path,
    monitoring: Path,
    tenancy: bool,
    tmp_path: Path,
) -> None:
    """A provider falls silent, and is asked no more; Prometheus scrapes the operator."""
    deployed.apply(cluster, operator)
    scraped = free_port()
    account = "prometheus-of-tenants" if tenancy else "prometheus"
    token = sign_in(cluster, monitoring, account)
    with (
        Provider() as provider,
        deployed.running(
            cluster,
            operator,
            NAME,
            tmp_path,
            f"--metrics-bind-address=127.0.0.1:{scraped}",
        ) as log,
        prometheus.running(
            config(scraped, token, tmp_path, monitoring), free_port(), tmp_path
        ) as server,
    ):

        def fires() -> bool:
            return server.firing("OperatorOperationsTimeOut")

        until(
            "the operator is scraped",
            log,
            lambda: bool(server.query(f'up{{job="{NAME}"}} == 1')),
        )
        assert not fires()
        manifest = payment("silent-monitored", provider.url)
        kubectl(cluster, "create", "-f", "-", stdin=manifest)
        until("the alert fires", log, fires)
        for expression in expressions(monitoring):
            values = [one["value"][1] for one in server.query(expression)]
            assert any(value != "NaN" for value in values), expression
        kubectl(cluster, "delete", "-f", "-", stdin=manifest)
        until("the alert resolves", log, lambda: not fires())
        for group in server.get("rules")["groups"]:
            assert all(rule["health"] == "ok" for rule in group["rules"])
