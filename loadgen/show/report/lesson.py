"""The lesson that an experiment's page leads with: one large picture of its own figures, and words.

The picture is text and boxes of the page itself, not a chart of Bokeh's: so it is there before any
script ran, its letters are as large as the page's, and it prints. Lengths and places are in per
cent of the width that there is. Cases stand in the order of the experiment.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from loadgen.judge import units
from loadgen.judge.analysis import Analysis
from loadgen.judge.cautions import disturbances, faults
from loadgen.judge.ranks import headline
from loadgen.judge.registry import CONNECTIONS, MESSAGES, figure_of
from loadgen.judge.units import NOT_MEASURED, NUMBER, Unit
from loadgen.record.lesson import Cell, MeasuredCase, Part, Series
from loadgen.record.result import ExperimentOutcome, Result, Run
from loadgen.show.report.panels import CONNECTING, SERVED, STATES, Lanes, Stretch
from loadgen.show.report.style import Style, style_of
from loadgen.show.report.swimlanes import lanes_of
from loadgen.show.table import Table

MOST_TICKS = 6
FEW_BARS = 6
MANY_BARS = 14

MOST_TIMES = 1000.0
"""How many times the shortest bar the longest may be, on an even scale: then it has a pixel."""


@dataclass(frozen=True)
class Bar:
    """A figure of a case: its length, and the ends of its interval; None for what there is not.

    `mark` is where that stands which the figure is held against. `case` is empty where the
    bar above has the same. `further` counts the series before it.
    """

    case: str
    text: str
    style: Style
    further: int
    length: float | None
    interval: tuple[float, float] | None
    mark: float | None


@dataclass(frozen=True)
class Tick:
    """A place on a ruler."""

    at: float
    text: str


@dataclass(frozen=True)
class Bars:
    """Bars over one scale; `ticks` are the powers of ten on one that has a step for each."""

    title: str
    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...] = ()


@dataclass(frozen=True)
class Scale:
    """How long a bar is: even from 0 to `high` or, where `low` is not 0, with a step for ten times.

    `low` is a power of ten then, and less than every value but 0.
    """

    low: float
    high: float

    def per_cent(self, value: float) -> float:
        """Return how long a bar of that value is, or where on the scale it is."""
        share = value / self.high
        if self.low:
            share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return round(100 * min(1.0, max(0.0, share)), 2)

    def ticks(self, path: str) -> Iterator[Tick]:
        """The powers of ten of a figure, where each has a step."""
        value = self.low
        while 0 < value <= self.high:
            text = _said(path, value)
            if text != _said(path, 0.0):  # of what is counted, there is no tenth
                yield Tick(self.per_cent(value), text)
            value *= 10


@dataclass(frozen=True)
class Stretched:
    """A stretch of a client's life: where it begins, and how long it is."""

    state: str
    left: float
    width: float


@dataclass(frozen=True)
class Stairs:
    """A lane for each client of a case, those first who were served first."""

    title: str
    text: str
    lanes: tuple[tuple[Stretched, ...], ...]


@dataclass(frozen=True)
class Lesson:
    """What an experiment's page leads with; `doubts` are what not to rely on.

    `notes` say how to read the picture, `states` what the lanes' colours mean. `ranked` has the
    measured order, with the figures.
    """

    told: ExperimentOutcome
    bars: tuple[Bars, ...]
    stairs: tuple[Stairs, ...]
    ticks: tuple[Tick, ...]
    states: tuple[tuple[str, Style], ...]
    notes: tuple[str, ...]
    ranked: tuple[str, ...]
    table: Table | None
    doubts: tuple[str, ...]

    @property
    def pictured(self) -> bool:
        return bool(self.bars or self.stairs)

    @property
    def crowding(self) -> str:
        """Whether there is room for thick bars, or the lines have to stand close: "few", "many"."""
        bars = sum(len(one.bars) for one in self.bars)
        return "few" if bars <= FEW_BARS else "many" if bars > MANY_BARS else ""


def lesson(analysis: Analysis) -> Lesson | None:
    """The lesson of an experiment's result; None for any other result."""
    result = analysis.result
    told = result.experiment
    if told is None:
        return None
    cases = {case.name: case for case in told.cases}
    lanes = list(_lanes(result, told, cases))
    seconds = max((one.seconds for one in lanes), default=0.0)
    used = {part.state for one in lanes for lane in one.lanes for part in lane}
    bars = [_bars(part, cases, result) for part in (told.picture.parts if told.picture else ())]
    doubts = faults(result, analysis.rows) + disturbances(result, analysis.rows)
    return Lesson(
        told,
        tuple(bars),
        tuple(_stairs(one, seconds) for one in lanes),
        tuple(_ticks(seconds)) if lanes else (),
        tuple((state, style) for state, style in STATES.items() if state in used),
        tuple(_notes(told, bars, lanes)),
        tuple(_ranked(told, cases)),
        _table(told),
        tuple(dict.fromkeys(doubts)),
    )


def asks_for_ranks(analysis: Analysis) -> bool:
    """Whether the order of the servers answers the question: an experiment has one of its own.

    One that is older than its ranking is not known to ask for anything else.
    """
    told = analysis.result.experiment
    if told is None or told.ranking is None:
        return True
    return any(headline(row.plan).path == told.ranking.path for row in analysis.rows)


def asks_for_throughput(analysis: Analysis) -> bool:
    """Whether an experiment's own table has a rate of messages or connections in it."""
    told = analysis.result.experiment
    if told is None or not told.columns:
        return True
    return any(column.path.endswith((MESSAGES, CONNECTIONS)) for column in told.columns)


def _bars(part: Part, cases: Mapping[str, MeasuredCase], result: Result) -> Bars:
    own = [cases.get(name, MeasuredCase(name)) for name in part.cases]
    every = [(case, place, one) for case in own for place, one in enumerate(part.series)]
    scale = _scale([cell for case, _, one in every for cell in _cells(case, one)])
    drawn = tuple(_bar(case, place, one, scale, result) for case, place, one in every)
    return Bars(part.title, drawn, tuple(scale.ticks(part.series[0].path)))


def _cells(case: MeasuredCase, series: Series) -> list[Cell]:
    """The figure of a bar and what it is held against, as far as they were measured."""
    paths = [path for path in (series.path, series.of) if path is not None]
    return [case.figures[path] for path in paths if path in case.figures]


def _scale(cells: Sequence[Cell]) -> Scale:
    """A scale that reaches over all whiskers, unless they would make the bars short."""
    longest = max((cell.value for cell in cells), default=0.0)
    shortest = min((cell.value for cell in cells if cell.value > 0), default=longest)
    highest = max((cell.interval[1] for cell in cells if cell.interval), default=0.0)
    high = max(longest, min(highest, 1.5 * longest)) or 1.0
    if longest <= MOST_TIMES * shortest:
        return Scale(0.0, high)
    return Scale(10.0 ** (math.ceil(math.log10(shortest)) - 1), high)


def _bar(case: MeasuredCase, place: int, series: Series, scale: Scale, result: Result) -> Bar:
    per_cent = scale.per_cent
    cell = case.figures.get(series.path)
    against = case.figures.get(series.of or "")
    if cell is None:
        text = case.missing or series.nothing
    else:
        of = _said(series.of or "", against.value) if against else NOT_MEASURED
        text = series.says.replace("{of}", of).replace("{value}", _said(series.path, cell.value))
    ends = cell.interval if cell else None
    return Bar(
        "" if place else case.name,
        text,
        style_of(result.runs[case.runs[0]].model if case.runs else ""),
        place,
        None if cell is None else per_cent(cell.value),
        ends and (per_cent(ends[0]), per_cent(ends[1])),
        None if against is None else per_cent(against.value),
    )


def _notes(told: ExperimentOutcome, drawn: Sequence[Bars], lanes: Sequence[Lanes]) -> Iterator[str]:
    names = {column.path: column.name for column in told.columns}
    parts = told.picture.parts if told.picture else ()
    against = [one.of for part in parts for one in part.series if one.of in names]
    for path in dict.fromkeys(against):
        yield f"A dashed line: {names[path or '']}."
    if any(bar.interval for one in drawn for bar in one.bars):
        yield "A whisker is the 95 % interval."
    if any(one.ticks for one in drawn):
        yield "Each step of the scale is ten times the one before."
    if lanes:
        trials = max(len(case.runs) for case in told.cases)
        yield "A lane for each client, in the order of their first replies; time runs to the " + (
            f"right, from when the first of {trials} trials began." if trials > 1 else "right."
        )


def _unit(path: str) -> Unit:
    try:
        return figure_of(path).unit
    except KeyError:  # a figure of a later version's
        return NUMBER


def _said(path: str, value: float | None) -> str:
    unit = _unit(path)
    if unit is NUMBER and value is not None and value.is_integer():
        return units.count(value)
    return unit.said(value)


def _lanes(
    result: Result, told: ExperimentOutcome, cases: Mapping[str, MeasuredCase]
) -> Iterator[Lanes]:
    """The clients' lives in each case that was measured, in its first trial."""
    for name in told.picture.lanes if told.picture else ():
        run = _first(result, cases.get(name))
        found = lanes_of(run, name) if run is not None else None
        if found is not None:
            yield found


def _first(result: Result, case: MeasuredCase | None) -> Run | None:
    return result.runs[case.runs[0]] if case is not None and case.runs else None


def _stairs(panel: Lanes, seconds: float) -> Stairs:
    def reply(lane: Sequence[Stretch]) -> float:
        return next((part.start for part in lane if part.state == SERVED), math.inf)

    def per_cent(moment: float) -> float:
        return round(100 * moment / seconds, 2) if seconds else 0.0

    waits = [reply(lane) - lane[0].start for lane in panel.lanes if reply(lane) < math.inf]
    text = f"{len(waits)} of {len(panel.lanes)} served"
    if waits:
        text += f", the last after {units.seconds(max(waits))}"
    tries = [part for lane in panel.lanes for part in lane if part.state == CONNECTING]
    if tries:
        longest = max(part.end - part.start for part in tries)
        text += f"; longest connect(): {units.seconds(longest)}"
    return Stairs(
        panel.title,
        text,
        tuple(
            tuple(
                Stretched(part.state, per_cent(part.start), per_cent(part.end - part.start))
                for part in lane
            )
            for lane in sorted(panel.lanes, key=reply)
        ),
    )


def _ticks(seconds: float) -> Iterator[Tick]:
    """Round moments of a run, the first of them 0."""
    if seconds <= 0:
        return
    power = 10.0 ** math.floor(math.log10(seconds / MOST_TICKS))
    step = next(
        factor * power for factor in (1, 2, 5, 10) if factor * power * MOST_TICKS >= seconds
    )
    for number in range(int(seconds / step) + 1):
        moment = number * step
        yield Tick(round(100 * moment / seconds, 2), f"{moment:.6g} s")


def _ranked(told: ExperimentOutcome, cases: Mapping[str, MeasuredCase]) -> Iterator[str]:
    ranking = told.ranking
    for name in ranking.measured if ranking else ():
        cell = cases[name].figures.get(ranking.path) if ranking and name in cases else None
        yield f"{name}: {_said(ranking.path, cell.value)}" if ranking and cell else name


def _table(told: ExperimentOutcome) -> Table | None:
    """The experiment's own table, as a terminal shows it."""
    if not told.columns:
        return None
    lines = []
    for case in told.cases:
        cells = [case.figures.get(column.path) for column in told.columns]
        said = [
            _said(column.path, cell.value) if cell else NOT_MEASURED
            for column, cell in zip(told.columns, cells, strict=True)
        ]
        lines.append((case.name, *said))
    headers = ("case", *(column.name for column in told.columns))
    return Table(f"Measured: {told.name}", headers, tuple(lines))
