"""What a project says about itself: its answers file and the module line of go.mod."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from scaffold.errors import InputError, ProjectError
from scaffold.layout import HTTP_API, WEBHOOKS
from scaffold.plan import Change
from scaffold.watches import Watches, from_answers, merged, to_answers

ANSWERS = ".copier-answers.yml"
# The questions of copier.yml whose answers, unless empty, choose features.
OPTIONS = frozenset({"watches", WEBHOOKS, HTTP_API})

_ELEMENT = r"[A-Za-z0-9][A-Za-z0-9._~-]*"
_MODULE = re.compile(rf"{_ELEMENT}(/{_ELEMENT})*")
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,50}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one project.

    ``options`` holds the names of the features that were asked for, ``watches``
    the resources of others by kind; ``known_types`` says whether the types of
    Kubernetes are recognised in CRDs.
    """

    name: str
    module: str
    options: frozenset[str]
    watches: Watches
    known_types: bool


def load(project: Path) -> Settings:
    """Read the settings of ``project``. Raises :class:`ProjectError`."""
    answers = _answers(project / ANSWERS)
    name = str(answers.get("project_name", ""))
    if not _NAME.fullmatch(name):
        raise ProjectError(
            f"project_name {name!r} is no DNS label",
            where=str(project / ANSWERS),
            fix="set it to lower-case letters, digits and hyphens, 52 at most",
        )
    module = _module_line(project / "go.mod") or str(answers.get("module", ""))
    check_module(module, where=str(project / ANSWERS))
    options = frozenset(option for option in OPTIONS if answers.get(option))
    watches = from_answers(answers.get("watches"), where=str(project / ANSWERS))
    known_types = answers.get("known_types", True)
    if not isinstance(known_types, bool):
        raise ProjectError(
            f"known_types {known_types!r} is neither true nor false",
            where=str(project / ANSWERS),
            fix="set it to true, or to false for types of the project's own only",
        )
    return Settings(name, module, options, watches, known_types)


def add_watches(
    project: Path, settings: Settings, more: Watches
) -> tuple[Settings, list[Change]]:
    """Return the settings with more watches, and how the answers file says so."""
    watches = merged(settings.watches, more)
    if watches == settings.watches:
        return settings, []
    path = project / ANSWERS
    yaml = YAML()
    answers = yaml.load(path)
    answers["watches"] = to_answers(watches)
    text = io.BytesIO()
    yaml.dump(answers, text)
    changed = replace(settings, options=settings.options | {"watches"}, watches=watches)
    return changed, [Change(ANSWERS, path.read_bytes(), text.getvalue())]


def check_name(name: str) -> None:
    """Raise :class:`InputError` unless ``name`` can name Kubernetes objects."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} cannot name an operator: its objects need a DNS label",
            fix="choose a folder name of lower-case letters, digits and hyphens, "
            "52 at most, or give --name",
        )


def check_module(module: str, where: str | None = None) -> None:
    """Raise :class:`InputError` unless ``module`` is a Go module path."""
    if not _MODULE.fullmatch(module) or any(
        part.endswith(".") or part in ("internal", "vendor")
        for part in module.split("/")
    ):
        raise InputError(
            f"{module!r} is no Go module path",
            where=where,
            fix="give one such as github.com/acme/widget-operator",
        )


def _answers(path: Path) -> Mapping[str, object]:
    try:
        answers = YAML(typ="safe").load(path)
    except FileNotFoundError:
        raise ProjectError(
            f"no ctxscaffold project here: there is no {ANSWERS}",
            where=str(path.parent),
            fix="name the project's folder, or start one with ctxscaffold new",
        ) from None
    except (YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        raise ProjectError(
            "the answers file is not YAML (a merge conflict left in it?)",
            where=f"{path}:{mark.line + 1}" if mark else str(path),
            fix=f"restore it with git checkout -- {ANSWERS}",
        ) from error
    if not isinstance(answers, dict):
        raise ProjectError(
            "the answers file holds no table",
            where=str(path),
            fix=f"restore it with git checkout -- {ANSWERS}",
        )
    return answers


def _module_line(path: Path) -> str | None:
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError("go.mod cannot be read", where=str(path)) from error
    match = re.search(r'^module\s+"?([^\s"]+)"?', text, re.MULTILINE)
    if match is None:
        raise ProjectError(
            "go.mod has no module line",
            where=str(path),
            fix="add one: module github.com/acme/widget-operator",
        )
    return match[1]
