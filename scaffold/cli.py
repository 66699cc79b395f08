"""The command line. The only module that prints or chooses an exit code.

Handlers import what they need when they run, so that ``--help`` stays cheap
and ``generate`` never loads copier.
"""

from __future__ import annotations

import argparse
import errno
import io
import json
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaffold import __version__
from scaffold.errors import ScaffoldError, Several, StaleError, UsageError

if TYPE_CHECKING:
    from scaffold.generate import Outcome

Handler = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 refused or failed, 2 misused."""
    for stream in (sys.stdout, sys.stderr):  # a locale may lack what a CRD says
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminated)  # so that what was begun is undone
    as_json = getattr(options, "json", False)
    try:
        handler: Handler = options.handler
        return handler(options)
    except ScaffoldError as error:
        return _report(error, as_json)
    except KeyboardInterrupt:
        print("ctxscaffold: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except ModuleNotFoundError as error:
        return _report(
            ScaffoldError(
                f"the Python package {error.name} is missing",
                fix="install ctxscaffold into the environment of copier: "
                "pip install ctxscaffold, or pipx inject copier ctxscaffold",
            ),
            as_json,
        )
    except OSError as error:
        if os.environ.get("CTXSCAFFOLD_DEBUG"):
            raise
        return _report(_refused(error), as_json)
    except Exception as error:
        if os.environ.get("CTXSCAFFOLD_DEBUG"):
            raise
        return _report(
            ScaffoldError(
                f"internal fault: {type(error).__name__}: {error}",
                fix="report it with the CRD; CTXSCAFFOLD_DEBUG=1 shows where it is",
            ),
            as_json,
        )


def _terminated(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


def _refused(error: OSError) -> ScaffoldError:
    """Return what the operating system did not do as a fault with a next step."""
    fixes = {
        errno.ENOSPC: "make room there, or set TMPDIR or CTXSCAFFOLD_CACHE to a folder "
        "with more",
        errno.EDQUOT: "make room there, or set TMPDIR or CTXSCAFFOLD_CACHE to a folder "
        "with more",
        errno.ENOENT: "see what is there; git status shows whether it was taken away",
        errno.EMFILE: "raise ulimit -n",
    }
    denied = "see who may read and write it, and what it is, with ls -ld"
    return ScaffoldError(
        f"the system says: {error.strerror or error}",
        where=str(error.filename2 or error.filename or "") or None,
        fix=fixes.get(error.errno or 0, denied),
    )


def _report(error: ScaffoldError, as_json: bool) -> int:
    errors = error.errors if isinstance(error, Several) else (error,)
    if as_json:
        found = [{"what": e.what, "where": e.where, "fix": e.fix} for e in errors]
        print(json.dumps({"errors": found}, indent=2))
    else:
        for one in errors:
            print(f"ctxscaffold: {one}", file=sys.stderr)
    return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ctxscaffold",
        description="From CustomResourceDefinitions to a context-safe Go operator, "
        "and back again after every CRD change.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    new = _command(commands, "new", _new, "start an operator from CRDs")
    new.add_argument("dest", type=Path, metavar="DEST", help="folder to make")
    new.add_argument(
        "--crd",
        action="append",
        required=True,
        metavar="PATH",
        help="a CRD file or a folder of them, - for standard input; repeatable",
    )
    new.add_argument(
        "--module", metavar="PATH", help="Go module path (default: example.com/NAME)"
    )
    new.add_argument("--name", help="name of the operator (default: the folder's)")
    _watch(new)
    new.add_argument(
        "--no-known-types",
        action="store_true",
        help="make types of the project's own where a schema is that of a type of "
        "Kubernetes, such as metav1.Condition",
    )
    new.add_argument(
        "--no-webhooks",
        action="store_true",
        help="leave out the defaulting and validating webhooks",
    )
    new.add_argument(
        "--http-api",
        action="store_true",
        help="serve the objects of every kind, and routes of your own, by HTTP",
    )
    new.add_argument(
        "--tenancy",
        action="store_true",
        help="take namespaces for tenants, and keep the objects of one from the time "
        "and the workers of others",
    )

    generate = _command(
        commands, "generate", _generate, "bring the derived files in line with crds/"
    )
    _directory(generate)
    generate.add_argument(
        "--crd",
        action="append",
        default=[],
        metavar="PATH",
        help="copy this CRD file or folder into crds/ first, - for standard input; "
        "repeatable",
    )
    generate.add_argument(
        "--check", action="store_true", help="write nothing; fail if anything is stale"
    )
    generate.add_argument(
        "--diff", action="store_true", help="write nothing; print what would change"
    )
    generate.add_argument(
        "--drop",
        action="append",
        default=[],
        metavar="KIND|PATH",
        help="move user files aside that have lost their place: those of a kind that "
        "is gone, or what is at a path; repeatable",
    )
    generate.add_argument(
        "--move",
        action="append",
        default=[],
        metavar="OLD=NEW",
        help="let a kind or group take the place of one that is gone, with the user's "
        "files, or rewrite imports after go.mod has another module line; repeatable",
    )
    generate.add_argument(
        "--overwrite",
        action="store_true",
        help="give up edits that were made to generated files",
    )
    generate.add_argument(
        "--json", action="store_true", help="print the result as JSON"
    )
    _watch(generate)

    update = _command(
        commands, "update", _update, "merge the newest skeleton into the project"
    )
    _directory(update)

    check = _command(
        commands, "check", _check, "nothing stale, go build and go vet pass"
    )
    _directory(check)

    verify = _command(
        commands, "verify", _verify, "controller-gen agrees with what was generated"
    )
    _directory(verify)

    inspect = _command(commands, "inspect", _inspect, "say what is understood of CRDs")
    inspect.add_argument(
        "crd",
        nargs="+",
        metavar="CRD",
        help="a CRD file or a folder of them, - for standard input",
    )
    inspect.add_argument("--json", action="store_true", help="print it as JSON")

    _command(
        commands, "demo", _demo, "an operator from a CRD at work on a real API server"
    )

    controlplane = _command(
        commands,
        "controlplane",
        _controlplane,
        "build or run kube-apiserver, etcd and the controller manager",
    )
    controlplane.add_argument(
        "arguments",
        nargs=argparse.REMAINDER,
        metavar="build | assets | run | exec",
        help="handed on; try: ctxscaffold controlplane run -h",
    )
    return parser


def _command(
    commands: Any, name: str, handler: Handler, purpose: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=purpose, description=purpose[0].upper() + purpose[1:] + "."
    )
    parser.set_defaults(handler=handler)
    return parser


def _directory(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "dir",
        nargs="?",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="the project's folder (default: this one)",
    )


def _watch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--watch",
        action="append",
        default=[],
        metavar="KIND=APIVERSION/RESOURCE",
        help="let changes of a resource that is not the operator's own wake a kind, "
        "such as Widget=apps/v1/deployments; repeatable, kept in the settings",
    )


def _new(options: argparse.Namespace) -> int:
    from scaffold import project, settings, watches
    from scaffold.crd.inspect import without_ready

    dest: Path = options.dest
    name = options.name or dest.absolute().name
    settings.check_name(name)
    module = options.module or f"example.com/{name}"
    settings.check_module(module)
    outcome = project.new(
        dest,
        _sources(options.crd),
        {
            "project_name": name,
            "module": module,
            "watches": watches.to_answers(watches.from_flags(options.watch)),
            "known_types": not options.no_known_types,
            "webhooks": not options.no_webhooks,
            "http_api": options.http_api,
            "tenancy": options.tenancy,
        },
    )
    kinds = ", ".join(f"{kind.kind}.{kind.group}" for kind in outcome.kinds)
    print(f"made {dest}: {kinds}")
    for line in without_ready(outcome.kinds):
        print(f"note: {line}")
    print(f"next: cd {shlex.quote(str(dest))} && make test")
    return 0


def _generate(options: argparse.Namespace) -> int:
    from scaffold import moves
    from scaffold.generate import generate, unified_diff
    from scaffold.watches import from_flags

    outcome = generate(
        options.dir,
        add=_sources(options.crd),
        drop=options.drop,
        move=moves.parse(options.move),
        overwrite=options.overwrite,
        write=not (options.check or options.diff),
        watches=from_flags(options.watch),
    )
    if options.json:
        print(json.dumps(_as_json(outcome), indent=2))
    elif options.diff:
        sys.stdout.writelines(unified_diff(outcome.visible))
    else:
        _print_changes(outcome, options.check)
    if options.check and outcome.changes:
        if options.json:
            return 1
        raise StaleError(
            f"{len(outcome.visible) or 1} files are not what crds/ asks for",
            where=str(options.dir),
            fix="run ctxscaffold generate and commit what it writes",
        )
    return 0


def _update(options: argparse.Namespace) -> int:
    from scaffold import project

    conflicts = project.update(options.dir)
    for path in conflicts:
        print(f"conflict: {path}")
    if conflicts:
        raise ScaffoldError(
            f"{len(conflicts)} files were changed both by you and by the template",
            where=str(options.dir),
            fix="settle the marked lines, then run ctxscaffold generate and commit",
        )
    print("up to date")
    return 0


def _check(options: argparse.Namespace) -> int:
    from scaffold.check import check

    for step in check(options.dir):
        print(f"ok: {step}", flush=True)
    return 0


def _verify(options: argparse.Namespace) -> int:
    from scaffold.verify import verify

    for step in verify(options.dir):
        print(f"ok: {step}", flush=True)
    return 0


def _inspect(options: argparse.Namespace) -> int:
    from dataclasses import asdict

    from scaffold.crd.inspect import inspect, without_ready
    from scaffold.crd.read import read

    kinds = read(_sources(options.crd))
    reports = [inspect(kind) for kind in kinds]
    if options.json:
        print(json.dumps([asdict(report) for report in reports], indent=2))
        return 0
    from scaffold.table import table

    head = ("kind", "version", "fields", "known types", "with helpers", "exact")
    rows = [
        (
            f"{report.kind}.{report.group}",
            version.name + (" (stored)" if version.storage else ""),
            str(version.fields),
            _counts(version.known_types),
            _counts(version.similar_types),
            "yes" if report.exact else "with a patch",
        )
        for report in reports
        for version in report.versions
    ]
    print(table(head, rows))
    for line in without_ready(kinds):
        print(f"note: {line}")
    for report in reports:
        for construct in report.constructs:
            print(
                f"{construct.where}: {construct.path}: no Go type says it, "
                f"{_CHANGES[construct.change]} by patch"
            )
        if report.restored:
            print(
                f"{report.where}: {report.kind}: the patch also restores, in places, "
                f"{_counts(report.restored)}, which changes no behaviour"
            )
    return 0


_CHANGES = {"add": "added", "remove": "removed", "replace": "replaced"}


def _counts(pairs: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {count}x" for name, count in pairs) or "-"


def _demo(options: argparse.Namespace) -> int:
    from scaffold.demo import Demo
    from scaffold.table import table

    begun = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - begun:6.1f} s] {line}", file=sys.stderr)

    demo = Demo(say)
    demo.run()
    print()
    rows = [(row.step, row.seen, f"{row.seconds:.1f}") for row in demo.rows]
    print(table(("step", "what was seen", "seconds"), rows))
    return 0


def _controlplane(options: argparse.Namespace) -> int:
    from scaffold import controlplane

    controlplane.main(options.arguments, lambda line: print(line, file=sys.stderr))


def _sources(paths: Sequence[str]) -> list[Path | bytes]:
    if list(paths).count("-") > 1:
        raise UsageError(
            "standard input (-) can be given once", fix="send all CRDs in one stream"
        )
    return [sys.stdin.buffer.read() if path == "-" else Path(path) for path in paths]


def _verb(old: bytes | None, new: bytes | None) -> str:
    if old is None:
        return "create"
    return "delete" if new is None else "update"


def _as_json(outcome: Outcome) -> dict[str, object]:
    return {
        "kinds": [f"{kind.kind}.{kind.group}" for kind in outcome.kinds],
        "changes": [
            {"path": change.path, "action": _verb(change.old, change.new)}
            for change in outcome.visible
        ],
        "left": list(outcome.beside),
    }


def _print_changes(outcome: Outcome, check: bool) -> None:
    from scaffold import sources
    from scaffold.crd.inspect import without_ready

    for change in outcome.visible:
        print(f"{_verb(change.old, change.new)} {change.path}")
    for path in outcome.beside:
        print(f"left {path}: yours, though nothing goes with it any more")
    for line in without_ready(outcome.kinds):
        print(f"note: {line}")
    for path in outcome.passed_over:
        print(f"note: {sources.not_read(path)}")
    if not outcome.kinds:
        print("crds/ holds no CustomResourceDefinition yet")
    elif not outcome.changes:
        print("nothing to do" if not check else "current")
