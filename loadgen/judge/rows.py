"""Trials together as rows: one server under one load, and one number for each of its figures.

How trials become that number is the registry's to say, so that a figure is the same wherever it is
shown, ranked by, compared or required.
"""

import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

from loadgen.judge import intervals, paired, service
from loadgen.judge.audit import Audit, audit
from loadgen.judge.figures import Figures, Percentiles, clocks, figures, flat, together, undisturbed
from loadgen.judge.intervals import Estimate, Ratio
from loadgen.judge.paired import Turns
from loadgen.judge.registry import CPU_PER_MESSAGE, MESSAGES, OverTrials, figure_of
from loadgen.judge.speeds import Speeds, speeds_of
from loadgen.judge.units import COUNT, SECONDS
from loadgen.judge.verdict import (
    GENERATOR,
    GIL,
    MACHINE,
    NETWORK,
    SERVER,
    WAITING,
    Verdict,
    verdict,
)
from loadgen.plan.plan import Plan
from loadgen.record.environment import Environment
from loadgen.record.histogram import RESOLUTION
from loadgen.record.monitor import ServerCost
from loadgen.record.result import Ceiling, Result, Run
from loadgen.record.tally import GroupTally, Tally, Turn

LOAD: Final = (
    "family",
    "transport",
    "talk",
    "framing",
    "reply_prefix",
    "messages_per_client",
    "ramp_seconds",
    "connect_rate",
)
"""What belongs to a load beside its groups."""

_OVER_TRIALS: Final[Mapping[OverTrials, Callable[[Sequence[float]], float]]] = {
    OverTrials.MEDIAN: statistics.median,
    OverTrials.TOTAL: sum,
    OverTrials.HIGHEST: max,
    OverTrials.LOWEST: min,
}


_ESTIMATED: Final = (OverTrials.MEAN, OverTrials.POOLED)


@dataclass(frozen=True)
class Trial:
    """One run with what follows from it."""

    run: Run
    figures: Figures
    audit: Audit
    verdict: Verdict

    @cached_property
    def by_path(self) -> dict[str, float | None]:
        """Its figures by their paths in the JSON."""
        return flat(self.figures)

    @property
    def starved_unduly(self) -> int:
        """How many clients starved whom the model could have served."""
        return service.starved_unduly(self.run, self.figures)

    @property
    def left_waiting(self) -> int:
        """How many messages of clients that were being served had no reply in the end."""
        return service.left_waiting(self.run, self.figures)

    @property
    def owed_by_the_clock(self) -> int:
        """How many of those belong to open loops."""
        return service.owed_by_the_clock(self.run, self.figures)


@dataclass(frozen=True)
class Span:
    """A count over trials, from the lowest to the highest."""

    low: int
    high: int


@dataclass(frozen=True)
class Row:
    """One server under one load, over its trials.

    `rank` counts from 1; when it is None, `unranked` says why. `ties` are the rows that cannot be
    told apart from this one, of whatever rank. `others` took turns with it. Figures
    are asked for by their path in the JSON; None is what was not measured, and KeyError what there
    is no figure of.
    """

    name: str
    trials: tuple[Trial, ...]
    bound: Verdict
    rank: int | None = None
    unranked: str | None = None
    ties: tuple[str, ...] = ()
    others: tuple["Row", ...] = ()

    @property
    def run(self) -> Run:
        """The first trial's run, for what all of them share."""
        return self.trials[0].run

    @property
    def plan(self) -> Plan:
        return self.run.plan

    @property
    def valid(self) -> bool:
        return all(trial.audit.valid for trial in self.trials)

    @property
    def problem(self) -> str | None:
        """Why a trial could not be run at all, in one line."""
        said = (trial.run.problem_in_brief for trial in self.trials)
        return next(filter(None, said), None)

    def value(self, path: str) -> float | None:
        """The one number for a figure, made of the trials as the registry says.

        A mean takes every trial; it is the plain one where some trial has 0, which has no
        logarithm. All else is made of the trials that measured it.
        """
        over_trials = figure_of(path).over_trials
        measured = self.measured(path)
        if not measured:
            return None
        if over_trials is OverTrials.POOLED:
            clock, _, statistic = path.rpartition(".")
            found = getattr(self._pooled_percentiles[clock], statistic)
            return None if found is None else float(found)
        if over_trials is OverTrials.MEAN:
            if len(measured) < len(self.trials):
                return None
            mean = intervals.estimate(measured)
            return statistics.fmean(measured) if mean is None else mean.mean
        return float(_OVER_TRIALS[over_trials](measured))

    def estimate(self, path: str) -> Estimate | None:
        """The value of a figure with its 95 % interval, where the trials give one.

        The interval is that of the trials' geometric mean (Student's t over their logarithms). A
        trial of a server that took turns is a life, of a single life its turns count, and what
        moved the others as well is taken out (see `paired.own`). For a value that is made
        otherwise, such as a percentile of all trials' messages together, it keeps its width as a
        factor and stands around that value.
        """
        point = self.value(path)
        if point is None:
            return None
        found = None
        if point > 0 and None not in self.values(path):
            resolution = _resolution(path)
            beside = [row._turns(path) for row in self.others]
            found = paired.own(self._turns(path), beside, point, resolution)
            if found is None:
                beside = [row._lives(path) for row in self.others]
                found = paired.own(self._lives(path), beside, point, resolution)
        return found or Estimate(point, None, None, len(self.trials))

    def bounds(self, path: str) -> tuple[float, float] | None:
        """The ends of the interval of what would come out differently another time.

        None for what was counted, such as failures and peaks: those happened, whatever else may.
        """
        figure, found = figure_of(path), self.estimate(path)
        counted = figure.unit is COUNT or figure.over_trials not in _ESTIMATED
        if counted or found is None or found.low is None or found.high is None:
            return None
        return found.low, found.high

    def ratio(self, path: str, base: "Row") -> Ratio | None:
        """How many times the value of `base`, of the same result, its own is; with an interval.

        Servers that took turns are compared within their rounds (rates, latencies, CPU per
        message), or within their lives where a figure is only known of those; others by Welch's
        interval. None where one of the values is 0 or was not measured.
        """
        if not self.took_turns or not base.took_turns:
            return self.ratio_across(path, base)
        own, other = self.value(path), base.value(path)
        if not own or not other:
            return None
        # The mean of what was paired is the ratio; the values themselves may be of other turns.
        point = None if figure_of(path).over_trials is OverTrials.MEAN else own / other
        resolution = 2 * _resolution(path)
        found = paired.ratio(self._turns(path), base._turns(path), point, resolution)
        found = found or paired.ratio(self._lives(path), base._lives(path), point, resolution)
        return found or Ratio(own / other, None, None, min(len(self.trials), len(base.trials)))

    def ratio_across(self, path: str, base: "Row") -> Ratio | None:
        """The same for a row of another result: with Welch's interval, since nothing pairs them."""
        own, other = self.value(path), base.value(path)
        if not own or not other:
            return None
        found = intervals.ratio(
            self.values(path), base.values(path), (own, other), 2 * _resolution(path)
        )
        return found or Ratio(own / other, None, None, min(len(self.trials), len(base.trials)))

    @property
    def took_turns(self) -> bool:
        """Whether it took turns with others; each trial is then a life."""
        return any(tally.turns for tally in self._tallies)

    def _turns(self, path: str) -> Turns:
        """The figure in each turn that tells of it; empty where it is not known of turns."""
        return {
            (trial.run.trial, turn.round): value
            for trial in self.trials
            for turn in undisturbed(trial.run)
            if (value := _in_turn(path, turn, trial.run.server)) is not None
        }

    def _lives(self, path: str) -> Turns:
        """The figure in each trial that measured it, as if that had one turn."""
        return {
            (trial.run.trial, 1): value
            for trial in self.trials
            if (value := trial.by_path.get(path)) is not None
        }

    @cached_property
    def speeds(self) -> Speeds | None:
        """The speeds that it ran at, in messages/s, where there is no one speed."""
        lines = []
        for tally in self._tallies:
            whole = together(tally.groups)
            # The last slice is seldom a whole one.
            lines.append([count / whole.timeline_slice_seconds for count in whole.timeline[:-1]])
        return speeds_of(lines)

    def values(self, path: str) -> list[float | None]:
        """The figure in each trial."""
        return [trial.by_path.get(path) for trial in self.trials]

    def measured(self, path: str) -> list[float]:
        """The figure in those trials that measured it."""
        return [value for value in self.values(path) if value is not None]

    def span(self, path: str) -> Span | None:
        """A count, from the trial with the fewest to the trial with the most."""
        values = self.measured(path)
        return Span(int(min(values)), int(max(values))) if values else None

    def ever(self, *paths: str) -> bool:
        """Whether any of these counts was above 0 in any trial."""
        return any(any(self.measured(path)) for path in paths)

    def percentiles(self, clock: str) -> Percentiles | None:
        """The distribution of a clock such as "latency_seconds", over all trials' messages."""
        return self._pooled_percentiles[clock] if self.measured(f"{clock}.count") else None

    @cached_property
    def pooled(self) -> GroupTally:
        """All groups and trials added up."""
        return together(group for tally in self._tallies for group in tally.groups)

    def pooled_group(self, name: str) -> GroupTally:
        """One group over all trials."""
        every = (group for tally in self._tallies for group in tally.groups)
        return together(group for group in every if group.name == name)

    @property
    def errors(self) -> dict[str, int]:
        """Failures by errno name, summed over the trials."""
        return dict(sorted(self.pooled.errors.items()))

    @property
    def kernel(self) -> dict[str, int]:
        """How far the kernel's counters moved over the trials, those that did."""
        moved: Counter[str] = Counter()
        for trial in self.trials:
            moved.update(trial.run.kernel or {})
        return {name: count for name, count in moved.items() if count > 0}

    @property
    def memory_kind(self) -> str | None:
        return next((kind for trial in self.trials if (kind := trial.run.server.memory_kind)), None)

    @property
    def notes(self) -> list[str]:
        """Why parts of the server's cost are missing."""
        return [note for trial in self.trials if (note := trial.run.server.note)]

    @property
    def _tallies(self) -> list[Tally]:
        return [tally for trial in self.trials if (tally := trial.run.tally) is not None]

    @cached_property
    def _pooled_percentiles(self) -> dict[str, Percentiles]:
        """Path of a clock, of all groups or of one -> its distribution over all trials."""
        tallies = {"": self.pooled}
        for group in self.plan.groups:
            tallies[f"groups.{group.name}."] = self.pooled_group(group.name)
        return {
            prefix + clock: Percentiles.of(histogram)
            for prefix, tally in tallies.items()
            for clock, histogram in clocks(tally).items()
            if histogram is not None
        }


def rows_by_load(result: Result) -> list[list[Row]]:
    """The rows of a result, not ranked yet: those under one load together, smaller loads first."""
    kinds: dict[tuple[Any, ...], list[Run]] = {}
    for run in result.runs:
        key = (load_of(run.plan), run.model, run.label, run.python, run.gil)
        kinds.setdefault(key, []).append(run)
    pythons = {(run.python, run.gil) for run in result.runs if run.python is not None}
    loads: dict[Any, list[Row]] = {}
    for key, runs in kinds.items():
        trials = tuple(_judge(run, result) for run in runs)
        bound = _common_verdict([trial.verdict for trial in trials])
        row = Row(_name(runs[0], several_pythons=len(pythons) > 1), trials, bound)
        loads.setdefault(key[0], []).append(row)
    in_order = sorted(loads.values(), key=lambda same: _size_of(same[0].plan))
    return [[_beside(row, same) for row in same] for same in in_order]


def trial_of(run: Run, ceiling: Ceiling | None, here: Environment) -> Trial:
    """A run judged by itself; `ceiling` is that of its load, `here` the machine."""
    found = verdict(run, ceiling, here.usable_cores, here.cpu_quota)
    return Trial(run, figures(run), audit(run), found)


def load_of(plan: Plan) -> tuple[Any, ...]:
    """What makes two loads the same.

    That is everything but how long and by how many workers it is put on, and the seed.
    """
    return tuple(getattr(plan, name) for name in ("groups", *LOAD))


def _size_of(plan: Plan) -> tuple[Any, ...]:
    """What to put loads in order by, which ran at random: more clients or larger messages later."""
    groups = tuple(
        (group.clients, group.size_bytes, group.rate_per_second or 0.0, group.think_seconds)
        for group in plan.groups
    )
    return len(groups), groups, plan.framing


def _beside(row: Row, same: Sequence[Row]) -> Row:
    """The row with those that took turns with it, of all under its load."""
    return replace(row, others=tuple(one for one in same if one is not row and one.took_turns))


def _in_turn(path: str, turn: Turn, cost: ServerCost) -> float | None:
    """A figure in one turn, as it is in a whole run; None where it is not known of turns."""
    rate = turn.answered / turn.seconds if turn.seconds else None
    if path == MESSAGES:
        return rate
    if path == CPU_PER_MESSAGE:
        own = next((one for one in cost.turns if one.round == turn.round), None)
        if own is None or own.cpu_seconds is None or not own.seconds or not rate:
            return None
        return own.cpu_seconds / (own.answered or own.seconds * rate)
    clock, _, statistic = path.rpartition(".")
    if statistic not in _KNOWN_OF_TURNS:
        return None
    histogram = {"latency_seconds": turn.service, "response_seconds": turn.response}.get(clock)
    if histogram is None or not histogram.count:
        return None
    return float(getattr(Percentiles.of(histogram), statistic))


# What a turn has enough messages for: a longest one, or one in a thousand, is another matter.
_KNOWN_OF_TURNS: Final = ("mean", "p50", "p90", "p99")


def _resolution(path: str) -> float:
    """By what share a figure may be off that is read off a histogram; others are exact."""
    figure = figure_of(path)
    pooled = figure.over_trials is OverTrials.POOLED and figure.unit is SECONDS
    return RESOLUTION if pooled else 0.0


def _name(run: Run, several_pythons: bool) -> str:
    """What to call a row: the model or its label, and the interpreter where there are several."""
    name = run.label or run.model
    return f"{name} {run.python}" if several_pythons and run.python is not None else name


def _judge(run: Run, result: Result) -> Trial:
    ceiling = next(
        (one for one in result.ceilings if one.plan and load_of(one.plan) == load_of(run.plan)),
        result.ceiling,
    )
    return trial_of(run, ceiling, result.environment)


def _common_verdict(found: Sequence[Verdict]) -> Verdict:
    """What bound most trials; where they disagree evenly, what casts more doubt."""
    doubt = (GENERATOR, NETWORK, MACHINE, SERVER, GIL, WAITING, None)
    counts = Counter(one.bound for one in found)
    bound = max(counts, key=lambda one: (counts[one], -doubt.index(one)))
    return next(one for one in found if one.bound == bound)
