"""A search for the highest rate of each server within bounds, as it goes on: which trial is next.

The search itself is pure (`judge.rate_search`); here it gets its outcomes, its plans and its end.
Every trial has a server that was started afresh, since one may be born slow, and begins once all
that was due while the clients connected has been answered, so that it measures the rate and not the
start. Where several servers are compared, those whose search goes on are all up in each life and
have one turn each, at rates of their own: they share the machine's good and bad moments, though no
two of them can be paired.
"""

import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from loadgen.command.enough import DEFAULT_PRECISION, DEFAULT_TRIALS
from loadgen.command.plans import TURN_WARMUP_SECONDS
from loadgen.judge import units
from loadgen.judge.rate_search import SHORTEST_SECONDS, Outcome, Step, bracket, next_step
from loadgen.judge.rates import counts, outcome, rate_of
from loadgen.judge.requirement import Requirement
from loadgen.judge.rows import trial_of
from loadgen.plan.plan import Plan
from loadgen.plan.rate_search import RateSearch
from loadgen.plan.validation import PlanError
from loadgen.record.environment import Environment
from loadgen.record.result import Ceiling, Run

DEFAULT_RATE_SECONDS: Final = 2.0
DEFAULT_SEARCH_SECONDS: Final = 60.0
LOWEST_RATE: Final = 10.0
# For each worker, where it was not measured what the engine can do: more than any has done yet.
UNKNOWN_CEILING: Final = 100_000.0


def search_of(asked: Namespace, plan: Plan, ceiling: Ceiling | None) -> RateSearch:
    """The search that the options amount to. Raises PlanError for one that makes no sense."""
    highest = UNKNOWN_CEILING * plan.workers if ceiling is None else ceiling.messages_per_second
    search = RateSearch(
        bounds=tuple(dict.fromkeys(map(str, asked.find_rate))),
        width=asked.precision or DEFAULT_PRECISION,
        trial_seconds=asked.duration or DEFAULT_RATE_SECONDS,
        trials=asked.trials or DEFAULT_TRIALS,
        lowest=LOWEST_RATE,
        highest=max(LOWEST_RATE, float(f"{highest:.3g}")),
    )
    search.validate()
    return search


def check_search(asked: Namespace, plans: Sequence[Plan]) -> None:
    """Refuse what a search does not go with. Raises PlanError."""
    given = {
        "--rate": asked.rate is not None,
        "--sweep, or several --clients": len(plans) > 1,
        "--messages": asked.messages is not None,
        "--think": bool(asked.think[0]),
        "--require": bool(asked.require),
        "--ramp or --connect-rate": bool(asked.ramp or asked.connect_rate),
    }
    for option, there in given.items():
        if there:
            raise PlanError(f"--find-rate chooses the load itself; leave out {option}")
    if sum(not group.silent for group in plans[0].groups) != 1:
        raise PlanError(
            "--find-rate searches for the rate of one group of clients; silent ones may be beside "
            "it (--idle)"
        )
    search_of(asked, plans[0], None)
    _paced(plans[0], Step(LOWEST_RATE, SHORTEST_SECONDS), asked).validate()


class RateFinder:
    """The search for each of several servers, by their names."""

    def __init__(
        self,
        asked: Namespace,
        plan: Plan,
        search: RateSearch,
        servers: Sequence[str],
        surroundings: tuple[Ceiling | None, Environment],
    ) -> None:
        self._asked, self._plan, self._search = asked, plan, search
        self._ceiling, self._here = surroundings
        self._bounds: list[Requirement] = list(dict.fromkeys(asked.find_rate))
        self._outcomes: dict[str, list[list[Outcome]]] = {
            name: [[] for _ in self._bounds] for name in servers
        }
        # What each did in a closed loop, in messages/s: where its search begins.
        self._starts: dict[str, float | None] = {}
        several = 1 + (len(self._bounds) - 1) / 2
        self._max_seconds = asked.max_seconds or DEFAULT_SEARCH_SECONDS * len(servers) * several
        self._began = self._last = time.monotonic()
        self._longest = 0.0

    def next_plans(self) -> dict[str, Plan]:
        """The next trial of each server whose search goes on; empty at its end."""
        return {name: plan for name in self._outcomes if (plan := self._next(name)) is not None}

    def take(self, name: str, run: Run) -> None:
        """Take in a trial that has ended."""
        trial = trial_of(run, self._ceiling, self._here)
        if rate_of(run.plan) is None:
            self._starts[name] = trial.figures.messages_per_second
        elif counts(trial):
            for bound, outcomes in zip(self._bounds, self._outcomes[name], strict=True):
                outcomes.append(outcome(trial, bound))

    def time_is_up(self) -> str:
        """Why there is no time for another life, in a sentence; "" while there is."""
        now = time.monotonic()
        self._longest = max(self._longest, now - self._last)
        self._last = now
        if now - self._began + self._longest <= self._max_seconds:
            return ""
        left = ", ".join(self.next_plans())
        return (
            f"the search ended after {now - self._began:.0f} s, before it was done ({left}): "
            f"there was no time for another trial within {self._max_seconds:g} s; "
            "--max-seconds gives more"
        )

    def words(self, name: str) -> str:
        """What is known so far of the first bound that is not found yet: between which rates."""
        last = ""
        for outcomes in self._outcomes[name]:
            found = bracket(self._search, outcomes)
            if found.lower is not None or found.upper is not None:
                last = f"{units.rate(found.lower)} to {units.rate(found.upper)}/s"
            if not found.sure:
                break
        return last

    def _next(self, name: str) -> Plan | None:
        if name not in self._starts:
            return replace(
                self._plan,
                duration_seconds=min(SHORTEST_SECONDS, self._search.trial_seconds),
                warmup_seconds=_warmup(self._asked),
                turns=1,
            )
        start = self._starts[name]
        if not start:
            return None
        for outcomes in self._outcomes[name]:
            step = next_step(self._search, outcomes, start)
            if step is not None:
                return _paced(self._plan, step, self._asked)
        return None


def _paced(plan: Plan, step: Step, asked: Namespace) -> Plan:
    """The plan of one trial."""
    groups = tuple(
        group
        if group.silent
        else replace(group, rate_per_second=step.rate, arrivals=asked.arrivals)
        for group in plan.groups
    )
    return replace(
        plan,
        groups=groups,
        duration_seconds=step.seconds,
        warmup_seconds=_warmup(asked),
        turns=1,
    )


def _warmup(asked: Namespace) -> float:
    return TURN_WARMUP_SECONDS if asked.warmup is None else float(asked.warmup)
