"""Words that the sections share: titles, the tables that go with them, and who has the most."""

from collections.abc import Callable, Sequence

from loadgen.judge import units
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


def extremes(
    label: str,
    what: str,
    figures: Sequence[tuple[str, float | None]],
    shown: Callable[[float | None], str] = units.rate,
) -> str:
    """One sentence on who has the least and who the most of something, and who has no figure."""
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
    return said + "."
