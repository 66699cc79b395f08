"""One steal as a picture: who leads, and who writes, when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from benchmarks.leadership.report import Line

BEGIN, END = -500.0, 2750.0  # milliseconds from the steal
LEFT, WIDTH, RIGHT = 150, 690, 20
LANE, GAP, TOP, PANEL = 30, 10, 58, 132
TITLES = {
    "plain": "controller-runtime's manager",
    "ours": "this runtime",
}
LANES = {"former": "former leader", "next": "next leader"}
STYLE = """text{font:13px sans-serif;fill:#222}.small{font-size:11px;fill:#555}
.head{font-weight:bold}.term{fill:#cfe3f7}.commit{stroke:#1b5e9e;stroke-width:1}
.split{stroke:#d0021b;stroke-width:1.5}.grid{stroke:#ddd}.steal{stroke:#d0021b;stroke-dasharray:4 3}"""


def picture(lines: Mapping[str, Sequence[Line]]) -> str:
    """Return an SVG of the lines of one steal by mode."""
    height = TOP + PANEL * len(TITLES) + 24
    width = LEFT + WIDTH + RIGHT
    body = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"'
        ' aria-label="One steal of the lease, controller-runtime\'s manager above this runtime">',
        f"<style>{STYLE}</style>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        *_axis(height),
    ]
    for number, (mode, title) in enumerate(TITLES.items()):
        body += _panel(TOP + PANEL * number, title, lines[mode])
    return "\n".join([*body, "</svg>", ""])


def _x(at: float) -> float:
    return round(LEFT + WIDTH * (at - BEGIN) / (END - BEGIN), 1)


def _axis(height: int) -> Iterator[str]:
    bottom = height - 24
    for at in range(int(BEGIN), int(END), 500):
        x = _x(at)
        yield f'<line class="grid" x1="{x}" x2="{x}" y1="{TOP - 12}" y2="{bottom}"/>'
        yield f'<text class="small" x="{x}" y="{bottom + 16}" text-anchor="middle">{at / 1000:g} s</text>'
    x = _x(0)
    yield f'<line class="steal" x1="{x}" x2="{x}" y1="24" y2="{bottom}"/>'
    yield f'<text x="{x}" y="18" text-anchor="middle">the lease is stolen</text>'
    for column, (kind, text) in enumerate(
        (
            ("commit", "a write, as committed"),
            ("split", "one after the next leader's first"),
        )
    ):
        x = LEFT + WIDTH - 350 + 160 * column
        yield f'<line class="{kind}" x1="{x}" x2="{x}" y1="26" y2="38"/>'
        yield f'<text class="small" x="{x + 6}" y="36">{text}</text>'


def _panel(top: int, title: str, lines: Sequence[Line]) -> Iterator[str]:
    yield f'<text class="head" x="10" y="{top + 12}">{title}</text>'
    first = min(
        (line.at for line in lines if line.who == "next" and line.what == "commit"),
        default=END,
    )
    for number, (who, name) in enumerate(LANES.items()):
        y = top + 24 + (LANE + GAP) * number
        yield f'<text x="10" y="{y + LANE / 2 + 4:g}">{name}</text>'
        mine = [line for line in lines if line.who == who]
        begin = max(BEGIN, min(line.at for line in mine if line.what == "begin"))
        seen = max(line.at for line in mine)  # a term that goes on is seen until here
        over = [line.at for line in mine if line.what == "end"]
        end = min(END, over[0] if over else seen)
        yield (
            f'<rect class="term" x="{_x(begin)}" y="{y}" width="{round(_x(end) - _x(begin), 1)}" height="{LANE}">'
            f"<title>{_until(over)}</title></rect>"
        )
        commits = sorted(line.at for line in mine if line.what == "commit")
        split = [at for at in commits if who == "former" and at > first]
        for kind, times in (("commit", set(commits) - set(split)), ("split", split)):
            places = {_x(at) for at in times if BEGIN <= at <= END}
            marks = "".join(f"M{x:g} {y + 4}v{LANE - 8}" for x in sorted(places))
            if marks:
                yield f'<path class="{kind}" d="{marks}"/>'


def _until(over: list[float]) -> str:
    return f"led until {over[0]:.0f} ms after the steal" if over else "leads on"
