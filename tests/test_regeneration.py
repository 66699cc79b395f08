"""CRDs change under a project with a user's code in it. Real trees, real Go."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from scaffold.check import check
from scaffold.errors import ScaffoldError, ToolError
from scaffold.generate import generate
from tests import beacon
from tests.beacon import CRD, EXAMPLES, RULES, USER, edit
from tests.trees import tree

OWN = "internal/controller/beacon/own.go"

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
    whole = tree(project)
    (project / CRD).unlink()
    before = tree(project)
    with pytest.raises(ScaffoldError, match=re.escape(USER)) as caught:
        generate(project)
    assert "--drop Beacon.signals.example.com" in str(caught.value)
    assert tree(project) == before
    outcome = generate(project, drop=["Beacon"])
    assert outcome.beside == ()
    for path in (USER, OWN):
        assert (project / ".ctxscaffold/dropped" / path).read_text() == before[path]
        assert not (project / path).exists()
    assert not (project / "api/signals").exists()
    assert generate(project).changes == ()
    assert list(check(project))[-1] == "go vet"
    (project / CRD).write_text(whole[CRD])
    generate(project)
    assert tree(project) == whole


def test_webhooks_turned_off_and_on_again(project: Path) -> None:
    """The user's rules are named, moved aside when dropped, and come back."""
    before = tree(project)
    answers = project / ".copier-answers.yml"
    edit(answers, lambda text: text.replace("webhooks: true", "webhooks: false"))
    with pytest.raises(ScaffoldError, match=re.escape(RULES)) as caught:
        generate(project)
    assert "--drop internal/webhook/beacon, " in str(caught.value)
    outcome = generate(project, drop=["internal/webhook/beacon"])
    assert "config/certmanager/issuer.yaml" in outcome.beside
    assert not (project / RULES).exists()
    assert list(check(project))[-1] == "go vet"
    assert not (project / "config/webhook/manifests.yaml").exists()
    setup = project / "internal/controller/zz_generated.setup.go"
    assert "webhook" not in setup.read_text()
    assert (
        "resources: []" in (project / "config/webhook/kustomization.yaml").read_text()
    )
    edit(answers, lambda text: text.replace("webhooks: false", "webhooks: true"))
    generate(project)
    assert tree(project) == before
    assert "webhook.SetupAll(rt)" in setup.read_text()


def test_the_http_api_turned_on_and_off_again(project: Path) -> None:
    """Routes are the user's; what serves them comes and goes with the answer."""
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
    with pytest.raises(ScaffoldError, match=r"internal/httpapi/routes\.go"):
        generate(project)
    generate(project, drop=["internal/httpapi"])
    settled(project, {})
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


def versions(project: Path, **stored: bool) -> None:
    """Give the CRD these versions, of which one is stored, each with a field of its own."""
    path = project / CRD
    head, _, version = path.read_text().partition("    - name: ")
    schema = version.partition("\n")[2].partition("    - name: ")[0]
    schema = re.sub(r"storage: (true|false)", "storage: STORED", schema)
    schema = re.sub(r" {16}only\w+: \{type: string\}\n", "", schema)
    for name, is_stored in stored.items():
        own = schema.replace("STORED", str(is_stored).lower())
        field = f"                only{name}: {{type: string}}\n"
        head += f"    - name: {name}\n" + own.replace(
            "                colour:\n", field + "                colour:\n", 1
        )
    path.write_text(head)


CONVERSION = "api/signals/v1/beacon_conversion.go"


def test_storage_switched_and_the_former_version_removed(project: Path) -> None:
    versions(project, v1alpha1=True, v1=False)
    generate(project)
    with (project / CONVERSION).open("a") as file:
        file.write("\n// mine\n")
    before, first = user_files(project), tree(project)
    hub = "// Hub marks Beacon in v1alpha1 as the version"
    converting = "api/signals/v1alpha1/zz_generated.conversion.beacon.go"
    path = '"/validate-signals-example-com-v1alpha1-beacon"'
    assert hub in first[converting]

    versions(project, v1alpha1=False, v1=True)
    generate(project)
    settled(project, before)
    switched = tree(project)
    reconciler = "internal/controller/beacon/zz_generated.reconciler.go"
    assert "type Beacon = signalsv1.Beacon" in switched[reconciler]
    assert hub in switched[converting]
    assert path in switched["internal/webhook/beacon/zz_generated.webhook.go"]
    assert list(check(project))[-1] == "go vet"
    subprocess.run(["go", "test", "./api/..."], cwd=project, check=True)

    versions(project, v1=True)
    with pytest.raises(ScaffoldError, match=re.escape(CONVERSION)) as caught:
        generate(project)
    assert f"--drop {CONVERSION}" in str(caught.value)
    assert tree(project) == {**switched, CRD: (project / CRD).read_text()}
    generate(project, drop=[CONVERSION])
    assert "// mine" in (project / ".ctxscaffold/dropped" / CONVERSION).read_text()
    assert (
        path.strip(chr(34)) in (project / "config/webhook/manifests.yaml").read_text()
    )
    assert list(check(project))[-1] == "go vet"

    versions(project, v1alpha1=False, v1=True)
    generate(project)
    assert tree(project) == switched
    versions(project, v1alpha1=True, v1=False)
    generate(project)
    assert tree(project) == first


def second_group(project: Path) -> None:
    """Add the same kind in another group with the same first label."""
    text = (project / CRD).read_text()
    other = text.replace("signals.example.com", "signals.other.org")
    (project / "crds/other.yaml").write_text(other)


def without_places(project: Path) -> dict[str, str]:
    """Return the tree, with a manifest as of a release that recorded no places."""
    path = project / ".ctxscaffold/manifest.json"
    record = json.loads(path.read_text())
    del record["places"]
    return tree(project) | {".ctxscaffold/manifest.json": json.dumps(record)}


def test_same_kind_in_a_second_group(project: Path) -> None:
    """What the first was called stays, and the second leaves no trace but its name."""
    before, own = tree(project), user_files(project)
    alone = without_places(project)
    second_group(project)
    generate(project)
    settled(project, own)
    after = tree(project)
    for path in before:
        if path.startswith(("api/", "internal/controller/", "internal/webhook/")):
            assert after[path] == before[path] or "setup" in path
    assert "api/signalsother/v1alpha1/zz_generated.beaconsignals.go" in after
    second = after["internal/controller/beaconsignals/zz_generated.reconciler.go"]
    assert '"signals.other.org/beaconsignals"' in second
    assert list(check(project))[-1] == "go vet"

    (project / "crds/other.yaml").unlink()
    generate(project, drop=["Beacon.signals.other.org"])
    shutil.rmtree(project / ".ctxscaffold/dropped")
    assert without_places(project) == alone
    second_group(project)
    generate(project)
    assert tree(project) == after


@pytest.mark.parametrize("manifest", ["without places", "gone"])
def test_places_of_a_project_that_has_no_record(project: Path, manifest: str) -> None:
    """They are what its files show, also for a kind whose name is taken."""
    second_group(project)
    versions(project, v1alpha1=True, v1=False)
    generate(project)
    before = tree(project)
    record = project / ".ctxscaffold/manifest.json"
    if manifest == "gone":
        record.unlink()
    else:
        record.write_text(without_places(project)[".ctxscaffold/manifest.json"])
    versions(project, v1alpha1=False, v1=True)
    other = project / "crds/other.yaml"
    third = other.read_text().replace("signals.other.org", "signals.third.org")
    (project / "crds/third.yaml").write_text(third)
    generate(project, overwrite=manifest == "gone")
    after = tree(project)
    was, now = (
        json.loads(one[record.relative_to(project).as_posix()])["places"]
        for one in (before, after)
    )
    assert {kind: now["kinds"][kind] for kind in was["kinds"]} == was["kinds"]
    assert {group: now["groups"][group] for group in was["groups"]} == was["groups"]
    assert (
        now["kinds"]["Beacon.signals.third.org"]["package"] == "beaconsignalsthirdorg"
    )


def test_group_and_module_moved_and_moved_back(project: Path) -> None:
    """The user's code stays where it is, and imports what the module is called now."""
    versions(project, v1alpha1=True, v1=False)
    generate(project)
    app = project / "internal/app/app.go"
    app.parent.mkdir()
    app.write_text(
        "// Package app is the user's.\npackage app\n\nimport (\n"
        '\tv1 "example.com/beacon/api/signals/v1"\n)\n\n'
        "// Of is one of them.\ntype Of = v1.Beacon\n"
    )
    generate(project)
    before = tree(project)

    def rename(group: tuple[str, str], module: tuple[str, str]) -> None:
        edit(project / CRD, lambda text: text.replace(*group))
        line = (f"module {module[0]}\n", f"module {module[1]}\n")
        edit(project / "go.mod", lambda text: text.replace(*line))
        with pytest.raises(ScaffoldError) as caught:
            generate(project)
        assert f"{app}:5: " in str(caught.value)
        assert f"--move {module[0]}={module[1]}" in str(caught.value)
        assert USER in str(caught.value)
        generate(project, move=dict([group, module]))
        assert generate(project).changes == ()

    groups = "signals.example.com", "lights.example.org"
    names = "example.com/beacon", "example.com/lights"
    rename(groups, names)
    after = tree(project)
    for path in (USER, RULES, CONVERSION, OWN):
        assert after[path] == before[path].replace(*names)
    assert "module: example.com/lights\n" in after[".copier-answers.yml"]
    reconciler = after["internal/controller/beacon/zz_generated.reconciler.go"]
    assert '"lights.example.org/beacon"' in reconciler
    assert list(check(project))[-1] == "go vet"
    rename((groups[1], groups[0]), (names[1], names[0]))
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
