"""Losing the lease, five times in each way, beside plain managers on a real API server.

What is asserted is in which order things happen, and why; how long they take is for
``make soak``, which does the same in the full counts and writes docs/leadership.md.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from benchmarks.leadership.bars import bars, instrument, times
from benchmarks.leadership.page import page
from benchmarks.leadership.report import SHORT, Report, measure
from benchmarks.leadership.timeline import picture
from scaffold import resources
from scaffold.controlplane import ensure_built

pytestmark = [pytest.mark.golang, pytest.mark.controlplane]


@pytest.fixture(scope="module")
def report() -> Report:
    ensure_built(print)
    return Report.read(measure(SHORT))


def test_every_bar_holds(report: Report) -> None:
    broken = [str(bar) for bar in bars(report, SHORT) if not bar.holds]
    assert not broken, "\n".join(broken)


def test_the_measurement_sees_what_plain_managers_do(report: Report) -> None:
    blind = [str(bar) for bar in instrument(report) if not bar.holds]
    assert not blind, "\n".join(blind)


def test_page_and_picture(report: Report) -> None:
    """What the page says is in the report, and the picture is well-formed."""
    held = bars(report, SHORT)
    text = page(report, held, "leadership.svg")
    assert all(bar.claim in text and bar.found in text for bar in held)
    assert str(resources.root()) not in text
    lines = {
        mode: series.outcomes[0].lines
        for mode, series in report.incidents["steal"].items()
    }
    drawn = ET.fromstring(picture(lines))
    kinds = [
        path.get("class") for path in drawn.iter("{http://www.w3.org/2000/svg}path")
    ]
    assert kinds.count("commit") == 4, "both leaders of both modes write"
    assert kinds.count("split") == 1, "of plain managers alone, two write at a time"


def test_every_bar_can_break(report: Report) -> None:
    incidents = {
        name: {
            mode: replace(
                series,
                outcomes=tuple(
                    replace(
                        outcome,
                        ended=1e5,
                        led=1e6,
                        sent=1,
                        beyond=1,
                        overlap=0 if mode == "plain" else 1,
                        reelected=False,
                        why="",
                        taken_from="somebody",
                    )
                    for outcome in series.outcomes
                ),
            )
            for mode, series in modes.items()
        }
        for name, modes in report.incidents.items()
    }
    bad = report.transitions | {
        "terms": 0,
        "restarts": 1,
        "reads": {"500": 1},
        "writes": {"500": 1},
        "after": [
            {name: 10 * count for name, count in counts.items()}
            for counts in report.transitions["before"]
        ],
    }
    killing = report.killing | {"kills": 0, "twoWriters": 1, "unreconciled": 1}
    spoiled = replace(report, incidents=incidents, transitions=bad, killing=killing)
    held = [
        str(bar)
        for bar in (*bars(spoiled, SHORT), *times(spoiled), *instrument(spoiled))
        if bar.holds
    ]
    assert not held, "\n".join(held)
