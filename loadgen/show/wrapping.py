"""Text for a terminal: lines folded at a width, under titles."""

import shutil
import textwrap
from collections.abc import Sequence

WIDTH = 100
"""Columns of a line, where the terminal has as many, or there is none."""
NARROWEST = 40


def columns() -> int:
    """How wide to write: as the terminal is, and no wider than a line can be read."""
    return max(NARROWEST, min(WIDTH, shutil.get_terminal_size((WIDTH, 0)).columns))


def wrapped(line: str, indent: str, first: str | None = None, width: int | None = None) -> str:
    """A line, folded between words where it is longer than `width`, or the terminal is wide.

    `first` is the first line's indent, where it is not the others'. Spaces that the line begins
    with indent all of it.
    """
    spaces = line[: len(line) - len(line.lstrip())]
    return textwrap.fill(
        line.strip(),
        width or columns(),
        initial_indent=(indent if first is None else first) + spaces,
        subsequent_indent=indent + spaces,
        break_long_words=False,
        break_on_hyphens=False,
    )


def points(title: str, lines: Sequence[str]) -> str:
    """Lines as points under a title."""
    return "\n".join([title, *(wrapped(line, "    ", "  - ") for line in lines)])
