"""The periods in a project's manifest: reconcile < shutdown < the pod's grace period.

The operator derives and checks them when it starts (``runtime/manager``). Here
the same is asked of ``config/manager/manager.yaml``, which is the user's, before
it is ever deployed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from scaffold.crd.document import parse
from scaffold.errors import ProjectError

MANIFEST = "config/manager/manager.yaml"
# What a merge leaves in a file that two have changed.
CONFLICT = re.compile(rb"^<<<<<<< ", re.MULTILINE)
# As in runtime/manager/settings.go.
_MARGIN = 5.0
_RECONCILE = 20.0
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(h|ms|us|ns|m|s)")


def check(project: Path) -> None:
    """Raise :class:`ProjectError` if an operator so deployed would be cut off.

    What is no YAML is an :class:`scaffold.errors.InputError`.
    A project without that manifest, or without arguments in it, has nothing to
    check. Nor has one whose manifest an update left in conflict: what follows from
    the CRDs must not wait for that.
    """
    path = project / MANIFEST
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return
    if CONFLICT.search(raw):
        return
    documents = [one.data for one in parse(str(path), raw)]
    for pod in _pods(documents):
        _check_pod(pod, path, raw.decode())


def _check_pod(pod: Mapping[str, object], path: Path, text: str) -> None:
    grace = pod.get("terminationGracePeriodSeconds", 30)
    for flags in _flags(pod):
        if "pod-grace" not in flags or not isinstance(grace, int):
            continue

        def seconds(name: str, flags: Mapping[str, str] = flags) -> float:
            return _seconds(flags.get(name, "0s"), f"--{name}", path, text)

        told = seconds("pod-grace")
        if told != grace:
            raise ProjectError(
                f"--pod-grace={flags['pod-grace']} is not the pod's "
                f"terminationGracePeriodSeconds, which is {grace}",
                where=_where(path, text, "--pod-grace"),
                fix="give both the same value",
            )
        work = (seconds("reconcile-timeout") or _RECONCILE) + seconds("drain-delay")
        shutdown = seconds("shutdown-timeout") or work + _MARGIN
        if work >= shutdown:
            raise ProjectError(
                f"a reconcile of {work:g} s (with --drain-delay) does not fit into "
                f"--shutdown-timeout={flags['shutdown-timeout']}",
                where=_where(path, text, "--shutdown-timeout"),
                fix="raise --shutdown-timeout, or leave it out to have it derived",
            )
        if shutdown >= grace:
            raise ProjectError(
                f"a shutdown of {shutdown:g} s does not fit into the pod's grace "
                f"period of {grace} s",
                where=_where(path, text, "terminationGracePeriodSeconds"),
                fix=f"raise terminationGracePeriodSeconds and --pod-grace to "
                f"{int(-(-(shutdown + _MARGIN) // 1))} s, or lower --reconcile-timeout",
            )


def _pods(documents: list[object]) -> Iterator[Mapping[str, object]]:
    for document in documents:
        value: object = document
        for key in ("spec", "template", "spec"):
            value = value.get(key) if isinstance(value, dict) else None
        if isinstance(value, dict):
            yield value


def _flags(pod: Mapping[str, object]) -> Iterator[dict[str, str]]:
    """Yield the ``--name=value`` arguments of each container."""
    containers = pod.get("containers")
    for container in containers if isinstance(containers, list) else ():
        arguments = container.get("args") if isinstance(container, dict) else None
        pairs = (str(one).lstrip("-").partition("=") for one in arguments or ())
        yield {name: value for name, _, value in pairs}


def _seconds(text: str, flag: str, path: Path, manifest: str) -> float:
    parts = _PART.findall(text)
    if text != "0" and (not parts or "".join(a + b for a, b in parts) != text):
        raise ProjectError(
            f"{flag}={text} is no duration",
            where=_where(path, manifest, flag),
            fix="write it as Go does: 90s, 1m30s",
        )
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def _where(path: Path, text: str, needle: str) -> str:
    for number, line in enumerate(text.splitlines(), 1):
        if needle in line.partition("#")[0]:
            return f"{path}:{number}"
    return str(path)
