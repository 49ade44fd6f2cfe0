"""The highest rates that were found: each trial held against each bound, and what that comes to.

A trial is a run of an open loop. It keeps a bound when its figure does, in that run alone, and
when nothing else went wrong: the server kept up with the rate, answered everybody, and every reply
was right. So a server that falls behind cannot look quick by what it did answer.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from loadgen.judge.rate_search import Bracket, Outcome, bracket
from loadgen.judge.registry import figure_of
from loadgen.judge.requirement import Requirement, RequirementError, parse
from loadgen.judge.rows import Row, Trial
from loadgen.judge.service import RATE_REACHED
from loadgen.judge.units import share
from loadgen.judge.verdict import GENERATOR, GENERATOR_BUSY, at_its_limit, near_ceiling, sent_late
from loadgen.plan.plan import Plan
from loadgen.record.result import Ceiling, RecordError, Result

SERVICE: Final = "latency_seconds."
RESPONSE: Final = "response_seconds."


@dataclass(frozen=True)
class FoundRate:
    """The highest rate of one server within one bound, in messages/s.

    It held at `rate` and failed at `failed`, so that the highest lies between; None is what was not
    found. `held` of `trials` at that rate kept the bound, the longest of them of `seconds`.
    `why` says what failed in the last trial at `failed`. `generator` is whether it was the load
    generator that could do no more there, and `sure` whether the search came to its end.
    """

    name: str
    bound: str
    rate: float | None
    failed: float | None
    held: int
    trials: int
    seconds: float
    why: str
    generator: bool
    sure: bool

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def bound_of(text: str) -> Requirement:
    """A bound for a search, as `requirement.parse` reads it. Raises RequirementError.

    A bound on the latency is one on the response time: in an open loop, latency from sending would
    leave out what a message waited before it could be sent (coordinated omission).
    """
    found = parse(text)
    if found.comparison in ("==", "!="):
        raise RequirementError(f"{text!r} is no bound for a rate; write < <= > or >=")
    if found.path.startswith(SERVICE):
        path = RESPONSE + found.path.removeprefix(SERVICE)
        found = Requirement(path, found.comparison, found.bound)
    return found


def found_rates(result: Result, rows: Sequence[Row]) -> list[FoundRate]:
    """What a search found: for each server, in the order of the rows, each bound.

    Empty for a result of anything else. Raises RecordError for a bound that cannot be read.
    """
    search = result.rate_search
    if search is None:
        return []
    try:
        bounds = [bound_of(text) for text in search.bounds]
    except RequirementError as error:
        raise RecordError(f"the result is damaged: {error}") from None
    trials: dict[str, list[Trial]] = {}
    for row in rows:
        trials.setdefault(row.name, []).extend(row.trials)
    found = []
    for name, own in trials.items():
        counted = [trial for trial in own if counts(trial)]
        for bound in bounds:
            outcomes = [outcome(trial, bound) for trial in counted]
            known = bracket(search, outcomes)
            found.append(_found(name, bound, known, counted, result.ceiling))
    return found


def counts(trial: Trial) -> bool:
    """Whether it is a trial of a rate that ran to its end: the first one of a search asks for none.

    A server that did not run, or whose load could not be put on, kept no bound.
    """
    cut_short = trial.run.tally is not None and trial.run.tally.cut_short
    return rate_of(trial.run.plan) is not None and not cut_short


def outcome(trial: Trial, bound: Requirement) -> Outcome:
    """One trial and one bound, for the search."""
    plan = trial.run.plan
    rate = rate_of(plan)
    assert rate is not None
    assert plan.duration_seconds is not None
    return Outcome(rate, plan.duration_seconds, why_failed(trial, bound) is None)


def rate_of(plan: Plan) -> float | None:
    """The rate that was asked for; None in a closed loop."""
    return next((group.rate_per_second for group in plan.groups if group.open_loop), None)


def why_failed(trial: Trial, bound: Requirement) -> str | None:
    """What was wrong with a trial, in a few words; None where it kept the bound."""
    found = trial.figures
    if trial.run.tally is None:
        return "it did not run"
    if not trial.audit.valid:
        return "the run failed its audit"
    broken = (found.wrong or 0) + (found.failed or 0) + sum((found.errors or {}).values())
    if broken:
        return "some messages failed"
    if _behind(trial):
        rate = rate_of(trial.run.plan) or math.inf
        return f"it reached {share((found.messages_per_second or 0.0) / rate)} of the rate"
    # A turn ends when all that was due in it is answered. Clients that starve are no matter here:
    # at a low rate many have no message at all.
    if found.waiting:
        return "messages were left waiting"
    value = trial.by_path.get(bound.path)
    if value is None:
        return f"{figure_of(bound.path).label} was not measured"
    if bound.holds(value):
        return None
    figure = figure_of(bound.path)
    return f"{figure.label} was {figure.unit.said(value)}"


def by_generator(trial: Trial, ceiling: Ceiling | None) -> bool:
    """Whether a trial may have failed because the load generator could do no more.

    It sent late itself, came near what it can do at all, or was busy all the time while the server
    was not. That it is busy means little by itself: it waits for the clock in short sleeps.
    """
    found = trial.figures
    rate, worker = found.messages_per_second or 0.0, found.engine.busiest_worker_cpu or 0.0
    if sent_late(trial.run, found) is not None:
        return True
    if ceiling is not None and near_ceiling(rate, ceiling):
        return True
    busy = trial.verdict.bound == GENERATOR and worker >= GENERATOR_BUSY
    return busy and _behind(trial) and not at_its_limit(trial.run, found)


def _behind(trial: Trial) -> bool:
    """Whether it answered less than was due, by more than chance and the window's ends explain."""
    found, plan = trial.figures, trial.run.plan
    rate, window = rate_of(plan) or 0.0, found.window_seconds or 0.0
    due = rate * window
    # Poisson arrivals come so many more or fewer; evenly spaced ones may fall to either side.
    poisson = any(group.open_loop and group.arrivals == "poisson" for group in plan.groups)
    slack = 3 * math.sqrt(due) if poisson else 1.0
    return (found.messages or 0) < RATE_REACHED * due - slack


def _found(
    name: str,
    bound: Requirement,
    known: Bracket,
    trials: Sequence[Trial],
    ceiling: Ceiling | None,
) -> FoundRate:
    at = [trial for trial in trials if rate_of(trial.run.plan) == known.lower]
    lengths = [trial.run.plan.duration_seconds or 0.0 for trial in at]
    longest = max(lengths, default=0.0)
    full = [trial for trial, length in zip(at, lengths, strict=True) if length == longest]
    above = [
        trial
        for trial in trials
        if rate_of(trial.run.plan) == known.upper and why_failed(trial, bound) is not None
    ]
    reasons = [why for trial in above if (why := why_failed(trial, bound)) is not None]
    generators = sum(by_generator(trial, ceiling) for trial in above)
    return FoundRate(
        name=name,
        bound=str(bound),
        rate=known.lower,
        failed=known.upper,
        held=sum(why_failed(trial, bound) is None for trial in full),
        trials=len(full),
        seconds=longest,
        why=reasons[-1] if reasons else "" if trials else "nothing was answered",
        generator=2 * generators > len(above),
        sure=known.sure,
    )
