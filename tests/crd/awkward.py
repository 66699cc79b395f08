"""Names and texts that Go, JSON tags, controller-gen or emitted code could stumble over."""

from __future__ import annotations

from hypothesis import strategies as st

# Ordinary names, and names that Go, JSON tags, controller-gen or the emitted code
# could stumble over.
_WORDS = (
    "name size replicas image ports template podTemplate pod spec status conditions type "
    "key value item items metadata kind apiVersion default enum required func map string "
    "int error range clusterIP clusterIp cluster-ip podIPs jwksUri jwks_uri url URL baseUrl "
    "foo fooBar bar barBaz baz deepCopy deepCopyInto extraFields typeMeta objectMeta hub "
    "getObjectKind 3scale x.y a/b $ref @id 2 _ - selector labels namespace nil true "
    "observedGeneration list addToScheme groupVersion schemeBuilder json marshalJSON"
)
NAMES = st.sampled_from(_WORDS.split()) | st.sampled_from(
    ["", "two words", "a,b", 'a"b', "a\\b", "a`b", "\u00fc", "tab\there", "%s", "{{x}}"]
)
TEXTS = st.sampled_from(
    [
        "",
        "A field.",
        "Two lines.\nThe second.",
        "A list:\n- one\n- two\n\nAnd more.",
        "+kubebuilder:validation:Enum=a;b",
        "Text\n+optional\nmore",
        "TODO: later",
        "a\n---\nb",
        "  indented\n\tcode",
        "Heading\n\nText",
        "trailing  \nspaces  ",
        "\nleading line",
        "double\n\n\nblank",
        'quote " back \\ tick ` brace {{ x }} {% y %}',
        "*/ // /* end",
        "crlf\r\nline",
        "\u2028 separator \ufeff bom \u00e9",
        "```\nfenced\n---\n+marker\n```",
        "[link]: https://example.com",
        "deprecated: use other",
        "1. first\n2. second",
        "# hash",
        "`` '' quotes",
    ]
)
