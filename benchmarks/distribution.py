"""Distributions of times as a picture: the share of operations that take no longer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

Curve = list[tuple[float, int]]  # nanoseconds, and the percentage that takes no longer

LEFT, WIDTH, RIGHT = 60, 780, 20
TOP, PANEL, HEIGHT = 44, 190, 130
COLOURS = ("#777", "#1b5e9e", "#d0021b")
STYLE = """text{font:13px sans-serif;fill:#222}.small{font-size:11px;fill:#555}
.head{font-weight:bold}.grid{stroke:#ddd}.curve{fill:none;stroke-width:2}"""


@dataclass(frozen=True)
class Panel:
    """Curves by their names, which are the same in every panel of a picture."""

    title: str
    curves: Mapping[str, Curve]


def picture(panels: Sequence[Panel], label: str) -> str:
    """Return an SVG of the panels, one above the other, with one scale of time.

    ``label`` is for those who do not see it.
    """
    times = [
        ns for panel in panels for curve in panel.curves.values() for ns, _ in curve
    ]
    scale = Scale(min(times), max(times))
    width, height = LEFT + WIDTH + RIGHT, TOP + PANEL * len(panels)
    body = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"'
        f' aria-label="{label}">',
        f"<style>{STYLE}</style>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        *_legend(list(panels[0].curves)),
    ]
    for number, panel in enumerate(panels):
        body += _panel(TOP + PANEL * number, panel, scale)
    return "\n".join([*body, "</svg>", ""])


@dataclass(frozen=True)
class Scale:
    """Nanoseconds to places, by their logarithms."""

    least: float
    most: float

    def x(self, ns: float) -> float:
        """Return the place of a time."""
        share = math.log(ns / self.least) / math.log(self.most / self.least)
        return round(LEFT + WIDTH * share, 1)

    def ticks(self) -> Iterator[int]:
        """Yield the round times in the scale: 1, 2 and 5 times a power of ten."""
        for power in range(int(math.log10(self.least)), int(math.log10(self.most)) + 1):
            for digit in (1, 2, 5):
                tick: int = digit * 10**power
                if self.least <= tick <= self.most:
                    yield tick


def _time(ns: int) -> str:
    for unit, name in ((10**9, "s"), (10**6, "ms")):
        if ns >= unit:
            return f"{ns // unit} {name}"
    return f"{ns} ns"


def _legend(names: Sequence[str]) -> Iterator[str]:
    for number, (name, colour) in enumerate(zip(names, COLOURS, strict=False)):
        x = LEFT + 250 * number
        yield f'<line x1="{x}" x2="{x + 24}" y1="16" y2="16" stroke="{colour}" stroke-width="2"/>'
        yield f'<text x="{x + 30}" y="20">{name}</text>'


def _panel(top: int, panel: Panel, scale: Scale) -> Iterator[str]:
    bottom = top + 16 + HEIGHT
    yield f'<text class="head" x="{LEFT}" y="{top + 8}">{panel.title}</text>'
    for percent in (0, 50, 100):
        y = bottom - HEIGHT * percent / 100
        yield f'<line class="grid" x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{y:g}" y2="{y:g}"/>'
        yield f'<text class="small" x="{LEFT - 8}" y="{y + 4:g}" text-anchor="end">{percent} %</text>'
    for tick in scale.ticks():
        x = scale.x(tick)
        yield f'<line class="grid" x1="{x}" x2="{x}" y1="{bottom - HEIGHT}" y2="{bottom}"/>'
        yield f'<text class="small" x="{x}" y="{bottom + 14}" text-anchor="middle">{_time(tick)}</text>'
    for curve, colour in zip(panel.curves.values(), COLOURS, strict=False):
        points = " ".join(
            f"{scale.x(ns)},{bottom - HEIGHT * percent / 100:g}"
            for ns, percent in curve
        )
        yield f'<polyline class="curve" stroke="{colour}" points="{points}"/>'
