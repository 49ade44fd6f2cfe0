"""A report as one HTML page: words, charts and tables, and everything they need inside the file.

The page asks no network for anything, and its own policy forbids it to: scripts, styles and data
are in the file, fonts are the reader's. Scripts are packed, which makes the file a third as large;
Bokeh is a block of its own, the same in every report, so that git keeps several as one.
Results that share no load stand one after the other, each with charts of its own.
"""

import gzip
import shlex
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bokeh.document import Document
from bokeh.embed import components
from bokeh.model import Model
from bokeh.resources import Resources
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from loadgen.judge import units
from loadgen.judge.compare import (
    CONNECTIONS,
    MESSAGES,
    RESPONSE,
    ComparisonError,
    Difference,
    Headline,
    Row,
    diff,
    headline,
    rows,
    warnings,
)
from loadgen.judge.curves import curves, knees
from loadgen.judge.verdict import GENERATOR, MACHINE, SERVER, WAITING
from loadgen.record.environment import Environment as Machine
from loadgen.record.result import ExperimentOutcome, Result
from loadgen.show import sentences as reading
from loadgen.show.report.charts import THEME, Drawn, draw
from loadgen.show.report.loads import Load, Subject, letter, loads, parties
from loadgen.show.report.panels import Section
from loadgen.show.report.sections import sections
from loadgen.show.report.style import MARKERS, Style
from loadgen.show.tables import Table, difference_table, heading

MOST_TITLE = 80  # letters of names in a title; two lines on a desktop's screen


@dataclass(frozen=True)
class Standing:
    """One subject's place under a load, in words: `figure` is what it is ranked by."""

    name: str
    style: Style
    rank: str
    figure: str
    sentence: str
    bound: str


@dataclass(frozen=True)
class Verdict:
    """The subjects of one load and result, from first to last."""

    label: str
    text: str
    standings: tuple[Standing, ...]


@dataclass(frozen=True)
class Contrast:
    """Two results, set side by side as far as they can be; `minds` are what to mind."""

    title: str
    says: tuple[str, ...]
    table: Table | None
    minds: tuple[str, ...]


@dataclass(frozen=True)
class Origin:
    """Where a result came from. `letter` is empty when there is but one.

    `name` is its experiment's, or its title where there was no experiment.
    """

    letter: str
    name: str
    title: str
    when: str
    command: str
    details: Table
    warnings: tuple[str, ...]
    experiment: ExperimentOutcome | None


@dataclass(frozen=True)
class Chart:
    """A place for a figure on the page, and words for those who cannot see it.

    `height` in pixels is kept free, so that nothing moves when the figure is drawn.
    """

    words: str
    place: Markup
    height: int


@dataclass(frozen=True)
class Toggle:
    """A button of a legend: the ids of the Bokeh models that it shows and hides."""

    name: str
    style: Style
    models: str


@dataclass(frozen=True)
class Block:
    """A section with its charts in place."""

    section: Section
    charts: tuple[Chart, ...]
    toggles: tuple[Toggle, ...]


@dataclass(frozen=True)
class Party:
    """Results that stand side by side. `anchor` tells its places on the page from other parties'.

    `script` is what draws its charts, packed.
    """

    anchor: str
    title: str
    origins: tuple[Origin, ...]
    verdicts: tuple[Verdict, ...]
    contrasts: tuple[Contrast, ...]
    blocks: tuple[Block, ...]
    script: str


def _knees(results: Sequence[Result], positions: Sequence[int]) -> dict[tuple[str, str], float]:
    """Where each curve bends, by what is varied and the name of the subject."""
    found = {}
    for position, result in zip(positions, results, strict=True):
        mark = f" ({letter(position)})" if len(results) > 1 else ""
        for (what, name), value in knees(curves(rows(result))).items():
            found[what, name + mark] = value
    return found


def page(results: Sequence[Result]) -> str:
    """The whole report as HTML, of one result or more; rows that share a load stand together."""
    apart = parties(results)
    every = [_party(results, positions, len(apart) > 1) for positions in apart]
    template = Environment(
        loader=PackageLoader("loadgen.show.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("page.html")
    return template.render(
        title=_title([origin for party in every for origin in party.origins]),
        parties=every,
        markers=MARKERS,
        bokeh=_packed("\n".join(Resources(mode="inline", components=["bokeh"]).js_raw)),
    )


def _packed(script: str) -> str:
    """A script as base64 of gzip, the same for the same script: without the time of packing."""
    return b64encode(gzip.compress(script.encode(), mtime=0)).decode()


def _title(origins: Sequence[Origin]) -> str:
    if len(origins) <= 2:
        # What a result is called says more where it is an experiment's.
        titles = [
            f"{origin.name}: {origin.title}" if origin.experiment else origin.title
            for origin in origins
        ]
        return " and ".join(dict.fromkeys(titles))
    names = list(dict.fromkeys(origin.name for origin in origins))
    between = "; " if any("," in name for name in names) else ", "
    shown = names[:1]
    for name in names[1:]:
        if len(between.join((*shown, name))) > MOST_TITLE:
            break
        shown.append(name)
    rest = f" and {len(names) - len(shown)} more" if len(shown) < len(names) else ""
    return f"{len(origins)} results: {between.join(shown)}{rest}"


def _party(results: Sequence[Result], positions: Sequence[int], apart: bool) -> Party:
    """The results at these positions; `apart` when the page is about others as well."""
    own = [results[position] for position in positions]
    every = loads(own, positions)
    asked = sections(every, _knees(own, positions))
    drawn = [[draw(panel) for panel in section.panels] for section in asked]
    figures: list[Model] = [one.figure for same in drawn for one in same]
    document = Document(theme=THEME)
    with document.models.freeze():  # else it looks through all of them again for each
        for one in figures:
            document.add_root(one)
    script, places = components(figures, wrap_script=False, theme=THEME)
    divs = iter(places)
    blocks = tuple(
        Block(
            section,
            tuple(
                Chart(
                    f"{section.title}. {panel.title}. {' '.join(section.says)}",
                    Markup(next(divs)),
                    one.figure.height or 0,
                )
                for panel, one in zip(section.panels, same, strict=True)
            ),
            tuple(Toggle(name, style, _models(name, same)) for name, style in section.legend),
        )
        for section, same in zip(asked, drawn, strict=True)
    )
    origins = tuple(
        _origin(result, _rows_of(place, every), letter(place) if len(results) > 1 else "")
        for place, result in zip(positions, own, strict=True)
    )
    return Party(
        f"{origins[0].letter}-" if apart else "",
        ", ".join(f"{origin.letter}: {origin.name}" for origin in origins),
        origins,
        tuple(_verdicts(every)),
        tuple(_contrasts(results, positions)),
        blocks,
        _packed(script),
    )


def _models(name: str, drawn: Sequence[Drawn]) -> str:
    return " ".join(mark.id for one in drawn for mark in one.marks.get(name, ()))


def _rows_of(result: int, every: Sequence[Load]) -> list[Row]:
    """The rows of one result, by load and rank."""
    return [subject.row for load in every for subject in _ranked(result, load)]


def _ranked(result: int, load: Load) -> list[Subject]:
    same = [subject for subject in load.subjects if subject.result == result]
    return sorted(same, key=lambda subject: subject.place)


def _origin(result: Result, rows: Sequence[Row], mark: str) -> Origin:
    title = heading(result, rows)[0]
    return Origin(
        mark,
        result.experiment.name if result.experiment else title,
        title,
        result.began.replace("T", " ")[:16],
        shlex.join(result.command),
        _details(result.environment),
        tuple(warnings(result, rows)),
        result.experiment,
    )


def _verdicts(every: Sequence[Load]) -> Iterator[Verdict]:
    for load in every:
        for result in dict.fromkeys(subject.result for subject in load.subjects):
            same = _ranked(result, load)
            several = len({subject.result for subject in load.subjects}) > 1
            label = ", ".join(filter(None, (f"result {letter(result)}", load.label)))
            yield Verdict(label if several else load.label, load.text, tuple(_standings(same)))


def _standings(same: Sequence[Subject]) -> Iterator[Standing]:
    rows = [subject.row for subject in same]
    for subject in same:
        row = subject.row
        sentence = reading.sentence(row, rows)
        yield Standing(
            subject.name,
            subject.style,
            _rank(row, rows),
            _figure(row, headline(row.plan)),
            sentence[0].upper() + sentence[1:] + ".",
            _bound(row, sentence),
        )


def _contrasts(results: Sequence[Result], positions: Sequence[int]) -> Iterator[Contrast]:
    """The first of these results against each of the others.

    Of two results alone it is said why nothing can be set side by side; of more, only of which.
    """
    first, *others = positions
    a, unlike = letter(first), []
    for place in others:
        b = letter(place)
        title = f"{b} against {a}"
        try:
            found, minds = diff(results[first], results[place])
        except ComparisonError as error:
            if len(results) == 2:
                yield Contrast(title, (), None, (str(error),))
            unlike.append(b)
            continue
        yield Contrast(
            title,
            tuple(_contrast_sentence(one, a, b) for one in found),
            difference_table(found, a, b),
            tuple(minds),
        )
    if unlike and len(results) > 2:
        said = f"Nothing was measured both in {a} and in {' or '.join(unlike)}."
        yield Contrast(f"Against {a}", (said,), None, ())


def _contrast_sentence(one: Difference, a: str, b: str) -> str:
    """What became of the figure that the load is ranked by, which is the first change."""
    change = one.changes[0]
    name = one.a if one.a == one.b else f"{one.b} against {one.a}"
    what = UNITS[change.path][1]
    if change.ratio is None:
        return f"{name}: {what} {change.verdict} in both."
    said = f"{name}: {b} has {units.times(change.ratio.mean)} times the {what} of {a}"
    if change.ratio.low is not None and change.ratio.high is not None:
        said += f" ({units.times(change.ratio.low)} to {units.times(change.ratio.high)})"
    return f"{said}: {change.verdict}."


def _rank(row: Row, rows: Sequence[Row]) -> str:
    if row.rank is None:
        return units.NOT_MEASURED
    return f"{row.rank}=" if sum(one.rank == row.rank for one in rows) > 1 else str(row.rank)


UNITS: dict[str, tuple[Callable[[float | None], str], str]] = {
    MESSAGES.path: (units.rate, "messages/s"),
    CONNECTIONS.path: (units.rate, "connections/s"),
    RESPONSE.path: (units.seconds, "response time p99"),
}


def _figure(row: Row, kind: Headline) -> str:
    write, unit = UNITS[kind.path]
    found = row.estimate(kind.path)
    if found is None:
        return "not measured"
    within = f" ± {units.spread(found)}" if found.spread is not None else ""
    return f"{write(found.mean)} {unit}{within}"


_BOUNDS = {
    SERVER: "Limited by the server",
    GENERATOR: "Limited by the load generator: the server can do more",
    MACHINE: "Limited by the machine, whose cores both share",
    WAITING: "Limited by waiting, not by work",
    None: "What limited it is not known",
}


def _bound(row: Row, sentence: str) -> str:
    if row.problem is not None or row.bound.because in sentence:
        return ""
    return f"{_BOUNDS[row.bound.bound]} ({row.bound.because})."


def _details(machine: Machine) -> Table:
    shown = {
        "Processor": machine.cpu or machine.machine,
        "Cores": f"{units.count(machine.usable_cores)} usable of {units.count(machine.cores)}",
        "Memory": units.size(machine.memory_bytes),
        "System": f"{machine.system} {machine.kernel}, {machine.machine}",
        "Python": f"{machine.implementation} {machine.python}, GIL {machine.gil}",
        "CPU quota": None if machine.cpu_quota is None else f"{machine.cpu_quota:g} cores",
        "File descriptors": None
        if machine.descriptors is None
        else f"{machine.descriptors[0]:,} (at most {machine.descriptors[1]:,})",
        "Largest backlog": units.count(machine.listen_backlog_limit),
        "Load before the run": units.number(machine.load_average),
        "Libraries": ", ".join(f"{name} {version}" for name, version in machine.libraries.items()),
    }
    rows = tuple((name, value) for name, value in shown.items() if value)
    return Table("Environment", ("", ""), rows, words=(0, 1))
