"""Words that the sections share: titles, the tables that go with them, and who has the most."""

from collections.abc import Callable, Collection, Sequence

from loadgen.judge import units
from loadgen.show.report.loads import Load
from loadgen.show.table import Table


def tables_titled(ready: Sequence[Table], *titles: str) -> tuple[Table, ...]:
    """Those of the `ready` tables whose titles begin with one of `titles`."""
    return tuple(table for table in ready if table.title.startswith(titles))


def titled(title: str, label: str) -> str:
    """A title that names its load, where a label tells several apart."""
    return f"{title} ({label})" if label else title


def prefix(label: str) -> str:
    """What a sentence about one of several loads begins with."""
    return f"{label}: " if label else ""


def starved_of(load: Load) -> list[str]:
    """The names of those that left clients without any reply: no best or worst among the others."""
    return [subject.name for subject in load.subjects if subject.row.ever("starved")]


def extremes(
    label: str,
    what: str,
    every: Sequence[tuple[str, float | None]],
    shown: Callable[[float | None], str] = units.rate,
    apart: Collection[str] = (),
) -> str:
    """One sentence on who has the least and who the most of something, and who has no figure.

    Those of the names in `apart` are only told where there are no others: a server that answers one
    client of 100 answers it fast.
    """
    figures = [one for one in every if one[0] not in apart]
    starved = [name for name, _ in every if name in apart] if figures else []
    figures = figures or list(every)
    known = [(value, name) for name, value in figures if value is not None]
    missing = [name for name, value in figures if value is None]
    said = f"{prefix(label)}{what}: "
    if not known:
        return said + "not measured."
    (least, low), (most, high) = min(known), max(known)
    if len(known) == 1:
        said += f"{low} {shown(least)}"
    elif shown(least) == shown(most):
        said += f"{shown(least)} for all {len(known)}"
    else:
        said += f"from {shown(least)} ({low}) to {shown(most)} ({high})"
    if missing:
        said += f"; not measured for {', '.join(missing)}"
    if starved:
        said += f"; without {', '.join(starved)}, where clients starved"
    return said + "."
