"""Text for a terminal: lines folded at a width, under titles."""

import textwrap
from collections.abc import Sequence

WIDTH = 100


def wrapped(line: str, indent: str, first: str | None = None, width: int = WIDTH) -> str:
    """A line, folded between words where it is longer than `width` with its indent.

    `first` is the first line's indent, where it is not the others'. Spaces that the line begins
    with indent all of it.
    """
    spaces = line[: len(line) - len(line.lstrip())]
    return textwrap.fill(
        line.strip(),
        width,
        initial_indent=(indent if first is None else first) + spaces,
        subsequent_indent=indent + spaces,
        break_long_words=False,
        break_on_hyphens=False,
    )


def points(title: str, lines: Sequence[str]) -> str:
    """Lines as points under a title."""
    return "\n".join([title, *(wrapped(line, "    ", "  - ") for line in lines)])
