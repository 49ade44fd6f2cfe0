"""A whole result as text for a terminal and as Markdown: tables, what stands out, what to mind."""

import shlex
from collections.abc import Sequence

from loadgen.judge.analysis import Analysis
from loadgen.judge.diff import Difference
from loadgen.show import curve_tables, rate_tables
from loadgen.show.describe import heading
from loadgen.show.sentences import sentences
from loadgen.show.table import Table, markdown, text
from loadgen.show.tables import answers, details, difference_table, tables
from loadgen.show.wrapping import points, wrapped


def as_text(analysis: Analysis, *, all_tables: bool = False) -> str:
    """One result as plain text, for a terminal: the answer, so that it fits a screen.

    With `all_tables` the other tables stand below it, and how their columns are meant. Curves, or
    rates that were searched for, take the place of the usual tables, which are long with that many
    loads; those of curves then stand below as well.
    """
    title, *lines = heading(analysis)
    if not all_tables:
        lines = lines[:2]  # the load and the machine
    parts = ["\n".join([title, *(wrapped(line, "  ") for line in lines)])]
    if found := _stands_out(analysis):
        width = max(len(name) for name, _ in found)
        lines = [wrapped(say, " " * (width + 4), f"  {name:<{width}}  ") for name, say in found]
        parts.append("\n".join(["What stands out", *lines]))
    instead = _found(analysis) or curve_tables.tables_of(analysis.curves)
    below = _below(analysis) if instead else details(analysis.rows)
    parts += [text(table, legend=all_tables) for table in instead or answers(analysis.rows)]
    if analysis.cautions:
        parts.append(points("Mind", analysis.cautions))
    if all_tables:
        parts += [text(table) for table in below]
    elif below:
        titles = ", ".join(table.title for table in below)
        parts.append(wrapped(f"--all-tables shows more: {titles}; and what each column means.", ""))
    return "\n\n".join(parts) + "\n"


def as_markdown(analysis: Analysis) -> str:
    """The same as Markdown with every table, and with the command that made it."""
    title, *lines = heading(analysis)
    parts = [f"# {title}", "  \n".join(lines), f"    {shlex.join(analysis.result.command)}"]
    if found := _stands_out(analysis):
        parts += ["## What stands out", "\n".join(f"- **{name}**: {say}" for name, say in found)]
    shown = (*_found(analysis), *curve_tables.tables_of(analysis.curves), *_below(analysis))
    parts += [markdown(table) for table in shown]
    if analysis.cautions:
        parts += ["## Mind", "\n".join(f"- {caution}" for caution in analysis.cautions)]
    return "\n\n".join(parts) + "\n"


def differences(found: Sequence[Difference], names: tuple[str, str], minds: Sequence[str]) -> str:
    """Two results side by side as text; `names` say which results A and B are."""
    parts = [f"A: {names[0]}\nB: {names[1]}", text(difference_table(found))]
    if minds:
        parts.append(points("Mind", minds))
    return "\n\n".join(parts) + "\n"


def _below(analysis: Analysis) -> list[Table]:
    """The usual tables; none of a search, which has a load for each of its trials."""
    return [] if analysis.rates else tables(analysis.rows)


def _stands_out(analysis: Analysis) -> list[tuple[str, str]]:
    """A name and a sentence for each rate that was searched for, else each curve, else each row."""
    search = analysis.result.rate_search
    if search is not None:
        return rate_tables.sentences(analysis.rates, search)
    return curve_tables.sentences(analysis.curves) or sentences(analysis.rows)


def _found(analysis: Analysis) -> list[Table]:
    """The tables of a search for the highest rate, where there was one."""
    return rate_tables.tables_of(analysis.rates)
