"""The one hierarchy of errors a user can meet.

Every error says what is wrong, where (``file:line`` when there is one) and
what to do next. Only :mod:`scaffold.cli` prints them.
"""

from __future__ import annotations

from collections.abc import Iterable


class ScaffoldError(Exception):
    """A fault the user can mend.

    ``what`` is one sentence without a final full stop, ``where`` is a path or
    ``path:line``, ``fix`` is the next step, usually a command.
    """

    exit_code = 1

    def __init__(self, what: str, *, fix: str, where: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n  fix: {self.fix}" if self.fix else text


class InputError(ScaffoldError):
    """A CRD, or a file that should hold one, that cannot be used."""


class OwnershipError(ScaffoldError):
    """Writing would lose something a person wrote."""


class StaleError(ScaffoldError):
    """The tree is not what ``ctxscaffold generate`` would make of its CRDs."""


class ProjectError(ScaffoldError):
    """The folder is no ctxscaffold project, or its settings do not hold."""


class ToolError(ScaffoldError):
    """An external program (go, gofmt, git) is missing, too old, or failed."""


class UsageError(ScaffoldError):
    """The command line asks for something that makes no sense."""

    exit_code = 2


class Several(ScaffoldError):
    """Several faults found in one pass, reported together in input order."""

    def __init__(self, errors: Iterable[ScaffoldError]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(str(error) for error in self.errors), fix="")

    def __str__(self) -> str:
        return self.what


def raise_all(errors: list[ScaffoldError]) -> None:
    """Raise what was collected: nothing, the one error, or :class:`Several`."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise Several(errors)
