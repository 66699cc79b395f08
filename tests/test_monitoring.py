"""The emitted alert rules and dashboard, judged by Prometheus and by Grafana's SDK."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from scaffold import project
from tests import golden, prometheus
from tests.crd.oracle import Oracle, OracleError, build

pytestmark = pytest.mark.golang

NAME = "payment-sync"


@pytest.fixture(scope="module")
def monitoring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return ``config/prometheus`` of a project."""
    folder = tmp_path_factory.mktemp("monitoring") / NAME
    crds = golden.EXAMPLES / NAME / "crds"
    project.new(folder, [crds], {"project_name": NAME, "module": f"example.com/{NAME}"})
    return folder / "config/prometheus"


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    return Oracle(build(tmp_path_factory.mktemp("oracle")))


def test_rules_pass_their_tests(monitoring: Path) -> None:
    assert prometheus.failures(monitoring / "tests/rules_test.yaml") == ""


def test_the_custom_resource_has_the_rules_that_are_tested(monitoring: Path) -> None:
    yaml = YAML(typ="safe")
    tested = yaml.load(monitoring / "tests/rules.yaml")
    assert yaml.load(monitoring / "rule.yaml")["spec"] == tested


def test_every_alert_is_held_by_a_test(monitoring: Path, tmp_path: Path) -> None:
    """With another threshold, with none, or without its wait an alert turns a test red."""
    shutil.copytree(monitoring / "tests", tmp_path / "tests")
    rules = tmp_path / "tests/rules.yaml"
    text = rules.read_text()
    alerts = re.findall(r"      - alert: .*(?:\n        .*)+", text)
    assert len(alerts) == 5
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


def test_grafanas_schema_knows_the_dashboard(monitoring: Path, oracle: Oracle) -> None:
    text = (monitoring / "dashboard.json").read_text()
    assert oracle.ask("dashboard", text=text)["panels"] == 6
    dashboard = json.loads(text)
    dashboard["panels"][0]["unheard-of"] = 1
    with pytest.raises(OracleError, match="unheard-of"):
        oracle.ask("dashboard", text=json.dumps(dashboard))
