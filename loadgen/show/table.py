"""A table as text that fits the terminal, and the same as Markdown."""

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import tabulate

from loadgen.show.wrapping import columns, wrapped

GAP = "  "
"""What stands between two columns."""
NARROWEST_WORDS = 8
_ROOM_FOR_WORDS = 24
"""How wide words may be in a table that is drawn in parts."""


@dataclass(frozen=True)
class Table:
    """A table ready to be drawn.

    Headers and cells may have several lines; `words` are the columns that hold words and start at
    the left, the first of them with names; `spare` are those that a narrow terminal does without,
    the first one first. `notes` stand below, a line each, and below them `legend`: how the columns
    are meant.
    """

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: tuple[int, ...] = (0,)
    notes: tuple[str, ...] = ()
    spare: tuple[int, ...] = ()
    legend: tuple[str, ...] = ()


def text(table: Table, *, legend: bool = True) -> str:
    """A table as plain text under its title, with its notes below, and its legend if wanted.

    It is as wide as the terminal at most: spare columns are left out, words folded,
    and what is too wide even so is drawn in parts, one below the other, each with the names.
    """
    width = columns()
    below = _below(table) if legend else table.notes
    notes = [wrapped(note, "  ") for note in below]
    if not table.headers:
        return "\n".join([table.title, *notes])
    bare = _without_spare(table, width)
    fitting = _folded(bare, width)
    if _width(fitting) > width:  # in parts, and then there is room for names
        fitting = _folded(bare, width, _ROOM_FOR_WORDS)
    drawn = [_drawn(part) for part in _parts(fitting, width)]
    return "\n".join([table.title, "\n\n".join(drawn), *notes])


def _without_spare(table: Table, width: int) -> Table:
    """The table without as many of its spare columns as are too many for this width."""
    kept = list(range(len(table.headers)))
    spare = list(table.spare)
    while spare and _width(_only(table, kept)) > width:
        kept.remove(spare.pop(0))
    return _only(table, kept)


def _folded(table: Table, width: int, narrowest: int = NARROWEST_WORDS) -> Table:
    """The table with words folded, in the widest columns of words first, until it fits.

    None gets narrower than `narrowest`.
    """
    widths = _widths(table)
    for column in sorted(table.words, key=lambda index: -widths[index]):
        excess = _width(table) - width
        if excess <= 0:
            break
        room = max(widths[column] - excess, narrowest)
        rows = [(*row[:column], _fold(row[column], room), *row[column + 1 :]) for row in table.rows]
        table = replace(table, rows=tuple(rows))
    return table


def _parts(table: Table, width: int) -> Iterator[Table]:
    """The table, or its columns in parts that fit, each beginning with what says whose line it is.

    Those are the columns up to the first words, and more of words right behind them.

    Columns that share the first line of their headers stay together where they fit so.
    """
    last = table.words[0] if table.words else -1
    while last + 1 in table.words:
        last += 1
    names = list(range(last + 1))
    kept = list(names)

    def fits(*more: int) -> bool:
        return _width(_only(table, [*kept, *more])) <= width

    for together in _that_belong_together(table, len(names)):
        if kept != names and not fits(*together):
            yield _only(table, kept)
            kept = list(names)
        for index in together:
            if kept != names and not fits(index):
                yield _only(table, kept)
                kept = list(names)
            kept.append(index)
    yield _only(table, kept)


def _that_belong_together(table: Table, first: int) -> list[list[int]]:
    """The columns from `first` on, in groups of those under one header."""
    groups: list[list[int]] = []
    for index in range(first, len(table.headers)):
        if groups and table.headers[index].startswith("\n"):
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def _only(table: Table, kept: Sequence[int]) -> Table:
    """The table with those of its columns alone.

    A header whose first line is empty shares that line with the one before it; the first of those
    that are kept has it.
    """
    headers = []
    shared, said = "", False
    for index, header in enumerate(table.headers):
        begins = not header.startswith("\n")
        if begins:
            shared, said = header.rpartition("\n")[0], False
        if index in kept:
            headers.append(header if begins or said else f"{shared}\n{header.lstrip()}")
            said = True
    return replace(
        table,
        headers=tuple(headers),
        rows=tuple(tuple(row[index] for index in kept) for row in table.rows),
        words=tuple(place for place, index in enumerate(kept) if index in table.words),
        spare=(),
    )


def _widths(table: Table) -> list[int]:
    """How wide each column is: its longest line."""
    lines = zip(table.headers, *table.rows, strict=True)
    return [max(len(line) for cell in column for line in cell.split("\n")) for column in lines]


def _width(table: Table) -> int:
    return sum(_widths(table)) + len(GAP) * (len(table.headers) - 1)


def _below(table: Table) -> tuple[str, ...]:
    return table.notes + table.legend


def markdown(table: Table) -> str:
    """The same as Markdown."""
    if not table.headers:
        return "\n\n".join([f"## {table.title}", *_below(table)])
    # A bar in a name would end its cell.
    drawn = _tabulated(
        [[cell.replace("\n", " ").replace("|", "\\|") for cell in row] for row in table.rows],
        [header.replace("-\n", "").replace("\n", " ").strip() for header in table.headers],
        table.words,
        "pipe",
    )
    return "\n\n".join([f"## {table.title}", drawn, *_below(table)])


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

    Two lines of a header stand flush right only if their spaces are kept, and a terminal leaves no
    room for padding.
    """
    before = tabulate.PRESERVE_WHITESPACE, tabulate.MIN_PADDING
    tabulate.PRESERVE_WHITESPACE, tabulate.MIN_PADDING = True, 0
    try:
        yield
    finally:
        tabulate.PRESERVE_WHITESPACE, tabulate.MIN_PADDING = before


def _fold(name: str, width: int) -> str:
    return textwrap.fill(
        name, width, subsequent_indent=" ", break_long_words=False, break_on_hyphens=False
    )


def _flush_right(header: str) -> str:
    lines = header.split("\n")
    width = max(map(len, lines))
    return "\n".join(line.rjust(width) for line in lines)
