"""What an experiment is, as data: cases to measure, a table to show, hypotheses to check.

Nothing here runs or prints. A case is measured for the length that a `Scale` gives; a hypothesis
names its figures by case and path, so that it can be checked against any figures at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from loadgen.experiments.quantity import Ends, Quantity
from loadgen.experiments.weighing import Room
from loadgen.fleet.limits import fewest_workers
from loadgen.fleet.task import Driver
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record.lesson import Part, Picture, Series


@dataclass(frozen=True)
class Scale:
    """How thoroughly to measure: the window of each run, what is left out before it, repetitions.

    `quick` takes a case's `quick_driver`, where it has one. `crowd` is how many silent clients a
    case with a `Crowd` has, None for its own number.
    """

    seconds: float
    warmup_seconds: float
    trials: int
    quick: bool = False
    crowd: int | None = None


QUICK = Scale(seconds=1.0, warmup_seconds=0.3, trials=1, quick=True)
FULL = Scale(seconds=3.0, warmup_seconds=0.5, trials=3)


SILENT: Final = "silent"
"""What a crowd is called, among the groups of a plan."""


@dataclass(frozen=True)
class Crowd:
    """Silent clients beside a case's own: as many as asked for, and no more than there is room for.

    `usual` is how many where nobody asks, `quick` how many in a lesson; `room` says how many the
    server can hold on this machine, and why no more.
    """

    usual: int
    quick: int
    room: Callable[[], Room]

    def beside(self, plan: Plan, scale: Scale) -> Plan:
        """The plan with the crowd, and with as many workers as that takes."""
        silent = Group(self._size(plan, scale)[0], name=SILENT, silent=True)
        whole = replace(plan, groups=(*plan.groups, silent))
        return replace(whole, workers=fewest_workers(whole.clients))

    def note(self, plan: Plan, scale: Scale) -> str | None:
        """Why it is smaller than was asked for, None where it is not."""
        size, room = self._size(plan, scale)
        return None if room is None else f"{size:,} silent clients and no more, since {room.reason}"

    def _size(self, plan: Plan, scale: Scale) -> tuple[int, Room | None]:
        wanted = scale.crowd or (self.quick if scale.quick else self.usual)
        room = self.room()
        left = max(1, room.clients - plan.clients)
        return (wanted, None) if wanted <= left else (left, room)


@dataclass(frozen=True)
class Case:
    """One server under one load.

    `name` is unique in its experiment; `server` names a model of ours or, where the registry has
    none of that name, a specimen. `options` go to the model. `open_files` limits the server's
    descriptors. `gil` "on" or "off" takes a Python that has it, or one of that version that does
    without; None is for our own. `cores` is on how many the server may run, counted from the first.
    `driver` puts the load on in place of the engine; `quick_driver` is the one for a lesson, where
    that takes too long. `crowd` comes beside the plan's clients. `fixed` keeps the plan's own
    times, where the server acts by the clock.
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
    crowd: Crowd | None = None
    fixed: bool = False

    @property
    def shown_as(self) -> str:
        """What tables and reports call the server."""
        return self.label or self.name

    def plan_at(self, scale: Scale) -> Plan:
        """The plan at that scale."""
        plan = self.plan if self.crowd is None else self.crowd.beside(self.plan, scale)
        if plan.duration_seconds is None or self.fixed:
            return plan
        return replace(plan, duration_seconds=scale.seconds, warmup_seconds=scale.warmup_seconds)

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
