"""A report as one HTML page: words, charts and tables, and everything they need inside the file.

The page asks no network for anything, and its own policy forbids it to: scripts, styles and data
are in the file, fonts are the reader's.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from bokeh.document import Document
from bokeh.embed import components
from bokeh.model import Model
from bokeh.resources import Resources
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from .. import reading, units
from ..audit import GENERATOR, MACHINE, SERVER, WAITING
from ..compare import CONNECTIONS, MESSAGES, RESPONSE, Headline, Row, headline, warnings
from ..environment import Environment as Machine
from ..record import ExperimentOutcome, Result
from ..tables import Table, heading, machine_text
from .charts import THEME, Drawn, draw
from .loads import Load, letter, loads
from .style import MARKERS, Style
from .views import Section, sections


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
    """A load's subjects from first to last."""

    label: str
    text: str
    standings: tuple[Standing, ...]


@dataclass(frozen=True)
class Origin:
    """Where a result came from. `letter` is empty when there is but one."""

    letter: str
    title: str
    when: str
    command: str
    machine: str
    details: Table
    warnings: tuple[str, ...]
    experiment: ExperimentOutcome | None


@dataclass(frozen=True)
class Chart:
    """A place for a figure on the page, and words for those who cannot see it."""

    title: str
    words: str
    place: Markup


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


def page(results: Sequence[Result]) -> str:
    """The whole report as HTML. `results` are one or more; rows of several stand side by side."""
    every = loads(results)
    asked = sections(every)
    drawn = [[draw(panel) for panel in section.panels] for section in asked]
    names = (f"chart{number}" for number in count())
    figures: dict[str, Model] = {next(names): one.figure for same in drawn for one in same}
    document = Document(theme=THEME)
    with document.models.freeze():  # else it looks through all of them again for each
        for one in figures.values():
            document.add_root(one)
    script, places = components(figures, wrap_script=False, theme=THEME)
    divs = iter(places[name] for name in figures)
    blocks = [
        Block(
            section,
            tuple(
                Chart(
                    panel.title or section.title,
                    f"{section.title}. {panel.title}. {' '.join(section.says)}",
                    Markup(next(divs)),
                )
                for panel in section.panels
            ),
            tuple(Toggle(name, style, _models(name, same)) for name, style in section.legend),
        )
        for section, same in zip(asked, drawn, strict=True)
    ]
    template = Environment(
        loader=PackageLoader("loadgen.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("page.html")
    origins = tuple(_origin(result, place, len(results)) for place, result in enumerate(results))
    return template.render(
        title=" and ".join(dict.fromkeys(origin.title for origin in origins)),
        origins=origins,
        verdicts=tuple(map(_verdict, every)),
        blocks=blocks,
        markers=MARKERS,
        bokeh=Markup(Resources(mode="inline", components=["bokeh"]).render_js()),
        script=Markup(script),
    )


def _models(name: str, drawn: Sequence[Drawn]) -> str:
    return " ".join(mark.id for one in drawn for mark in one.marks.get(name, ()))


def _origin(result: Result, place: int, several: int) -> Origin:
    found = loads([result])
    rows = [subject.row for load in found for subject in load.subjects]
    return Origin(
        letter(place) if several > 1 else "",
        heading(result, rows)[0],
        result.began.replace("T", " ")[:16],
        shlex.join(result.command),
        machine_text(result.environment),
        _details(result.environment),
        tuple(warnings(result, rows)),
        result.experiment,
    )


def _verdict(load: Load) -> Verdict:
    rows = [subject.row for subject in load.subjects]
    return Verdict(
        load.label,
        load.text,
        tuple(
            Standing(
                subject.name,
                subject.style,
                _rank(subject.row, rows),
                _figure(subject.row, headline(subject.row.plan)),
                (sentence := reading.sentence(subject.row, rows)),
                _bound(subject.row, sentence),
            )
            for subject in load.subjects
        ),
    )


def _rank(row: Row, rows: Sequence[Row]) -> str:
    if row.rank is None:
        return units.NOT_MEASURED
    return f"{row.rank}=" if sum(one.rank == row.rank for one in rows) > 1 else str(row.rank)


def _figure(row: Row, kind: Headline) -> str:
    shown = {
        MESSAGES: (units.rate, "messages/s"),
        CONNECTIONS: (units.rate, "connections/s"),
        RESPONSE: (units.seconds, "response time p99"),
    }
    write, unit = shown[kind]
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
