"""A report's sections and panels as data: bars, lines, spans, dots and lanes, with words beside.

Pure: nothing here measures or draws. A section is one question; it holds its charts' panels,
sentences that say what they show, and tables with the same figures for those who cannot see them.
What was not measured is left out of a chart and said in its sentence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from loadgen.judge.lanes import At
from loadgen.judge.lanes import Lanes as Traced
from loadgen.show.report.style import BLUE, GREEN, ORANGE, PURPLE, Style
from loadgen.show.table import Table

CONNECTING: Final = "connecting"
WAITING: Final = "connected, no reply yet"
SERVED: Final = "has had a reply"
SILENT: Final = "silent on purpose"
STATES: Final = {
    CONNECTING: Style("#9A9A9A", "square"),
    WAITING: Style(ORANGE, "square", "dashed"),
    SERVED: Style(BLUE, "square"),
    SILENT: Style("#D9D9D9", "square"),
}

AT_STYLES: Final[Mapping[At, tuple[Style, str, str | None]]] = {
    At.RUNS: (Style(BLUE, "square"), BLUE, None),
    At.BEHIND: (Style(ORANGE, "square"), "#FFF6E0", "right_diagonal_line"),
    At.WAITS: (Style(PURPLE, "square"), "#FBEFF6", "dot"),
    At.OUTSIDE: (Style("#9A9A9A", "square"), "white", "left_diagonal_line"),
}
"""What a traced client is at: its look, and what a pattern in its colour stands on."""

ANSWERED: Final = ("a reply came", Style(GREEN, "square"))


@dataclass(frozen=True)
class Axis:
    """What an axis shows.

    `kind` says how its numbers are written: "number", "seconds" or "percentile", where the number
    is 1 / (1 - p) of the share p.
    """

    label: str
    kind: str = "number"
    log: bool = False


@dataclass(frozen=True)
class Bar:
    """A figure with its interval (None where there is none) and the trials behind it.

    One that is not `firm` is no measure of the server: not sound, or bound by the load generator.
    """

    name: str
    style: Style
    text: str
    mean: float | None
    low: float | None
    high: float | None
    trials: tuple[float, ...]
    firm: bool


@dataclass(frozen=True)
class Bars:
    """Horizontal bars from 0 to `limit`, the first on top."""

    title: str
    axis: Axis
    limit: float
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Line:
    """A line through points, with markers at the positions `marks`.

    Whiskers run from `lows` to `highs` at every point where those are given, and a ring stands at
    the position `knee`.
    """

    name: str
    style: Style
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    marks: tuple[int, ...] = ()
    lows: tuple[float, ...] = ()
    highs: tuple[float, ...] = ()
    knee: int | None = None


@dataclass(frozen=True)
class Lines:
    """Lines over common axes. The stretch of x in `shade` is set off from the rest."""

    title: str
    x: Axis
    y: Axis
    lines: tuple[Line, ...]
    shade: tuple[float, float] | None = None


@dataclass(frozen=True)
class Reach:
    """From the median to the 99th percentile of two clocks, in seconds; None: never ran out."""

    name: str
    style: Style
    text: str
    connect: tuple[float, float] | None
    first_reply: tuple[float, float] | None


@dataclass(frozen=True)
class Reaches:
    """Two spans per subject over one logarithmic axis of seconds."""

    title: str
    rows: tuple[Reach, ...]


@dataclass(frozen=True)
class Dots:
    """One subject's clients: how many times the even share of messages each of them got."""

    name: str
    style: Style
    text: str
    shares: tuple[float, ...]


@dataclass(frozen=True)
class Strips:
    """A strip of dots per subject."""

    title: str
    strips: tuple[Dots, ...]


@dataclass(frozen=True)
class Stretch:
    """A client in one state, from and to in seconds since the run began."""

    state: str
    start: float
    end: float


@dataclass(frozen=True)
class Lanes:
    """The first clients of one run, each as the stretches of its life."""

    title: str
    labels: tuple[str, ...]
    lanes: tuple[tuple[Stretch, ...], ...]
    seconds: float


@dataclass(frozen=True)
class Running:
    """The clients of one run that were traced, and what each was at."""

    title: str
    lanes: Traced


Panel = Bars | Lines | Reaches | Strips | Lanes | Running


@dataclass(frozen=True)
class Section:
    """One question of the report.

    `about` says how to read the charts, `says` what they show; `legend` names the series that can
    be hidden, `key` explains what else is drawn.
    """

    anchor: str
    title: str
    about: str
    panels: tuple[Panel, ...]
    says: tuple[str, ...]
    tables: tuple[Table, ...]
    legend: tuple[tuple[str, Style], ...] = ()


def legend(panels: Sequence[Panel]) -> tuple[tuple[str, Style], ...]:
    """The series of all lines, each once, with its look."""
    found: dict[str, Style] = {}
    for panel in panels:
        if isinstance(panel, Lines):
            for line in panel.lines:
                found.setdefault(line.name, line.style)
    return tuple(found.items())
