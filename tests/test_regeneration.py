"""CRDs change under a project with a user's code in it. Real trees, real Go."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from scaffold.check import check
from scaffold.errors import ScaffoldError, ToolError
from scaffold.generate import generate
from tests import beacon
from tests.beacon import CRD, EXAMPLES, RULES, USER, edit
from tests.trees import tree

pytestmark = pytest.mark.golang


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a user's code, committed, that no test changes."""
    return beacon.make(tmp_path_factory.mktemp("made") / "beacon")


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    """A project of the test's own."""
    return Path(shutil.copytree(made, tmp_path / "beacon"))


def user_files(project: Path) -> dict[str, str]:
    return {
        path: text
        for path, text in tree(project).items()
        if not path.startswith((".ctxscaffold/", "crds/", "internal/runtime/", "api/"))
        and "zz_generated" not in path
        and not path.startswith("config/")
    }


def settled(project: Path, before: dict[str, str]) -> None:
    """Check that user files are as they were and that a second run has nothing to do."""
    now = user_files(project)
    assert {path: now.get(path) for path in before} == before
    assert generate(project).changes == ()


ADDED_FIELD = """\
                note:
                  description: Note is free text.
                  type: string
                  maxLength: 80
                colour:"""


def test_field_added(project: Path) -> None:
    before = user_files(project)
    edit(
        project / CRD,
        lambda text: text.replace("                colour:", ADDED_FIELD, 1),
    )
    changed = [change.path for change in generate(project).visible]
    assert "api/signals/v1alpha1/zz_generated.beacon.go" in changed
    assert "config/crd/bases/beacons.signals.example.com.yaml" in changed
    settled(project, before)
    api = (project / "api/signals/v1alpha1/zz_generated.beacon.go").read_text()
    assert re.search(r"Note\s+\*string\s+`json:\"note,omitempty\"`", api)
    deepcopy = (project / "api/signals/v1alpha1/zz_generated.deepcopy.go").read_text()
    assert "in.Note != nil" in deepcopy
    assert list(check(project))[-1] == "go vet"


def line_of(path: Path, text: str) -> int:
    return 1 + next(
        number
        for number, line in enumerate(path.read_text().splitlines())
        if text in line
    )


def test_field_removed_names_the_users_line(project: Path) -> None:
    before = user_files(project)
    edit(
        project / CRD,
        lambda text: re.sub(r" {16}colour:\n(?: {18}.*\n)+", "", text, count=1),
    )
    generate(project)
    settled(project, before)
    line = line_of(project / USER, "obj.Spec.Colour == nil")
    with pytest.raises(ToolError, match=rf"beacon\.go:{line}:\d+: obj\.Spec\.Colour"):
        list(check(project))


def test_type_changed_names_the_users_line(project: Path) -> None:
    before = user_files(project)
    edit(
        project / CRD,
        lambda text: text.replace(
            "                  enum: [Red, Green, White]\n"
            "                  default: White\n",
            "",
        ).replace(
            "                colour:\n"
            "                  description: Colour of the light.\n"
            "                  type: string\n",
            "                colour:\n"
            "                  description: Colour of the light, in kelvin.\n"
            "                  type: object\n"
            "                  properties:\n"
            "                    kelvin:\n"
            "                      type: integer\n",
        ),
    )
    generate(project)
    settled(project, before)
    line = line_of(project / USER, "return string(*obj.Spec.Colour)")
    with pytest.raises(ToolError, match=rf"beacon\.go:{line}:\d+: cannot convert"):
        list(check(project))


def test_version_added_and_made_storage(project: Path) -> None:
    before = user_files(project)

    def add_version(text: str) -> str:
        head, mark, version = text.partition("    - name: v1alpha1\n")
        old = version.replace("storage: true", "storage: false")
        return head + mark + old + "    - name: v1\n" + version

    edit(project / CRD, add_version)
    generate(project)
    settled(project, before)
    reconciler = (
        project / "internal/controller/beacon/zz_generated.reconciler.go"
    ).read_text()
    assert "type Beacon = signalsv1.Beacon" in reconciler
    assert (project / "api/signals/v1alpha1/zz_generated.beacon.go").exists()
    assert list(check(project))[-1] == "go vet"


def test_kind_added(project: Path) -> None:
    before = user_files(project)
    generate(project, add=[EXAMPLES / "cluster/crds"])
    settled(project, before)
    setup = (project / "internal/controller/zz_generated.setup.go").read_text()
    assert "tenantclass.Setup," in setup
    assert list(check(project))[-1] == "go vet"


def test_kind_removed_is_refused_until_dropped(project: Path) -> None:
    generate(project, add=[EXAMPLES / "cluster/crds"])
    (project / CRD).unlink()
    before = tree(project)
    with pytest.raises(ScaffoldError, match=re.escape(USER)) as caught:
        generate(project)
    assert "--drop Beacon.signals.example.com" in str(caught.value)
    assert tree(project) == before
    outcome = generate(project, drop=["Beacon"])
    assert outcome.beside == ("internal/controller/beacon/own.go",)
    assert (project / ".ctxscaffold/dropped" / USER).read_text() == before[USER]
    assert not (project / "api/signals").exists()
    assert generate(project).changes == ()
    # The user's own file still names the kind that is gone: Go says where.
    with pytest.raises(ToolError, match=r"own\.go:4:\d+: undefined: Beacon"):
        list(check(project))
    (project / "internal/controller/beacon/own.go").unlink()
    assert list(check(project))[-1] == "go vet"


def test_webhooks_turned_off_and_on_again(project: Path) -> None:
    """The rules stay the user's; what calls them comes and goes with the answer."""
    before = (project / RULES).read_text()
    answers = project / ".copier-answers.yml"
    edit(answers, lambda text: text.replace("webhooks: true", "webhooks: false"))
    generate(project)
    assert (project / RULES).read_text() == before
    assert not (project / "config/webhook/manifests.yaml").exists()
    setup = project / "internal/controller/zz_generated.setup.go"
    assert "webhook" not in setup.read_text()
    assert (
        "resources: []" in (project / "config/webhook/kustomization.yaml").read_text()
    )
    edit(answers, lambda text: text.replace("webhooks: false", "webhooks: true"))
    generate(project)
    settled(project, {RULES: before})
    assert "webhook.SetupAll(rt)" in setup.read_text()


def test_the_http_api_turned_on_and_off_again(project: Path) -> None:
    """Routes stay the user's; what serves them comes and goes with the answer."""
    routes = project / "internal/httpapi/routes.go"
    setup = project / "internal/controller/zz_generated.setup.go"
    role = project / "config/rbac/role.yaml"
    component = project / "config/http/kustomization.yaml"
    assert not routes.exists()
    assert "resources: []" in component.read_text()
    assert "create, delete" not in role.read_text()

    answers = project / ".copier-answers.yml"
    edit(answers, lambda text: text.replace("http_api: false", "http_api: true"))
    generate(project)
    settled(project, {"internal/httpapi/routes.go": routes.read_text()})
    assert "httpapi.SetupAll(rt)" in setup.read_text()
    assert "create, delete" in role.read_text()
    assert "service.yaml" in component.read_text()

    edit(answers, lambda text: text.replace("http_api: true", "http_api: false"))
    generate(project)
    settled(project, {"internal/httpapi/routes.go": routes.read_text()})
    assert "httpapi" not in setup.read_text()
    assert not (project / "internal/httpapi/openapi.json").exists()


def test_tenancy_turned_on_and_off_again(project: Path) -> None:
    """What there is without tenancy is there again, to the byte."""
    own, before = user_files(project), tree(project)
    answers = project / ".copier-answers.yml"
    edit(answers, lambda text: text.replace("tenancy: false", "tenancy: true"))
    generate(project)
    settled(project, {path: own[path] for path in own if path != answers.name})
    changed = {path for path, text in tree(project).items() if before.get(path) != text}
    packages = ("access", "provision", "quota", "tenant")
    elsewhere = (".ctxscaffold/", *(f"internal/runtime/{one}/" for one in packages))
    assert {path for path in changed if not path.startswith(elsewhere)} == {
        ".copier-answers.yml",
        "config/crd/bases/quotatemplates.tenancy.beacon.ctxscaffold.dev.yaml",
        "config/crd/bases/tenantquotas.tenancy.beacon.ctxscaffold.dev.yaml",
        "config/crd/kustomization.yaml",
        "config/prometheus/dashboard.json",
        "config/prometheus/rule.yaml",
        "config/prometheus/tests/rules.yaml",
        "config/prometheus/tests/rules_test.yaml",
        "config/rbac/role.yaml",
        "config/samples/tenancy/quotatemplate.yaml",
        "config/samples/tenancy/tenantquota.yaml",
        "internal/controller/beacon/zz_generated.reconciler.go",
        "internal/controller/beacon/zz_generated.reconciler_test.go",
        "internal/controller/beacon/zz_generated.tenancy_test.go",
        "internal/controller/zz_generated.setup.go",
        "internal/tenancy/zz_generated.quota.go",
        "internal/tenancy/zz_generated.setup.go",
    }
    for one in packages:
        assert f"internal/runtime/{one}/doc.go" in changed
    role = (project / "config/rbac/role.yaml").read_text()
    assert "resources: [namespaces]\n    verbs: [get, list, watch]" in role
    assert list(check(project))[-1] == "go vet"

    edit(answers, lambda text: text.replace("tenancy: true", "tenancy: false"))
    generate(project)
    settled(project, own)
    assert tree(project) == before


def test_conversion_comes_with_a_version_that_differs(project: Path) -> None:
    def add_version(text: str) -> str:
        head, mark, version = text.partition("    - name: v1alpha1\n")
        old = version.replace("storage: true", "storage: false")
        return head + mark + old + "    - name: v1\n" + version

    kustomization = project / "config/crd/kustomization.yaml"
    edit(project / CRD, add_version)
    generate(project)
    assert "strategy: Webhook" not in kustomization.read_text()
    edit(
        project / CRD,
        lambda text: text.replace("                colour:", ADDED_FIELD, 1),
    )
    before = user_files(project)
    generate(project)
    settled(project, before)
    assert "strategy: Webhook" in kustomization.read_text()
    setup = (project / "internal/webhook/zz_generated.setup.go").read_text()
    assert "admission.ConversionPath" in setup


def test_edited_generated_file_is_refused(project: Path) -> None:
    edit(
        project / CRD,
        lambda text: text.replace("description: Colour", "description: A colour"),
    )
    edit(
        project / "api/signals/v1alpha1/zz_generated.beacon.go",
        lambda text: text + "// mine\n",
    )
    before = tree(project)
    with pytest.raises(ScaffoldError, match="edited by hand") as caught:
        generate(project)
    assert "zz_generated.beacon.go" in str(caught.value)
    assert tree(project) == before


def test_crd_made_invalid_leaves_everything(project: Path) -> None:
    edit(project / CRD, lambda text: text.replace("type: integer", "type: integr", 1))
    before = tree(project)
    with pytest.raises(ScaffoldError) as caught:
        generate(project)
    assert re.search(r"crds/beacon\.yaml:\d+: ", str(caught.value))
    assert tree(project) == before
