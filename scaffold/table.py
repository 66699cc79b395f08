"""Rows of text as a table for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table whose columns line up; numbers stand to the right."""
    body = [tuple(row) for row in rows]
    widths = [
        max(len(row[column]) for row in (tuple(head), *body))
        for column in range(len(head))
    ]
    right = [
        all(_is_number(row[column]) for row in body) for column in range(len(head))
    ]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(cells, widths, right, strict=True)
        )
        return f"| {' | '.join(padded)} |"

    rule = [
        "-" * (width + 1) + (":" if to_right else "-")
        for width, to_right in zip(widths, right, strict=True)
    ]
    return "\n".join([line(head), f"|{'|'.join(rule)}|", *map(line, body)])


def _is_number(cell: str) -> bool:
    return cell.replace(".", "", 1).replace(",", "").isdigit()
