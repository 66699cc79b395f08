"""Keep what the skeleton was in each of its revisions, for updates from them.

A revision that was committed stays as it is: a skeleton that differs from it is the
next one.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from scaffold import resources, skeleton


def committed(path: Path) -> bool:
    """Report whether a file is in the repository's last commit."""
    shown = subprocess.run(
        ["git", "cat-file", "-e", f"HEAD:{path.relative_to(resources.root())}"],
        cwd=resources.root(),
        capture_output=True,
    )
    return shown.returncode == 0


def main() -> int:
    """Keep the present skeleton, under the next number if there is one already."""
    root, number = resources.root(), skeleton.revision()
    if skeleton.kept(number) == skeleton.present():
        return 0
    if committed(root / skeleton.archive(number)):
        number += 1
        question = root / "copier.yml"
        text = question.read_text("utf-8")
        counted = re.sub(
            r"(?m)(^skeleton:\n(?:  .*\n)*?  default: )\d+$", rf"\g<1>{number}", text
        )
        question.write_text(counted, "utf-8")
    path = root / skeleton.archive(number)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(skeleton.pack(skeleton.present()))
    print(f"kept skeleton {number}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
