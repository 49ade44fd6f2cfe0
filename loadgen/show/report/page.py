"""A report as one HTML page: words, charts and tables, and everything they need inside the file.

The page asks no network for anything, and its own policy forbids it to: scripts, styles and data
are in the file, fonts are the reader's. Scripts are packed, which makes the file a third as large;
Bokeh is a block of its own, the same in every report, so that git keeps several as one.
Results that share no load stand one after the other, each with charts of its own.
"""

import gzip
import shlex
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bokeh.document import Document
from bokeh.embed import components
from bokeh.model import Model
from bokeh.resources import Resources
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from loadgen.judge import units
from loadgen.judge.analysis import Analysis
from loadgen.judge.cautions import speeds_in_brief
from loadgen.judge.diff import NOT_MEASURED, ComparisonError, Difference, diff
from loadgen.judge.ranks import headline, rank_words
from loadgen.judge.registry import MESSAGES, figure_of
from loadgen.judge.rows import Row
from loadgen.judge.verdict import GENERATOR, GIL, MACHINE, NETWORK, SERVER, WAITING
from loadgen.record.environment import Environment as Machine
from loadgen.show import rate_tables
from loadgen.show import sentences as reading
from loadgen.show.describe import heading
from loadgen.show.machine_table import machine_table
from loadgen.show.report.charts import THEME, Drawn, draw
from loadgen.show.report.curves import bundles
from loadgen.show.report.lesson import Lesson, asks_for_ranks, asks_for_throughput, lesson
from loadgen.show.report.loads import Load, Subject, letter, loads, parties
from loadgen.show.report.panels import STATES, Section
from loadgen.show.report.sections import sections
from loadgen.show.report.style import MARKERS, Style
from loadgen.show.table import Table
from loadgen.show.tables import difference_table

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

    `name` is its experiment's, and `title` what that asks; both say what was measured where there
    was no experiment. `machines` are those of a cluster, if any.
    """

    letter: str
    name: str
    title: str
    when: str
    command: str
    details: Table
    machines: Table | None
    warnings: tuple[str, ...]
    lesson: Lesson | None


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

    @property
    def lesson(self) -> Lesson | None:
        """What the page leads with: the lesson of one experiment by itself."""
        return self.origins[0].lesson if len(self.origins) == 1 else None

    @property
    def judged(self) -> bool:
        """Whether something is set in order, or against something else."""
        return bool(self.verdicts or self.contrasts)


def page(analyses: Sequence[Analysis], only: str | None = None) -> str:
    """The whole report as HTML, of one result or more; rows that share a load stand together.

    `only` is the anchor of the one section that it is about, without verdicts then.
    """
    apart = parties([analysis.result for analysis in analyses])
    every = [_party(analyses, positions, len(apart) > 1, only) for positions in apart]
    template = Environment(
        loader=PackageLoader("loadgen.show.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("page.html")
    return template.render(
        title=_title([origin for party in every for origin in party.origins])
        if only is None
        else "; ".join(block.section.title for party in every for block in party.blocks),
        parties=every,
        markers=MARKERS,
        states=STATES,
        bokeh=_packed("\n".join(Resources(mode="inline", components=["bokeh"]).js_raw)),
    )


def _packed(script: str) -> str:
    """A script as base64 of gzip, the same for the same script: without the time of packing."""
    return b64encode(gzip.compress(script.encode(), mtime=0)).decode()


def _title(origins: Sequence[Origin]) -> str:
    if len(origins) <= 2:
        # What a result is called says more where it is an experiment's.
        titles = [
            f"{origin.name}: {origin.title}" if origin.lesson else origin.title
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


def _party(
    analyses: Sequence[Analysis], positions: Sequence[int], apart: bool, only: str | None
) -> Party:
    """The results at these positions; `apart` when the page is about others as well."""
    own = [analyses[position] for position in positions]
    every = loads(own, positions)
    asked = sections(every, bundles(own, every, positions))
    asked = [section for section in asked if only in (None, section.anchor)]
    if not any(map(asks_for_throughput, own)):
        asked = [section for section in asked if section.anchor != "throughput"]
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
        _origin(analysis, letter(place) if len(analyses) > 1 else "")
        for place, analysis in zip(positions, own, strict=True)
    )
    return Party(
        f"{origins[0].letter}-" if apart else "",
        ", ".join(f"{origin.letter}: {origin.name}" for origin in origins),
        origins,
        (*_searches(own, every), *_verdicts(_judged_by_itself(own, every, positions)))
        if only is None and any(map(asks_for_ranks, own))
        else (),
        tuple(_contrasts(analyses, positions)) if only is None else (),
        blocks,
        _packed(script),
    )


def _models(name: str, drawn: Sequence[Drawn]) -> str:
    return " ".join(mark.id for one in drawn for mark in one.marks.get(name, ()))


def _ranked(result: int, load: Load) -> list[Subject]:
    same = [subject for subject in load.subjects if subject.result == result]
    return sorted(same, key=lambda subject: subject.place)


def _origin(analysis: Analysis, mark: str) -> Origin:
    result, told = analysis.result, analysis.result.experiment
    measured = heading(analysis)[0]
    return Origin(
        mark,
        told.name if told else measured,
        told.question if told else measured,
        result.began.replace("T", " ")[:16],
        shlex.join(result.command),
        _details(result.environment, result.version),
        machine_table(analysis.rows),
        analysis.cautions,
        lesson(analysis),
    )


def _verdicts(every: Sequence[Load]) -> Iterator[Verdict]:
    for load in every:
        for result in dict.fromkeys(subject.result for subject in load.subjects):
            same = _ranked(result, load)
            several = len({subject.result for subject in load.subjects}) > 1
            label = ", ".join(filter(None, (f"result {letter(result)}", load.label)))
            yield Verdict(label if several else load.label, load.text, tuple(_standings(same)))


def _searches(own: Sequence[Analysis], every: Sequence[Load]) -> Iterator[Verdict]:
    """What searches for the highest rate found, a verdict for each bound."""
    styles = {one.row.name: one.style for load in every for one in load.subjects}
    for analysis in own:
        search = analysis.result.rate_search
        if search is None:
            continue
        for bound in dict.fromkeys(one.bound for one in analysis.rates):
            standings = [
                Standing(
                    one.name,
                    styles[one.name],
                    units.NOT_MEASURED,
                    "no rate" if one.rate is None else f"{units.rate(one.rate)} messages/s",
                    rate_tables.sentence(one, search) + ".",
                    "",
                )
                for one in analysis.rates
                if one.bound == bound
            ]
            words = rate_tables.bound_words(bound)
            yield Verdict(words, f"The highest rate with {words}", tuple(standings))


def _judged_by_itself(
    own: Sequence[Analysis], every: Sequence[Load], positions: Sequence[int]
) -> list[Load]:
    """The loads whose servers stand against each other: not the trials of a search."""
    trials = {
        place
        for place, analysis in zip(positions, own, strict=True)
        if analysis.result.rate_search is not None
    }
    return [load for load in every if not {one.result for one in load.subjects} <= trials]


def _standings(same: Sequence[Subject]) -> Iterator[Standing]:
    rows = [subject.row for subject in same]
    for subject in same:
        row = subject.row
        sentence = reading.sentence(row, rows)
        yield Standing(
            subject.name,
            subject.style,
            rank_words(row, rows) or units.NOT_MEASURED,
            _figure(row),
            sentence[0].upper() + sentence[1:] + ".",
            _bound(row, sentence),
        )


def _contrasts(analyses: Sequence[Analysis], positions: Sequence[int]) -> Iterator[Contrast]:
    """The first of these results against each of the others.

    Of two results alone it is said why nothing can be set side by side; of more, only of which.
    """
    first, *others = positions
    a, unlike = letter(first), []
    for place in others:
        b = letter(place)
        title = f"{b} against {a}"
        try:
            found, minds = diff(analyses[first], analyses[place])
        except ComparisonError as error:
            if len(analyses) == 2:
                yield Contrast(title, (), None, (str(error),))
            unlike.append(b)
            continue
        yield Contrast(
            title,
            tuple(_contrast_sentence(one, a, b) for one in found),
            difference_table(found, a, b),
            tuple(minds),
        )
    if unlike and len(analyses) > 2:
        said = f"Nothing was measured both in {a} and in {' or '.join(unlike)}."
        yield Contrast(f"Against {a}", (said,), None, ())


def _contrast_sentence(one: Difference, a: str, b: str) -> str:
    """What became of the figure that the load is ranked by, which is the first change."""
    change = one.changes[0]
    name = one.a if one.a == one.b else f"{one.b} against {one.a}"
    what = figure_of(change.path).label
    if change.ratio is None:
        said = "not measured in both" if change.verdict == NOT_MEASURED else change.verdict
        return f"{name}: {what} {said}."
    said = f"{name}: {b} has {units.times(change.ratio.mean)} times the {what} of {a}"
    if change.ratio.low is not None and change.ratio.high is not None:
        said += f" ({units.times(change.ratio.low)} to {units.times(change.ratio.high)})"
    return f"{said}: {change.verdict}."


def _figure(row: Row) -> str:
    """What a row is ranked by."""
    figure = headline(row.plan)
    found = row.estimate(figure.path)
    if found is None:
        return "not measured"
    if row.speeds is not None and figure.path == MESSAGES:
        return speeds_in_brief(row.speeds, f" {figure.label}")
    within = f" ± {units.spread(found)}" if found.spread is not None else ""
    return f"{figure.unit.shown(found.mean)} {figure.label}{within}"


_BOUNDS = {
    SERVER: "Limited by the server",
    GIL: "Limited by the server's GIL, for which its threads wait",
    GENERATOR: "Limited by the load generator: the server can do more",
    MACHINE: "Limited by the machine, whose cores both share",
    NETWORK: "Limited by the network: a link carried what it can",
    WAITING: "Limited by waiting, not by work",
    None: "What limited it is not known",
}


def _bound(row: Row, sentence: str) -> str:
    if row.problem is not None or row.bound.because in sentence:
        return ""
    return f"{_BOUNDS[row.bound.bound]} ({row.bound.because})."


def _details(machine: Machine, version: str | None) -> Table:
    shown = {
        "Measured with": version and f"concurrency-models {version}",
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
