"""A whole result as text for a terminal and as Markdown: tables, what stands out, what to mind."""

import shlex
from collections.abc import Sequence

from loadgen.judge.analysis import Analysis
from loadgen.judge.diff import Difference
from loadgen.show import curve_tables, rate_tables
from loadgen.show.describe import heading
from loadgen.show.sentences import sentences
from loadgen.show.table import Table, markdown, text
from loadgen.show.tables import difference_table, tables
from loadgen.show.wrapping import points, wrapped


def as_text(analysis: Analysis) -> str:
    """Everything about one result as plain text, for a terminal.

    The tables of curves, or of rates that were searched for, take the place of the usual ones,
    which would be long with that many loads.
    """
    title, *lines = heading(analysis)
    parts = ["\n".join([title, *(wrapped(line, "  ") for line in lines)])]
    shown = _found(analysis) or curve_tables.tables_of(analysis.curves) or tables(analysis.rows)
    parts += [text(table) for table in shown]
    if found := _stands_out(analysis):
        width = max(len(name) for name, _ in found)
        lines = [wrapped(say, " " * (width + 4), f"  {name:<{width}}  ") for name, say in found]
        parts.append("\n".join(["What stands out", *lines]))
    if analysis.cautions:
        parts.append(points("Mind", analysis.cautions))
    return "\n\n".join(parts) + "\n"


def as_markdown(analysis: Analysis) -> str:
    """The same as Markdown with every table, and with the command that made it."""
    title, *lines = heading(analysis)
    parts = [f"# {title}", "  \n".join(lines), f"    {shlex.join(analysis.result.command)}"]
    shown = [*_found(analysis), *curve_tables.tables_of(analysis.curves)]
    if not analysis.rates:  # a search has a load for each of its trials, and curves of them
        shown += tables(analysis.rows)
    parts += [markdown(table) for table in shown]
    if found := _stands_out(analysis):
        parts += ["## What stands out", "\n".join(f"- **{name}**: {say}" for name, say in found)]
    if analysis.cautions:
        parts += ["## Mind", "\n".join(f"- {caution}" for caution in analysis.cautions)]
    return "\n\n".join(parts) + "\n"


def differences(found: Sequence[Difference], names: tuple[str, str], minds: Sequence[str]) -> str:
    """Two results side by side as text; `names` say which results A and B are."""
    parts = [f"A: {names[0]}\nB: {names[1]}", text(difference_table(found))]
    if minds:
        parts.append(points("Mind", minds))
    return "\n\n".join(parts) + "\n"


def _stands_out(analysis: Analysis) -> list[tuple[str, str]]:
    """A name and a sentence for each rate that was searched for, else each curve, else each row."""
    search = analysis.result.rate_search
    if search is not None:
        return rate_tables.sentences(analysis.rates, search)
    return curve_tables.sentences(analysis.curves) or sentences(analysis.rows)


def _found(analysis: Analysis) -> list[Table]:
    """The tables of a search for the highest rate, where there was one."""
    return rate_tables.tables_of(analysis.rates)
