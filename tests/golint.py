"""gofmt, go vet and golangci-lint on every Go module of the repository.

The linters are the ones an emitted project has: same version, same settings.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from scaffold import resources

ROOT = Path(__file__).parent.parent
SKELETON = ROOT / "templates/project"


def modules() -> list[Path]:
    """Return the folders of the Go modules to lint, emitted ones included."""
    return [
        ROOT / "templates/runtime",
        ROOT / "templates/runtime/integration",
        ROOT / "tests/controlplane",
        ROOT / "tests/mutants",
        ROOT / "tests/oracle",
        *sorted(path.parent for path in ROOT.glob("examples/*/golden/go.mod")),
    ]


def tools() -> Path:
    """Return the go.mod that pins the tools, as an emitted project has it."""
    folder = resources.cache() / "tools"
    folder.mkdir(parents=True, exist_ok=True)
    text = (SKELETON / "tools/go.mod.jinja").read_text("utf-8")
    (folder / "go.mod").write_text(text.replace("{{ module }}", "example.com/lint"))
    (folder / "go.sum").write_bytes((SKELETON / "tools/go.sum").read_bytes())
    return folder / "go.mod"


def main() -> int:
    """Lint everything, print what is found, and return 1 if anything was."""
    modfile = tools()
    environment = os.environ | {"GOWORK": "off"}  # no workspace goes with -modfile
    failed = False
    for module in modules():
        name = module.relative_to(ROOT)
        for command in (
            ["gofmt", "-l", "."],
            ["go", "vet", "-tags", "integration", "./..."],
            [
                "go",
                "tool",
                f"-modfile={modfile}",
                "golangci-lint",
                "run",
                "--build-tags=integration",
                f"--config={SKELETON / '.golangci.yml'}",
            ],
        ):
            run = subprocess.run(
                command, cwd=module, env=environment, capture_output=True, text=True
            )
            if run.returncode != 0 or (command[0] == "gofmt" and run.stdout):
                failed = True
                print(f"{name}: {' '.join(command[:2])}\n{run.stdout}{run.stderr}")
        print(f"linted {name}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
