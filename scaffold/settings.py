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
from scaffold.layout import HTTP_API, TENANCY, WEBHOOKS
from scaffold.plan import Change
from scaffold.watches import Watches, from_answers, merged, to_answers

ANSWERS = ".copier-answers.yml"
# The questions of copier.yml that turn a feature on or off.
_SWITCHES = (WEBHOOKS, HTTP_API, TENANCY)

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
    options = {name for name in _SWITCHES if _switch(project, answers, name, False)}
    watches = from_answers(answers.get("watches"), where=str(project / ANSWERS))
    if watches:
        options.add("watches")
    known_types = _switch(project, answers, "known_types", True)
    return Settings(name, module, frozenset(options), watches, known_types)


def changed(
    project: Path, settings: Settings, more: Watches, *, new_module: bool = False
) -> tuple[Settings, list[Change]]:
    """Return the settings with more watches, and how the answers file says so.

    With ``new_module`` it is also to say what go.mod does.
    """
    watches = merged(settings.watches, more)
    if watches == settings.watches and not new_module:
        return settings, []
    path = project / ANSWERS
    yaml = YAML()
    answers = yaml.load(path)
    if watches != settings.watches:
        answers["watches"] = to_answers(watches)
    if new_module:
        answers["module"] = settings.module
    text = io.BytesIO()
    yaml.dump(answers, text)
    if watches:
        options = settings.options | {"watches"}
        settings = replace(settings, options=options, watches=watches)
    return settings, [Change(ANSWERS, path.read_bytes(), text.getvalue())]


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


def _switch(
    project: Path, answers: Mapping[str, object], name: str, default: bool
) -> bool:
    """Return an answer that is true or false; ``default`` where there is none."""
    value = answers.get(name, default)
    if not isinstance(value, bool):
        raise ProjectError(
            f"{name} {value!r} is neither true nor false",
            where=str(project / ANSWERS),
            fix="set it to one of the two",
        )
    return value


def _module_line(path: Path) -> str | None:
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(
            "go.mod cannot be read",
            where=str(path),
            fix="see what is there with ls -l; git checkout -- go.mod brings it back",
        ) from error
    match = re.search(r'^module\s+"?([^\s"]+)"?', text, re.MULTILINE)
    if match is None:
        raise ProjectError(
            "go.mod has no module line",
            where=str(path),
            fix="add one: module github.com/acme/widget-operator",
        )
    return match[1]
