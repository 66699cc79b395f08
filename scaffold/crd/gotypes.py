"""Go types as far as their printing and their copying need them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

METAV1 = "k8s.io/apimachinery/pkg/apis/meta/v1"
RUNTIME = "k8s.io/apimachinery/pkg/runtime"
INTSTR = "k8s.io/apimachinery/pkg/util/intstr"
RESOURCE = "k8s.io/apimachinery/pkg/api/resource"
APIEXTENSIONS = "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
COREV1 = "k8s.io/api/core/v1"
APPSV1 = "k8s.io/api/apps/v1"
AUTOSCALINGV2 = "k8s.io/api/autoscaling/v2"
BATCHV1 = "k8s.io/api/batch/v1"
NETWORKINGV1 = "k8s.io/api/networking/v1"
POLICYV1 = "k8s.io/api/policy/v1"
RBACV1 = "k8s.io/api/rbac/v1"
# Import path -> name used in types files.
ALIASES = {
    METAV1: "metav1",
    RUNTIME: "runtime",
    INTSTR: "intstr",
    RESOURCE: "resource",
    APIEXTENSIONS: "apiextensionsv1",
    COREV1: "corev1",
    APPSV1: "appsv1",
    AUTOSCALINGV2: "autoscalingv2",
    BATCHV1: "batchv1",
    NETWORKINGV1: "networkingv1",
    POLICYV1: "policyv1",
    RBACV1: "rbacv1",
}


class Copying(Enum):
    """How controller-gen copies a value of another package's type.

    It does not see methods that are generated themselves, only written ones.
    """

    SHALLOW = "a struct for which assignment is enough"
    STRUCT = "a struct with generated methods"
    METHOD = "a written DeepCopyInto with a pointer receiver"
    VALUE_METHOD = "a written DeepCopy with a value receiver"


@dataclass(frozen=True, slots=True)
class Basic:
    """A predeclared type: string, bool, int32, float64, …"""

    name: str

    def __str__(self) -> str:
        """Return the type as it is written in Go."""
        return self.name


@dataclass(frozen=True, slots=True)
class External:
    """A type of another package."""

    path: str
    name: str
    copying: Copying = Copying.STRUCT

    def __str__(self) -> str:
        """Return the type as it is written in Go."""
        return f"{ALIASES[self.path]}.{self.name}"


@dataclass(frozen=True, slots=True)
class Slice:
    """``[]elem``."""

    elem: GoType

    def __str__(self) -> str:
        """Return the type as it is written in Go."""
        return f"[]{self.elem}"


@dataclass(frozen=True, slots=True)
class Map:
    """``map[string]elem``."""

    elem: GoType

    def __str__(self) -> str:
        """Return the type as it is written in Go."""
        return f"map[string]{self.elem}"


@dataclass(frozen=True, slots=True)
class Pointer:
    """``*elem``."""

    elem: GoType

    def __str__(self) -> str:
        """Return the type as it is written in Go."""
        return f"*{self.elem}"


@dataclass(slots=True, eq=False)
class Struct:
    """A struct type declared in the package; its fields come as (name, type).

    An object has DeepCopyObject, an open one has JSON methods of its own.
    """

    name: str
    fields: list[tuple[str, GoType]] = field(default_factory=list)
    is_object: bool = False
    is_open: bool = False

    def __str__(self) -> str:
        """Return the type as it is written in Go."""
        return self.name


@dataclass(frozen=True, slots=True)
class Named:
    """A type declared in the package on top of another that is no struct."""

    name: str
    underlying: GoType

    def __str__(self) -> str:
        """Return the type as it is written in Go."""
        return self.name


GoType = Basic | External | Slice | Map | Pointer | Struct | Named

STRING = Basic("string")
BOOL = Basic("bool")
BYTES = Slice(Basic("byte"))
TIME = External(METAV1, "Time", Copying.METHOD)
TYPE_META = External(METAV1, "TypeMeta", Copying.SHALLOW)
OBJECT_META = External(METAV1, "ObjectMeta")
LIST_META = External(METAV1, "ListMeta")
CONDITION = External(METAV1, "Condition")
QUANTITY = External(RESOURCE, "Quantity", Copying.VALUE_METHOD)
INT_OR_STRING = External(INTSTR, "IntOrString", Copying.SHALLOW)
JSON = External(APIEXTENSIONS, "JSON")
RAW_EXTENSION = External(RUNTIME, "RawExtension")


def specs(aliases: set[str]) -> tuple[str, ...]:
    """Return the import specs of packages that are used by these names."""
    return tuple(
        f'{alias} "{path}"'
        for path, alias in sorted(ALIASES.items())
        if alias in aliases
    )


def underlying(go: GoType) -> GoType:
    """Return what a named type is in the end."""
    while isinstance(go, Named):
        go = go.underlying
    return go


def is_reference(go: GoType) -> bool:
    """Whether values of the type can be nil."""
    return isinstance(underlying(go), Slice | Map | Pointer)


def imports(go: GoType) -> set[str]:
    """Return the import paths that writing the type needs."""
    inner = innermost(go)
    return {inner.path} if isinstance(inner, External) else set()


def foreign(go: GoType) -> list[str]:
    """Return the type of another package that a type is made of, if there is one."""
    inner = innermost(go)
    return [str(inner)] if isinstance(inner, External) else []


def innermost(go: GoType) -> GoType:
    """Return what lists, maps and pointers are of."""
    while isinstance(go, Slice | Map | Pointer):
        go = go.elem
    return go
