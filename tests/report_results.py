"""Results with everything that a report shows, made by hand."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from loadgen.judge.analysis import analyse
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record.lesson import Cell, MeasuredCase, Part, Picture, Series, TableColumn
from loadgen.record.monitor import Sample, ServerCost
from loadgen.record.result import Claim, ExperimentOutcome, RankingOutcome, Result, Run
from loadgen.record.tally import GroupTally, Lane
from loadgen.show.report import REPORT_FILE, write_report
from loadgen.show.report.curves import bundles
from loadgen.show.report.loads import loads
from loadgen.show.report.panels import Section
from loadgen.show.report.sections import sections
from tests.runs import cost, group_tally, result, run, tally


@cache
def page_of(make: Callable[[], Result]) -> str:
    """The report on a result, as a page that is written once: Bokeh takes a second or three."""
    with TemporaryDirectory() as folder:
        path = Path(folder, REPORT_FILE)
        write_report([analyse(make())], path)
        return path.read_text()


FIRST = "first_reply_seconds.max"
LESSON_SERVED = {"iterative": 1, "thread": 10}
HOSTILE = "</script><b>$$x^2$$ & co"


def lanes(served: int, clients: int) -> list[Lane]:
    """So many clients served from 0.1 s on, the others connected and never answered."""
    return [
        Lane(number, 0.001, 0.002, 0.1 if number < served else None, None, 5)
        for number in range(clients)
    ]


def cost_of(model: str) -> ServerCost:
    """A cost that differs from model to model, so that no line hides another.

    It was sampled every half second, from one second before the window opened.
    """
    size = len(model)
    processes = size if model == "process" else 1
    samples = tuple(
        Sample(tick / 2, (tick + 2) * size / 20, (size + tick) * 1024**2, size, processes)
        for tick in range(-2, 5)
    )
    return replace(cost(), memory_bytes=(size + 4) * 1024**2, samples=samples)


def measured(model: str, clients: int, per_client: int, trial: int, served: int) -> Run:
    """A run of a model with lanes and samples."""
    group: GroupTally = group_tally(clients, per_client, served=served)
    # Spread over two decades, so that its percentiles make a line, and so long that Little's law,
    # which these made-up times would break, cannot be checked.
    for position in range(40):
        group.service.record(150_000 * (position + 1) ** 2, 25)
    group.lanes = lanes(served, clients)
    made = run(model, trial, plan=Plan((Group(clients),), duration_seconds=2.0))
    return replace(made, tally=tally(group), server=cost_of(model))


def everything() -> Result:
    """Three models, one of them with a hostile label, at 10 and 20 clients, and an experiment."""
    runs = []
    for clients in (10, 20):
        for trial in (1, 2):
            rate = 200 + 10 * trial + clients
            runs += [
                replace(measured("thread", clients, 2 * rate, trial, clients), label=HOSTILE),
                measured("process", clients, rate, trial, clients),
                measured("iterative", clients, 5 * rate, trial, 1),
            ]
    return result(*runs, experiment=outcome())


def outcome() -> ExperimentOutcome:
    """An experiment with a claim of each kind."""
    return ExperimentOutcome(
        name="queue-at-the-door",
        question="Who is served while one client stays?",
        expectation="Only the first.",
        source="the lecture",
        predictions=("selectors", "iterative"),
        claims=(
            Claim("iterative serves one", True, "1 of 10"),
            Claim("process is the fastest", False, "selectors is"),
            Claim("nobody overflows", None, "no counter here"),
        ),
        reading="A full queue is not a busy server.",
    )


def sections_of(*results: Result) -> list[Section]:
    """Everything that a report on these results shows, side by side."""
    analyses = [analyse(one) for one in results]
    every = loads(analyses)
    return sections(every, bundles(analyses, every))


def lesson() -> Result:
    """An experiment with its table and a picture of each kind, made by hand."""
    runs = tuple(measured(model, 10, 200, 1, served) for model, served in LESSON_SERVED.items())
    told = replace(
        outcome(),
        columns=(
            TableColumn("served", "served"),
            TableColumn("connected", "connected"),
            TableColumn("first reply max", "first_reply_seconds.max"),
        ),
        cases=(
            MeasuredCase(
                "one at a time",
                {"served": Cell(1.0), "connected": Cell(10.0), FIRST: Cell(0.5, (0.4, 0.6))},
                (0,),
            ),
            MeasuredCase(
                "a thread each",
                {"served": Cell(10.0), "connected": Cell(10.0), FIRST: Cell(0.25, (0.2, 0.3))},
                (1,),
            ),
            MeasuredCase("a goroutine each", missing="there is no model 'go' in this version"),
        ),
        ranking=RankingOutcome(
            "Which serves the most?", "served", ("a thread each", "one at a time")
        ),
        predictions=("one at a time", "a thread each"),
        picture=Picture(
            (
                Part(
                    "Of 10 clients",
                    (Series("served", "{value} of {of} are served", "connected"),),
                    ("one at a time", "a thread each", "a goroutine each"),
                ),
                Part(
                    "The longest wait",
                    (Series(FIRST, nothing="nobody"),),
                    ("one at a time", "a thread each"),
                ),
            ),
            lanes=("one at a time", "a thread each", "a goroutine each"),
        ),
    )
    return result(*runs, experiment=told)
