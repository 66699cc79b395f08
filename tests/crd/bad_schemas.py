"""Bad schemas, each with the exact message a user gets."""

from __future__ import annotations

from tests.crd.bad_input import field

CASES = [
    field(
        "no-type",
        "description: nothing",
        (
            "bad.yaml:22: spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.size: no type; it must not be empty for fields\n"
            "  fix: add 'type:'"
        ),
    ),
    field(
        "unknown-type",
        "type: int",
        (
            "bad.yaml:23: spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.size.type: unknown type 'int'\n"
            "  fix: use one of array, boolean, integer, number, object, string"
        ),
    ),
    field(
        "type-list",
        "type: [integer, string]",
        (
            "bad.yaml:23: spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.size.type: 'type' must be a string\n"
            "  fix: make it a string"
        ),
    ),
    field(
        "array-without-items",
        "type: array",
        (
            "bad.yaml:22: spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.size: an array without items\n"
            "  fix: add 'items:' with the items' type"
        ),
    ),
    field(
        "reference",
        'type: object\n$ref: "#/definitions/x"',
        (
            "bad.yaml:24: spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.size['$ref']: '$ref' is not supported in CRDs\n"
            "  fix: write the schema out in place"
        ),
    ),
    field(
        "properties-and-additional",
        "type: object\nproperties: {a: {type: string}}\nadditionalProperties: {type: string}",
        (
            "bad.yaml:25: spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.size.additionalProperties: additionalProperties and properties exclude each other\n"
            "  fix: keep one of them"
        ),
    ),
    field(
        "unique-items",
        "type: array\nuniqueItems: true\nitems: {type: string}",
        (
            "bad.yaml:24: spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.size.uniqueItems: uniqueItems is forbidden\n"
            "  fix: use x-kubernetes-list-type: set"
        ),
    ),
    field(
        "length-no-number",
        "type: string\nmaxLength: long",
        (
            "bad.yaml:24: spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.size.maxLength: 'maxLength' must be an integer\n"
            "  fix: make it an integer"
        ),
    ),
    field(
        "look-ahead",
        'type: string\npattern: "^(?!a)"',
        (
            "bad.yaml:24: spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.size.pattern: look-around, which Go's regular expressions do not have\n"
            "  fix: rewrite the pattern"
        ),
    ),
    field(
        "unclosed-pattern",
        'type: string\npattern: "(a"',
        (
            "bad.yaml:24: spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.size.pattern: not a regular expression: missing ), unterminated subpattern at position 0\n"
            "  fix: mend the pattern"
        ),
    ),
    field(
        "type-in-any-of",
        "type: string\nanyOf: [{type: string}]",
        (
            "bad.yaml:24: spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.size.anyOf[0].type: 'type' inside allOf, anyOf, oneOf or not is not structural\n"
            "  fix: state it outside, beside the properties"
        ),
    ),
    field(
        "list-map-without-keys",
        "type: array\nx-kubernetes-list-type: map\nitems: {type: object}",
        (
            "bad.yaml:22: spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.size: list type map without x-kubernetes-list-map-keys\n"
            "  fix: name the keys"
        ),
    ),
    field(
        "list-map-key-optional",
        "type: array\nx-kubernetes-list-type: map\nx-kubernetes-list-map-keys: [a]\nitems: {type: object, properties: {a: {type: string}}}",
        (
            "bad.yaml:25: spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.size.x-kubernetes-list-map-keys: list map key 'a' is neither required nor has a default\n"
            "  fix: make it required"
        ),
    ),
    field(
        "rule-empty",
        'type: string\nx-kubernetes-validations: [{rule: " "}]',
        (
            "bad.yaml:24: spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.size.x-kubernetes-validations[0]: a validation without a rule\n"
            "  fix: write the CEL expression in 'rule:'"
        ),
    ),
    field(
        "preserve-false",
        "type: object\nx-kubernetes-preserve-unknown-fields: false",
        (
            "bad.yaml:24: spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.size.x-kubernetes-preserve-unknown-fields: must be true or undefined\n"
            "  fix: remove the false"
        ),
    ),
]
