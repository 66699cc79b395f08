"""The golden projects in ``examples``: made from scratch, compared, rewritten.

An example is ``crds/``, ``answers.toml`` and, where it shows code of a user's,
``overlay/``: files that take the place of those a user would write.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import tomllib
from pathlib import Path

from scaffold import manifest, project

EXAMPLES = Path(__file__).parent.parent / "examples"


def names() -> list[str]:
    """Return the names of the examples."""
    return sorted(path.parent.name for path in EXAMPLES.glob("*/answers.toml"))


def build(name: str, dest: Path, **more: object) -> None:
    """Make the golden project of an example at ``dest``, a folder that is not there.

    ``more`` are answers beside those of the example.
    """
    example = EXAMPLES / name
    answers = tomllib.loads((example / "answers.toml").read_text("utf-8"))
    project.new(dest, [example / "crds"], {"project_name": name, **answers, **more})
    record = manifest.load(dest)
    assert record is not None
    for path in sorted((example / "overlay").rglob("*")):
        if path.is_file():
            relative = path.relative_to(example / "overlay").as_posix()
            assert relative not in record.generated, f"{relative} is generated"
            (dest / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, dest / relative)


def main() -> int:
    """Rewrite every golden project, or those named on the command line."""
    for name in sys.argv[1:] or names():
        golden = EXAMPLES / name / "golden"
        with tempfile.TemporaryDirectory(dir=EXAMPLES / name) as scratch:
            made = Path(scratch) / name
            build(name, made)
            shutil.rmtree(golden, ignore_errors=True)
            made.rename(golden)
        print(f"wrote {golden.relative_to(EXAMPLES.parent)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
