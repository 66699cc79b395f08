"""Leadership lost, beside controller-runtime's manager, in one run."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.leadership.bars import bars, instrument, times
from benchmarks.leadership.page import page
from benchmarks.leadership.report import FULL, SHORT, Report, measure
from benchmarks.leadership.timeline import picture


def main() -> int:
    """Measure, judge and, with ``--page``, write the page and its picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="five of each")
    parser.add_argument(
        "--page", type=Path, help="write the results to this page, the picture beside"
    )
    parser.add_argument("--report", type=Path, help="keep what was measured, as JSON")
    parser.add_argument("--read", type=Path, help="read such JSON, measure nothing")
    options = parser.parse_args()
    plan = SHORT if options.short else FULL
    text = options.read.read_text("utf-8") if options.read else measure(plan)
    if options.report:
        options.report.write_text(text, "utf-8")
    report = Report.read(text)
    held = [*bars(report, plan), *times(report), *instrument(report)]
    print("\n".join(map(str, held)))
    broken = sum(not bar.holds for bar in held)
    if broken:
        print(f"{broken} broken; no page is written", file=sys.stderr)
        return 1
    if options.page:
        drawn = options.page.with_suffix(".svg")
        first = {
            mode: series.outcomes[0].lines
            for mode, series in report.incidents["steal"].items()
        }
        drawn.write_text(picture(first), "utf-8")
        options.page.write_text(page(report, held, drawn.name), "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
