"""What an experiment shows, as data in its saved result: its own table, and one large picture.

An experiment's catalogue says which figures answer its question; what is saved says it too, so that
a page about a result needs no catalogue, which may have changed meanwhile.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from loadgen.record.number import Count


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column of an experiment's table: what it is called, and the path of its figure."""

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure of a case over its trials, in base units; `interval` has its 95 % ends if any."""

    value: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class MeasuredCase:
    """A row of an experiment's table.

    `figures` has those that were measured, by their paths. `runs` are the positions of its trials
    among the result's runs. `missing` says why the case has no figures, where it has none.
    """

    name: str
    figures: Mapping[str, Cell] = field(default_factory=dict)
    runs: tuple[Count, ...] = ()
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """One bar for each case: the figure at `path`, and how it is said, "{value}" being its number.

    `of` is the path of what the figure is held against, "{of}" in `says`: a mark at the bar.
    `nothing` is said where there was nothing to measure.
    """

    path: str
    says: str = "{value}"
    of: str | None = None
    nothing: str = "not measured"


@dataclass(frozen=True, slots=True)
class Part:
    """Bars over one scale: the series of each of these cases, all of one unit."""

    title: str
    series: tuple[Series, ...]
    cases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """What an experiment's page shows large: bars, or a lane for each client of the cases `lanes`.

    A lane is a client's life: connecting, connected, served, gone.
    """

    parts: tuple[Part, ...] = ()
    lanes: tuple[str, ...] = ()
