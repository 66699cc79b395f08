"""Bad files and bad CRDs, each with the exact message a user gets."""

from __future__ import annotations

from tests.crd.bad_input import changed, file

CASES = [
    file(
        "not-yaml",
        "a: [\n",
        (
            "bad.yaml:2: not valid YAML: did not find expected node content while parsing a flow node\n"
            "  fix: mend the YAML there"
        ),
    ),
    file(
        "plain-text",
        "hello\n",
        (
            "bad.yaml:1: not a Kubernetes object: it has no apiVersion and kind\n"
            "  fix: start it with 'apiVersion: apiextensions.k8s.io/v1' and 'kind: CustomResourceDefinition'"
        ),
    ),
    file(
        "list",
        "- a\n- b\n",
        (
            "bad.yaml:1: not a Kubernetes object: it has no apiVersion and kind\n"
            "  fix: start it with 'apiVersion: apiextensions.k8s.io/v1' and 'kind: CustomResourceDefinition'"
        ),
    ),
    file(
        "empty",
        "# nothing\n",
        (
            "bad.yaml: holds no CustomResourceDefinition\n"
            "  fix: give a file with 'kind: CustomResourceDefinition'"
        ),
    ),
    file(
        "binary",
        b"\x7fELF\0\0",
        (
            "bad.yaml:1: a NUL byte: the file is binary, not YAML\n"
            "  fix: give the CRD as YAML or JSON text"
        ),
    ),
    file(
        "utf-16",
        "a: 1".encode("utf-16"),
        (
            "bad.yaml: the file is UTF-16, kubectl reads UTF-8 only\n"
            "  fix: iconv -f UTF-16 -t UTF-8 bad.yaml"
        ),
    ),
    file(
        "not-utf-8",
        b"a: \xff\n",
        (
            "bad.yaml:1: not valid YAML: unacceptable character #x00ff: invalid leading UTF-8 octet\n"
            "  fix: mend the YAML there"
        ),
    ),
    file(
        "control-character",
        b"a: \x07\n",
        (
            "bad.yaml:1: not valid YAML: unacceptable character #x0007: control characters are not allowed\n"
            "  fix: mend the YAML there"
        ),
    ),
    file(
        "two-on-separator",
        "--- a\n",
        (
            "bad.yaml:1: text after the document separator '---'\n"
            "  fix: put it on a line of its own, as kubectl requires"
        ),
    ),
    file(
        "after-dots",
        "a: 1\n...\nb: 2\n",
        (
            "bad.yaml:3: not valid YAML: did not find expected <document start>\n"
            "  fix: mend the YAML there"
        ),
    ),
    file(
        "alias-bomb",
        "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(
            f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
        ),
        ("bad.yaml:4: excessive aliasing\n" "  fix: mend the YAML there"),
    ),
    file(
        "alias-to-itself",
        "a: &a [*a]\n",
        ("bad.yaml:1: anchor 'a' value contains itself\n" "  fix: mend the YAML there"),
    ),
    file(
        "unknown-alias",
        "a: *b\n",
        ("bad.yaml:1: unknown anchor 'b' referenced\n" "  fix: mend the YAML there"),
    ),
    file(
        "nested-too-deep",
        "[" * 5000 + "]" * 5000,
        ("bad.yaml:1: nested deeper than 300 levels\n" "  fix: mend the YAML there"),
    ),
    file(
        "nested-json",
        '{"a":' * 2000 + "1" + "}" * 2000,
        (
            "bad.yaml:1: nested deeper than 300 levels\n"
            "  fix: flatten the schema; the API server has limits as well"
        ),
    ),
    file(
        "infinite-number",
        "a: .inf\n",
        ("bad.yaml:1: .inf is no JSON number\n" "  fix: mend the YAML there"),
    ),
    file(
        "list-as-key",
        "? [a]\n: b\n",
        ("bad.yaml:1: a mapping key that is no string\n" "  fix: mend the YAML there"),
    ),
    file(
        "bad-merge",
        "<<: 3\n",
        (
            "bad.yaml:1: '<<' needs a mapping or a list of mappings\n"
            "  fix: mend the YAML there"
        ),
    ),
    file(
        "bad-tag",
        "a: !!int abc\n",
        ("bad.yaml:1: 'abc' cannot be read as !!int\n" "  fix: mend the YAML there"),
    ),
    file(
        "no-type",
        "metadata: {}\n",
        (
            "bad.yaml:1: not a Kubernetes object: it has no apiVersion and kind\n"
            "  fix: start it with 'apiVersion: apiextensions.k8s.io/v1' and 'kind: CustomResourceDefinition'"
        ),
    ),
    file(
        "other-kind",
        "apiVersion: v1\nkind: ConfigMap\n",
        (
            "bad.yaml: holds no CustomResourceDefinition, only ConfigMap\n"
            "  fix: give a file with 'kind: CustomResourceDefinition'"
        ),
    ),
    file(
        "empty-list",
        "apiVersion: v1\nkind: List\nitems: []\n",
        (
            "bad.yaml: holds no CustomResourceDefinition\n"
            "  fix: give a file with 'kind: CustomResourceDefinition'"
        ),
    ),
    changed(
        "v1beta1",
        "apiextensions.k8s.io/v1\n",
        "apiextensions.k8s.io/v1beta1\n",
        (
            "bad.yaml:1: 'apiextensions.k8s.io/v1beta1' CustomResourceDefinitions are not served any more\n"
            "  fix: convert it to apiextensions.k8s.io/v1, with a schema per version"
        ),
    ),
    changed(
        "no-name",
        "  name: widgets.example.com\n",
        "  labels: {}\n",
        (
            "bad.yaml:3: metadata.name: missing\n"
            "  fix: set it to spec.names.plural + '.' + spec.group"
        ),
    ),
    changed(
        "wrong-name",
        "name: widgets.example.com",
        "name: gadgets.example.com",
        (
            "bad.yaml:4: metadata.name: 'gadgets.example.com' is not spec.names.plural + '.' + spec.group\n"
            "  fix: name it 'widgets.example.com'"
        ),
    ),
    changed(
        "path-in-name",
        "name: widgets.example.com",
        "name: ../../etc/passwd",
        (
            "bad.yaml:4: metadata.name: '../../etc/passwd' is not spec.names.plural + '.' + spec.group\n"
            "  fix: name it 'widgets.example.com'"
        ),
    ),
    changed(
        "no-group",
        "  group: example.com\n",
        "",
        ("bad.yaml:5: spec.group: missing\n" "  fix: set spec.group"),
    ),
    changed(
        "group-without-dot",
        "  group: example.com\n",
        "  group: example\n",
        (
            "bad.yaml:4: metadata.name: 'widgets.example.com' is not spec.names.plural + '.' + spec.group\n"
            "  fix: name it 'widgets.example'\n"
            "bad.yaml:6: spec.group: 'example' has no dot\n"
            "  fix: use a domain, such as apps.example.com"
        ),
    ),
    changed(
        "path-in-group",
        "  group: example.com\n",
        "  group: ../example.com\n",
        (
            "bad.yaml:4: metadata.name: 'widgets.example.com' is not spec.names.plural + '.' + spec.group\n"
            "  fix: name it 'widgets.../example.com'\n"
            "bad.yaml:6: spec.group: '../example.com' is no DNS subdomain\n"
            "  fix: write it like apps.example.com"
        ),
    ),
    changed(
        "newline-in-group",
        "  group: example.com\n",
        '  group: "example.com\\n"\n',
        (
            "bad.yaml:4: metadata.name: 'widgets.example.com' is not spec.names.plural + '.' + spec.group\n"
            "  fix: name it 'widgets.example.com\\n'\n"
            "bad.yaml:6: spec.group: 'example.com\\n' is no DNS subdomain\n"
            "  fix: write it like apps.example.com"
        ),
    ),
    changed(
        "protected-group",
        "  group: example.com\n",
        "  group: example.k8s.io\n",
        (
            "bad.yaml:3: metadata: the group 'example.k8s.io' is protected and the CRD is not approved\n"
            "  fix: use a group of your own, or set the annotation api-approved.kubernetes.io\n"
            "bad.yaml:4: metadata.name: 'widgets.example.com' is not spec.names.plural + '.' + spec.group\n"
            "  fix: name it 'widgets.example.k8s.io'"
        ),
    ),
    changed(
        "bad-scope",
        "Namespaced",
        "Global",
        (
            "bad.yaml:7: spec.scope: must be Cluster or Namespaced\n"
            "  fix: set 'scope: Namespaced'"
        ),
    ),
    changed(
        "no-kind",
        "    kind: Widget\n",
        "",
        ("bad.yaml:8: spec.names.kind: missing\n" "  fix: set spec.names.kind"),
    ),
    changed(
        "kind-go-cannot-have",
        "kind: Widget",
        'kind: "Widget{}"',
        (
            "bad.yaml:9: spec.names.kind: 'widget{}' is no DNS label\n"
            "  fix: use lower-case letters, digits and '-', first a letter, at most 63"
        ),
    ),
    changed(
        "kind-is-list-kind",
        "kind: Widget",
        "kind: Widget\n    listKind: Widget",
        (
            "bad.yaml:10: spec.names.listKind: kind and listKind are the same\n"
            "  fix: write WidgetList"
        ),
    ),
    changed(
        "bad-plural",
        "plural: widgets",
        "plural: Widgets",
        (
            "bad.yaml:4: metadata.name: 'widgets.example.com' is not spec.names.plural + '.' + spec.group\n"
            "  fix: name it 'Widgets.example.com'\n"
            "bad.yaml:10: spec.names.plural: 'Widgets' is no DNS label\n"
            "  fix: use lower-case letters, digits and '-', first a letter, at most 63"
        ),
    ),
    changed(
        "very-long-plural",
        "plural: widgets",
        "plural: " + "w" * 64,
        (
            "bad.yaml:4: metadata.name: 'widgets.example.com' is not spec.names.plural + '.' + spec.group\n"
            "  fix: name it 'wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww.example.com'\n"
            "bad.yaml:10: spec.names.plural: 'wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww' is no DNS label\n"
            "  fix: use lower-case letters, digits and '-', first a letter, at most 63"
        ),
    ),
    changed(
        "bad-short-name",
        "plural: widgets",
        "plural: widgets\n    shortNames: [W]",
        (
            "bad.yaml:11: spec.names.shortNames[0]: 'W' is no DNS label\n"
            "  fix: use lower-case letters, digits and '-', first a letter, at most 63"
        ),
    ),
    changed(
        "no-versions",
        "  versions:\n    - name: v1\n",
        "  versions: []\n  unused:\n    - name: v1\n",
        (
            "bad.yaml:11: spec.versions: must list at least one version\n"
            "  fix: add '- name: v1'\n"
            "bad.yaml:12: spec.unused: there is no such field\n"
            "  fix: remove it"
        ),
    ),
    changed(
        "bad-version-name",
        "name: v1\n",
        "name: v1.0\n",
        (
            "bad.yaml:12: spec.versions[0].name: 'v1.0' is no DNS label\n"
            "  fix: use lower-case letters, digits and '-', first a letter, at most 63"
        ),
    ),
    changed(
        "no-storage",
        "      storage: true\n",
        "",
        (
            "bad.yaml:11: spec.versions: no version with storage: true\n"
            "  fix: mark exactly one version 'storage: true'"
        ),
    ),
    changed(
        "storage-no-boolean",
        "storage: true",
        'storage: "true"',
        (
            "bad.yaml:11: spec.versions: no version with storage: true\n"
            "  fix: mark exactly one version 'storage: true'\n"
            "bad.yaml:14: spec.versions[0].storage: must be true or false\n"
            "  fix: write true or false"
        ),
    ),
    changed(
        "no-schema",
        "      schema:\n        openAPIV3Schema:\n",
        "      unused:\n        openAPIV3Schema:\n",
        (
            "bad.yaml:12: spec.versions[0].schema: no structural schema\n"
            "  fix: add schema.openAPIV3Schema with 'type: object'\n"
            "bad.yaml:15: spec.versions[0].unused: there is no such field\n"
            "  fix: remove it"
        ),
    ),
    changed(
        "root-is-no-object",
        "          type: object\n          properties:\n            spec:",
        "          type: string\n          properties:\n            spec:",
        (
            "bad.yaml:17: spec.versions[0].schema.openAPIV3Schema.type: the root's type must be object\n"
            "  fix: write 'type: object'"
        ),
    ),
    changed(
        "preserve-unknown-fields",
        "  scope: Namespaced\n",
        "  scope: Namespaced\n  preserveUnknownFields: true\n",
        (
            "bad.yaml:8: spec.preserveUnknownFields: must be false\n"
            "  fix: remove it; use x-kubernetes-preserve-unknown-fields in the schema"
        ),
    ),
    changed(
        "webhook-missing",
        "  scope: Namespaced\n",
        "  scope: Namespaced\n  conversion: {strategy: Webhook}\n",
        (
            "bad.yaml:8: spec.conversion: strategy Webhook without a webhook\n"
            "  fix: add webhook.clientConfig and conversionReviewVersions"
        ),
    ),
    changed(
        "bad-column",
        "      storage: true\n",
        "      storage: true\n      additionalPrinterColumns: [{name: A, type: text, jsonPath: spec}]\n",
        (
            "bad.yaml:15: spec.versions[0].additionalPrinterColumns[0].type: unknown column type\n"
            "  fix: use one of boolean, date, integer, number, string\n"
            "bad.yaml:15: spec.versions[0].additionalPrinterColumns[0].jsonPath: must start with a dot\n"
            "  fix: write it like .spec.size"
        ),
    ),
    changed(
        "bad-scale",
        "      storage: true\n",
        "      storage: true\n      subresources: {scale: {specReplicasPath: .size}}\n",
        (
            "bad.yaml:15: spec.versions[0].subresources.scale.specReplicasPath: must be a path below .spec.\n"
            "  fix: write it like .spec.replicas\n"
            "bad.yaml:15: spec.versions[0].subresources.scale.statusReplicasPath: must be a path below .status.\n"
            "  fix: write it like .status.replicas"
        ),
    ),
    changed(
        "selectable-metadata",
        "      storage: true\n",
        "      storage: true\n      selectableFields: [{jsonPath: .metadata.name}]\n",
        (
            "bad.yaml:15: spec.versions[0].selectableFields[0].jsonPath: '.metadata.name' is no string, boolean or integer field\n"
            "  fix: name a scalar field outside metadata"
        ),
    ),
    changed(
        "warning-without-deprecation",
        "      storage: true\n",
        "      storage: true\n      deprecationWarning: old\n",
        (
            "bad.yaml:15: spec.versions[0].deprecationWarning: only for deprecated versions\n"
            "  fix: add 'deprecated: true'"
        ),
    ),
]
