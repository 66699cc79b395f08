"""``--move OLD=NEW``: what the user wrote for OLD goes on as what is written for NEW.

OLD is a kind or a group whose CRDs are gone from crds/, and NEW, which came
there instead, takes its place: package, folder and files stay. Or both are Go
modules, the one that the project's files import and the one its go.mod names now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from scaffold.errors import ScaffoldError, UsageError, raise_all
from scaffold.places import Place, Places


@dataclass(frozen=True, slots=True)
class Moves:
    """The new kind of each old one, by ``Name.group``, and whether the module moves."""

    kinds: Mapping[str, str] = field(default_factory=dict)
    module: bool = False

    def check(self, present: Iterable[str]) -> None:
        """Raise :class:`UsageError` unless old kinds are gone and new ones there."""
        present = frozenset(present)
        errors: list[ScaffoldError] = []
        for old, new in self.kinds.items():
            if old in present:
                errors.append(
                    UsageError(
                        f"{old} is still defined in crds/",
                        fix=f"remove its CustomResourceDefinition before --move {old}={new}",
                    )
                )
            elif new not in present:
                errors.append(
                    UsageError(
                        f"crds/ has no kind {new} to move {old} to",
                        fix="add its CustomResourceDefinition, or give it with --crd",
                    )
                )
        raise_all(errors)

    def moved(self, places: Places) -> Places:
        """Return ``places`` with those of the old kinds given to the new ones."""
        kinds = {
            self.kinds.get(kind, kind): (
                Place(place.package, "", place.hub) if kind in self.kinds else place
            )
            for kind, place in places.kinds.items()
        }
        groups = dict(places.groups)
        left = {_group(kind) for kind in kinds}
        for old, new in self.kinds.items():
            if _group(old) not in left and _group(new) not in groups:
                groups[_group(new)] = groups.pop(_group(old))
        return Places(kinds, groups)


def parse(flags: Iterable[str]) -> dict[str, str]:
    """Read ``OLD=NEW`` of a command line. Raises :class:`UsageError`."""
    moves = {}
    for flag in flags:
        old, sign, new = flag.partition("=")
        if not (old and sign and new):
            raise UsageError(
                f"--move {flag} does not say what moves where",
                fix="give OLD=NEW: two kinds, two groups, or two Go modules",
            )
        moves[old] = new
    return moves


def resolve(
    moves: Mapping[str, str], places: Places, former: str, module: str
) -> Moves:
    """Find out what ``moves`` means, in a project whose files import ``former``.

    ``module`` is what its go.mod says. Raises :class:`UsageError` (or several).
    """
    kinds: dict[str, str] = {}
    errors: list[ScaffoldError] = []
    moves_module = False
    for old, new in moves.items():
        found = [kind for kind in places.kinds if old in (kind, kind.partition(".")[0])]
        if (old, new) == (former, module):
            moves_module = True
        elif old in places.groups:
            for kind in places.kinds:
                if _group(kind) == old:
                    kinds[kind] = f"{kind.partition('.')[0]}.{new}"
        elif len(found) == 1:
            kinds[found[0]] = new if "." in new else f"{new}.{_group(found[0])}"
        else:
            errors.append(
                UsageError(
                    f"--move {old}={new}: "
                    + (
                        f"{old} could mean {' or '.join(sorted(found))}"
                        if found
                        else f"there is no kind or group {old}, and the module does "
                        f"not change from {old} to {new}"
                    ),
                    fix="name what generate refuses to leave; a module after its new "
                    "name is in go.mod",
                )
            )
    for old, new in kinds.items():
        if new in places.kinds:
            errors.append(
                UsageError(
                    f"{new} has a place of its own already, that of {old} is another",
                    fix=f"move your code by hand, then run generate --drop {old}",
                )
            )
    raise_all(errors)
    return Moves(kinds, moves_module)


def _group(kind: str) -> str:
    return kind.partition(".")[2]
