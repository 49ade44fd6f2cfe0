"""A table as text for a terminal of 100 columns, and the same as Markdown."""

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import tabulate

from loadgen.show.wrapping import WIDTH, wrapped


@dataclass(frozen=True)
class Table:
    """A table ready to be drawn.

    Headers and cells may have several lines; `words` are the columns that hold words and start at
    the left, the first of them with names; `notes` stand below, a line each.
    """

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: tuple[int, ...] = (0,)
    notes: tuple[str, ...] = ()


def text(table: Table) -> str:
    """A table as plain text under its title, with its notes below."""
    notes = [wrapped(note, "  ") for note in table.notes]
    if not table.headers:
        return "\n".join([table.title, *notes])
    drawn = _drawn(table)
    excess = max(map(len, drawn.splitlines())) - WIDTH
    if excess > 0 and table.rows and table.words:
        # Long names take two lines each, rather than every line of the table.
        names = table.words[0]
        width = max(len(row[names]) for row in table.rows) - excess
        narrow = [
            (*row[:names], _folded(row[names], width), *row[names + 1 :]) for row in table.rows
        ]
        drawn = _drawn(replace(table, rows=tuple(narrow)))
    return "\n".join([table.title, drawn, *notes])


def markdown(table: Table) -> str:
    """The same as Markdown."""
    if not table.headers:
        return "\n\n".join([f"## {table.title}", *table.notes])
    drawn = _tabulated(
        [[cell.replace("\n", " ") for cell in row] for row in table.rows],
        [header.replace("-\n", "").replace("\n", " ").strip() for header in table.headers],
        table.words,
        "pipe",
    )
    return "\n\n".join([f"## {table.title}", drawn, *table.notes])


def _drawn(table: Table) -> str:
    headers = [
        header if index in table.words else _flush_right(header)
        for index, header in enumerate(table.headers)
    ]
    return _tabulated(table.rows, headers, table.words, "simple")


def _tabulated(
    rows: Sequence[Sequence[str]], headers: Sequence[str], words: Sequence[int], style: str
) -> str:
    align = ["left" if index in words else "right" for index in range(len(headers))]
    with _verbatim():
        return tabulate.tabulate(
            rows,
            headers=headers,
            tablefmt=style,
            colalign=align if rows else None,
            disable_numparse=True,
        )


@contextmanager
def _verbatim() -> Iterator[None]:
    """A block in which tabulate takes cells as they are; it has no argument for that.

    Two lines of a header stand flush right only if their spaces are kept, and 100 columns leave no
    room for padding.
    """
    before = tabulate.PRESERVE_WHITESPACE, tabulate.MIN_PADDING
    tabulate.PRESERVE_WHITESPACE, tabulate.MIN_PADDING = True, 0
    try:
        yield
    finally:
        tabulate.PRESERVE_WHITESPACE, tabulate.MIN_PADDING = before


def _folded(name: str, width: int) -> str:
    return textwrap.fill(
        name, max(width, 1), subsequent_indent=" ", break_long_words=False, break_on_hyphens=False
    )


def _flush_right(header: str) -> str:
    lines = header.split("\n")
    width = max(map(len, lines))
    return "\n".join(line.rjust(width) for line in lines)
