"""An experiment as text: the question before, the table, claims and reading after it."""

import shlex
from collections.abc import Sequence
from typing import Final

from loadgen.experiments.conduct import Findings, own_path
from loadgen.experiments.experiment import Experiment
from loadgen.experiments.quantity import label_of, shown, unit_of
from loadgen.judge.figures import figures, flat
from loadgen.judge.registry import OverTrials, figure_of
from loadgen.record.result import Claim, Run
from loadgen.show import table
from loadgen.show.describe import heading
from loadgen.show.table import Table
from loadgen.show.tables import tables
from loadgen.show.wrapping import points, wrapped

MOST_TOLD: Final = 2
"""Figures of each run that are told while others are still to come."""


def listing(experiments: Sequence[Experiment]) -> str:
    """Every experiment with its question, for --list."""
    every = Table(
        "Experiments, in the order of a course",
        ("experiment", "question"),
        tuple((one.name, one.question) for one in experiments),
        words=(0, 1),
    )
    return table.text(every) + "\n"


def opening(experiment: Experiment) -> str:
    """What is asked and what will be done: no word of what is expected."""
    asked = wrapped(f"{experiment.name}: {experiment.question}", "  ", "")
    lines = [asked, wrapped(experiment.load, "  ")]
    return "\n".join(lines) + "\n"


def news(experiment: Experiment, run: Run) -> str:
    """What came out of one run, by the first of the experiment's columns that it has."""
    found = flat(figures(run))
    values = [(one.path, found.get(own_path(run.plan, one.path))) for one in experiment.columns]
    told = [(path, value) for path, value in values if value is not None][:MOST_TOLD]
    return ", ".join(f"{label_of(path)} {shown(unit_of(path), value)}" for path, value in told)


def closing(findings: Findings, guess: Sequence[str], warnings: Sequence[str]) -> str:
    """What was expected and what came out. `guess` are the lines about the viewer's prediction."""
    outcome = findings.outcome
    parts = [table.text(table_of(findings))]
    if guess:
        parts.append("\n".join(["Your prediction", *(wrapped(line, "  ") for line in guess)]))
    parts.append(
        "\n".join(
            [
                "Expected",
                wrapped(outcome.expectation, "  "),
                wrapped(f"({outcome.source})", "  "),
            ]
        )
    )
    parts.append("\n".join(["Claims", *(_claim(claim) for claim in outcome.claims)]))
    parts.append("\n".join(["Reading", wrapped(outcome.reading, "  ")]))
    if warnings:
        parts.append(points("Mind", warnings))
    return "\n\n".join(parts) + "\n"


def markdown(findings: Findings, guess: Sequence[str], warnings: Sequence[str]) -> str:
    """All of it as Markdown, with the tables of every figure behind."""
    experiment, outcome = findings.experiment, findings.outcome
    parts = [
        f"# {outcome.name}: {outcome.question}",
        experiment.load,
        f"    {shlex.join(findings.result.command)}",
        table.markdown(table_of(findings)),
    ]
    if guess:
        parts += ["## Prediction", "\n".join(f"- {line.strip()}" for line in guess)]
    parts += ["## Expected", f"{outcome.expectation} ({outcome.source})"]
    parts += [
        "## Claims",
        "\n".join(
            f"- **{claim.verdict}**: {claim.text}. {claim.numbers}" for claim in outcome.claims
        ),
        "## Reading",
        outcome.reading,
    ]
    if warnings:
        parts += ["## Mind", "\n".join(f"- {warning}" for warning in warnings)]
    if findings.analysis.rows:
        title, *lines = heading(findings.analysis)
        parts += [f"## All figures: {title}", "  \n".join(lines)]
        parts += [
            table.markdown(one).replace("## ", "### ", 1) for one in tables(findings.analysis.rows)
        ]
    return "\n\n".join(parts) + "\n"


def table_of(findings: Findings) -> Table:
    """The columns that matter, a row per case, in the order of the experiment."""
    experiment = findings.experiment
    lines = []
    for case in experiment.cases:
        cells = [
            shown(unit_of(column.path), findings.look(case.name, column.path))
            for column in experiment.columns
        ]
        lines.append((case.name, *cells))
    trials = max((run.trial for run in findings.result.runs), default=0)
    notes = (f"{trials} trials each. {_over_trials(experiment)}",) if trials > 1 else ()
    headers = ("case", *(column.header for column in experiment.columns))
    return Table(f"Measured: {experiment.name}", headers, tuple(lines), notes=notes)


def _over_trials(experiment: Experiment) -> str:
    """How the trials became one figure in each column."""
    labels: dict[OverTrials, list[str]] = {}
    for column in experiment.columns:
        figure = figure_of(column.path)
        labels.setdefault(figure.over_trials, []).append(figure.label)
    return " ".join(
        f"{how.value[0].upper()}{how.value[1:]}: {', '.join(which)}."
        for how, which in labels.items()
    )


def _claim(claim: Claim) -> str:
    indent = " " * 16
    said = wrapped(claim.text, indent, f"  {claim.verdict:<14}")
    return f"{said}\n{wrapped(claim.numbers, indent)}"
