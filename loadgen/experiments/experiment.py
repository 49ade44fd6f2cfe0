"""What an experiment is, as data: cases to measure, a table to show, hypotheses to check.

Nothing here runs or prints. A case is measured for the length that a `Scale` gives; a hypothesis
names its figures by case and path, so that it can be checked against any figures at all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from loadgen.experiments.quantity import Ends, Quantity
from loadgen.fleet.task import Driver
from loadgen.plan.plan import Plan
from loadgen.record.lesson import Part, Picture, Series


@dataclass(frozen=True)
class Scale:
    """How thoroughly to measure: the window of each run, what is left out before it, repetitions.

    `quick` takes a case's `quick_driver`, where it has one.
    """

    seconds: float
    warmup_seconds: float
    trials: int
    quick: bool = False


QUICK = Scale(seconds=1.0, warmup_seconds=0.3, trials=1, quick=True)
FULL = Scale(seconds=3.0, warmup_seconds=0.5, trials=3)


@dataclass(frozen=True)
class Case:
    """One server under one load.

    `name` is unique in its experiment; `server` names a model of ours or, where the registry has
    none of that name, a specimen. `options` go to the model. `open_files` limits the server's
    descriptors. `gil` "on" or "off" takes a Python that has it, or one of that version that does
    without; None is for our own. `cores` is on how many the server may run, counted from the first.
    `driver` puts the load on in place of the engine; `quick_driver` is the one for a
    lesson, where that takes too long. `fixed` keeps the plan's own times, where the server acts by
    the clock.
    """

    name: str
    server: str
    plan: Plan
    options: tuple[str, ...] = ()
    label: str | None = None
    open_files: int | None = None
    gil: str | None = None
    cores: int | None = None
    driver: Driver | None = None
    quick_driver: Driver | None = None
    fixed: bool = False

    @property
    def shown_as(self) -> str:
        """What tables and reports call the server."""
        return self.label or self.name

    def plan_at(self, scale: Scale) -> Plan:
        """The plan at that scale."""
        if self.plan.duration_seconds is None or self.fixed:
            return self.plan
        return replace(
            self.plan, duration_seconds=scale.seconds, warmup_seconds=scale.warmup_seconds
        )

    def driver_at(self, scale: Scale) -> Driver | None:
        """What puts the load on at that scale, None for the engine."""
        return self.quick_driver if scale.quick and self.quick_driver is not None else self.driver


@dataclass(frozen=True)
class Hypothesis:
    """A claim about figures that the program checks: `value` within `at_least` and `at_most`.

    `lesson` is the sentence to take home when it holds, `otherwise` the one when it does not; in
    both, "{value}" stands for the number. `cores` is how many a machine must have for it.
    """

    text: str
    value: Quantity
    at_least: float | None = None
    at_most: float | None = None
    lesson: str = ""
    otherwise: str = ""
    cores: int = 1

    def holds(self, ends: Ends) -> bool | None:
        """Whether a value is as expected, wherever between those ends it is; None if some are."""
        low, high = ends
        least = -math.inf if self.at_least is None else self.at_least
        most = math.inf if self.at_most is None else self.at_most
        if least <= low and high <= most:
            return True
        return False if high < least or low > most else None


@dataclass(frozen=True)
class Column:
    """A column of the experiment's table: a figure by its path; a header of one or two lines."""

    header: str
    path: str


def named(columns: Sequence[Column]) -> dict[str, str]:
    """The columns' names by their paths, each in one line.

    A header whose first line is empty stands under the first line of the one before it.
    """
    found, above = {}, ""
    for column in columns:
        first, _, second = column.header.rpartition("\n")
        above = first or above if "\n" in column.header else ""
        found[column.path] = f"{above} {second}".strip().replace("- ", "").replace(" /s", "/s")
    return found


@dataclass(frozen=True)
class Ranking:
    """What the viewer is asked to put in order: cases by one figure, the best first."""

    question: str
    path: str
    cases: tuple[str, ...]
    more_is_better: bool = True


@dataclass(frozen=True)
class Experiment:
    """A question and how it is answered.

    `load` says in a sentence what the clients do. `source` is where the expectation comes from.
    `picture` is what a report shows large, made of figures that `columns` have.
    """

    name: str
    question: str
    load: str
    expectation: str
    source: str
    cases: tuple[Case, ...]
    columns: tuple[Column, ...]
    picture: Picture
    ranking: Ranking
    hypotheses: tuple[Hypothesis, ...]

    def case(self, name: str) -> Case:
        """The case of that name."""
        return next(case for case in self.cases if case.name == name)


def names_of(cases: Sequence[Case]) -> tuple[str, ...]:
    """The cases' names."""
    return tuple(case.name for case in cases)


def bars(title: str, path: str, cases: Sequence[Case], nothing: str = "not measured") -> Part:
    """One bar for each case, the figure at `path`; `nothing` is said where there was none."""
    return Part(title, (Series(path, nothing=nothing),), names_of(cases))
