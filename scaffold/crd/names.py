"""Names: from what CRDs call things to what Go calls them. See docs/names.md.

Every name is a function of what it names and of fixed reserved words. Packages and
folders of groups, once chosen, are kept (see docs/regeneration.md). Only where two
things would have one name does a neighbour count: a fixed rank, in which
neither order nor number of the neighbours has a say, decides which of the two
keeps it, and the other's name is again a function of itself alone.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


KEYWORDS = _set(
    "break case chan const continue default defer else fallthrough for func go goto "
    "if import interface map package range return select struct switch type var"
)
PREDECLARED = _set(
    "any append bool byte cap clear close comparable complex complex128 complex64 copy "
    "delete error false float32 float64 imag int int16 int32 int64 int8 iota len make "
    "max min new nil panic print println real recover rune string true uint uint16 "
    "uint32 uint64 uint8 uintptr"
)
# Packages that emitted controllers and main.go import, by the name they use.
TAKEN_PACKAGES = _set(
    "ability access admission api apicalls apimachinery apipath apis backlog budget "
    "builder bytes cache cadence cause certs chain client clientgoscheme cmd config "
    "conformance context controller conversion corev1 ctrl errors event fence flag fmt "
    "freshness handler http httpapi httptest httpx hub internal intstr io json lag leader "
    "log main manager maps math metav1 net observe os outbound path predicate provider "
    "provision quota reconcile reconciler record requeue resource roundtrip runtime "
    "runtimetest schema scheme slices sort source status strconv strings sync synctest "
    "tenancy tenant testing time tools tracing types unicode url utiljson vendor version "
    "watch webhook zap "
    # what functions that name packages of kinds call their own
    "confined err rt s tenants"
)
# What emitted packages declare beside the kind.
_TAKEN_KINDS = frozenset(
    (
        "AddToScheme",
        "GroupVersion",
        "New",
        "Reconciler",
        "Rules",
        "SchemeBuilder",
        "Setup",
    )
)
# Of files that packages of types have beside those of kinds.
_TAKEN_FILES = frozenset(("deepcopy", "groupversion", "similar"))
_TAKEN_DIRS = frozenset(("internal", "main", "testdata", "vendor"))
# As Kubernetes and the Go style guides write them in exported identifiers.
INITIALISMS = _set(
    "ACL ACME AMI API ARN ASN AWS AZ BGP CA CIDR CEL CNI CPU CRD CSI CSR DB DHCP DNS "
    "EBS EC2 ECS EKS ELB GCP GID GPU GRPC GUID GVK HTML HTTP HTTPS IAM ICMP ID IP "
    "IPAM IPC JSON JWT KMS LB LDAP MAC MTU NAT NFS NIC OCI OIDC OS PEM PID PVC QPS "
    "RAM RBAC RDS RPC S3 SAML SCSI SDK SHA SLA SLO SMTP SNI SNS SQL SQS SSH SSL SSO "
    "TCP TLS TTL UDP UI UID URI URL UTF8 UUID VIP VLAN VM VPC VPN WAF XML YAML"
)
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_PLURAL_INITIALISM = re.compile(r"([A-Z][A-Z0-9]+)s(?![a-z])")


def exported(text: str) -> str:
    """Return an exported Go identifier for a JSON name, '' if nothing is left.

    ``clusterIP``, ``cluster-ip`` and ``cluster_ip`` are all ``ClusterIP``.
    """
    parts = []
    for chunk in re.split(r"[^A-Za-z0-9]+", text):
        parts += _words(chunk)
    name = "".join(_title(word) for word in parts)
    return f"X{name}" if name[:1].isdigit() else name


def _words(chunk: str) -> list[str]:
    """Split at humps, keeping plural initialisms (``podIPs``) in one word."""
    words: list[str] = []
    position = 0
    for match in _PLURAL_INITIALISM.finditer(chunk):
        if match.group(1) in INITIALISMS:
            words += _WORD.findall(chunk[position : match.start()])
            words.append(match.group())
            position = match.end()
    return words + _WORD.findall(chunk[position:])


def _title(word: str) -> str:
    upper = word.upper()
    if upper in INITIALISMS:
        return upper
    if len(word) > 2 and word[-1] == "s" and upper[:-1] in INITIALISMS:
        return upper[:-1] + "s"
    return word[:1].upper() + word[1:]


def kind_identifier(kind: str) -> str:
    """Return the Go type name of a kind: its own spelling where Go allows it."""
    parts = [part for part in kind.split("-") if part]
    name = "".join(part[:1].upper() + part[1:] for part in parts)
    return f"{name}Kind" if name in _TAKEN_KINDS else name


def version_package(version: str) -> str:
    """Return the Go package identifier of a version's API package."""
    name = version.lower().replace("-", "dash")
    taken = KEYWORDS | PREDECLARED | TAKEN_PACKAGES | _TAKEN_DIRS
    return f"{name}version" if name in taken else name


def api_package(path: str) -> str:
    """Return what a package of Kubernetes' API is called in method names.

    ``k8s.io/api/core/v1`` is ``Core``.
    """
    return _title(path.split("/")[-2])


def stability(version: str) -> tuple[int, int, int, str]:
    """Return the sort key of a version by Kubernetes' priority: v2 > v1 > v1beta1."""
    match = re.fullmatch(r"v([0-9]+)(?:(alpha|beta)([0-9]+))?", version)
    if not match:
        return -1, 0, 0, version
    major, stage, minor = match.groups()
    level = {"alpha": 0, "beta": 1, None: 2}[stage]
    return level, int(major), int(minor or 0), version


def digest(text: str) -> str:
    """Return six letters that stand for a text, for names that must differ."""
    return hashlib.sha256(text.encode()).hexdigest()[:6]


def package_names(
    kinds: Sequence[tuple[str, str]], kept: Mapping[str, str] | None = None
) -> list[str]:
    """Return the controller package of each (kind, group), unique in a project.

    A kind that is in ``kept``, by ``Kind.group``, has the package it has there,
    and no other kind gets that. A kind alone in the project has its own name in lower case. Where two groups
    have the same kind, or Go or the emitted code owns the word, the first label
    of the group follows; if that is not enough, the whole group does.
    """
    spellings = []
    for kind, group in kinds:
        plain, label, whole = _identifier(kind), group.partition(".")[0], group
        long = plain + _identifier(whole)
        spellings.append(
            (plain, plain + _identifier(label), long, long + digest(f"{kind}.{group}"))
        )
    taken = KEYWORDS | PREDECLARED | TAKEN_PACKAGES | _TAKEN_FILES
    keys = [f"{kind}.{group}" for kind, group in kinds]
    return _distinct(spellings, taken, keys, kept or {})


def group_dirs(
    groups: Sequence[str], kept: Mapping[str, str] | None = None
) -> list[str]:
    """Return the folder below ``api/`` of each group, unique in a project.

    A group that is in ``kept`` has the folder it has there. Else it is the first label of the group; two groups that share it have two labels, or
    all of them.
    """
    spellings = []
    for group in groups:
        labels, whole = group.split("."), _identifier(group)
        spellings.append(
            (
                _identifier(labels[0]),
                _identifier("".join(labels[:2])),
                whole,
                whole + digest(group),
            )
        )
    return _distinct(spellings, KEYWORDS | _TAKEN_DIRS, groups, kept or {})


def _distinct(
    spellings: Sequence[tuple[str, ...]],
    taken: frozenset[str],
    keys: Sequence[str],
    kept: Mapping[str, str],
) -> list[str]:
    """Return each item's first spelling that no other item shares.

    An item whose key is in ``kept`` has the one it has there. Items that share one all move on, so that the order of items is without
    influence; the last spelling is unique by construction.
    """
    spellings = [
        (kept[key],) if key in kept else options
        for key, options in zip(keys, spellings, strict=True)
    ]
    taken |= frozenset(kept.values())
    level = [0] * len(spellings)
    while True:
        chosen = [options[at] for options, at in zip(spellings, level, strict=True)]
        counts = Counter(chosen)
        moved = False
        for index, name in enumerate(chosen):
            clash = counts[name] > 1 or name in taken
            if clash and level[index] + 1 < len(spellings[index]):
                level[index] += 1
                moved = True
        if not moved:
            return chosen


def _identifier(text: str) -> str:
    name = re.sub(r"[^a-z0-9]", "", text.lower())
    return f"x{name}" if name[:1].isdigit() else name


_SYMBOLS = {
    "!": "Not",
    "#": "Hash",
    "$": "Dollar",
    "%": "Percent",
    "&": "And",
    "*": "Star",
    "+": "Plus",
    "-": "Minus",
    ".": "Dot",
    "/": "Slash",
    ":": "Colon",
    "<": "Less",
    "=": "Equal",
    ">": "Greater",
    "?": "Question",
    "@": "At",
    "\\": "Backslash",
    "^": "Caret",
    "_": "Underscore",
    "|": "Or",
    "~": "Tilde",
}


@cache
def spelled(text: str) -> str:
    """Return an exported identifier for any text: its words, or its symbols' names."""
    if name := exported(text):
        return name
    if not text:
        return "Empty"
    return "".join(_SYMBOLS.get(char, f"U{ord(char):04X}") for char in text[:8])


def in_full(text: str) -> str:
    """Return an exported identifier that names the symbols too (``AMinusB``)."""
    parts = re.split(r"([^A-Za-z0-9])", text)
    return "".join(spelled(part) for part in parts if part)


def fields(json_names: Sequence[str], reserved: frozenset[str]) -> dict[str, str]:
    """Return the Go field name of each JSON name of one object.

    A field that would be called like a method of its struct has ``Field`` behind
    its name. Of names that Go spells alike (``jwksUri``, ``jwks_uri``) the one of
    letters and digits keeps the name, then the first in the order of characters.
    """
    chosen: dict[str, str] = {}
    taken = set(reserved)
    for json_name in _ranked(json_names):
        name = spelled(json_name)
        if name in reserved:
            name += "Field"
        chosen[json_name] = _free("", name, json_name, taken)
    return chosen


def _ranked(texts: Sequence[str]) -> list[str]:
    return sorted(dict.fromkeys(texts), key=lambda text: (not text.isalnum(), text))


def _free(prefix: str, short: str, text: str, taken: set[str]) -> str:
    """Return the first name for ``text`` that is free, and take it."""
    name = prefix + short
    if name in taken:
        name = prefix + in_full(text)
    if name in taken:
        name += digest(text)
    taken.add(name)
    return name


def constants(type_name: str, values: Sequence[str], taken: set[str]) -> dict[str, str]:
    """Return the value of each constant of an enum by name, marking names taken.

    Values that Go spells alike (``a-b``, ``a_b``) are told apart as fields are.
    """
    names = {
        value: _free(type_name, spelled(value), value, taken)
        for value in _ranked(values)
    }
    return {names[value]: value for value in dict.fromkeys(values)}
