"""When a comparison has measured enough: all servers are known narrowly, or time is up."""

import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace

from loadgen.judge import paired
from loadgen.judge.figures import undisturbed
from loadgen.judge.intervals import Estimate
from loadgen.judge.names import separated
from loadgen.judge.ranks import headline
from loadgen.judge.registry import CONNECTIONS, MEMORY, RESPONSE_P99
from loadgen.plan.plan import Plan
from loadgen.record.result import Run
from loadgen.record.tally import Turn

DEFAULT_TRIALS = 3
DEFAULT_PRECISION = 0.05
# For each server and load of a comparison: five servers are then done in a little over a minute.
DEFAULT_MAX_SECONDS = 14.0


class Enough:
    """Decides after each life, or trial, whether there is another.

    `subjects` is how many servers times loads there are, and `in_turns` whether servers take turns.
    """

    def __init__(self, asked: Namespace, subjects: int, in_turns: bool) -> None:
        self.lives: int | None = asked.trials
        self._unit = "life" if in_turns else "trial"
        self._precision: float | None = asked.precision
        self._max_seconds: float | None = asked.max_seconds
        if self.lives is None and self._precision is None and in_turns:
            self._precision = DEFAULT_PRECISION
        if self.lives is None and self._precision is None:
            self.lives = DEFAULT_TRIALS if subjects > 1 else 1
        if self.lives is None and self._max_seconds is None:
            self._max_seconds = DEFAULT_MAX_SECONDS * subjects
        self._began = self._last = time.monotonic()
        self._longest = 0.0
        self._measured = 0

    def verdict(self, by_name: Mapping[str, Sequence[Run]]) -> tuple[bool, str]:
        """Whether it is enough after one life more, and why in a sentence; "" where that is plain.

        `by_name` has each server's runs of all lives so far.
        """
        now = time.monotonic()
        self._longest = max(self._longest, now - self._last)
        self._last = now
        self._measured += 1
        passed = now - self._began
        if self._precision is not None and not unsure(by_name, self._precision):
            ran = {name for same in _by_load(by_name) for name in same}
            who = "every server" if ran == by_name.keys() else "every server that ran"
            return True, self._said(f"{who} is known within {self._precision:.1%}") if ran else ""
        if self._measured == self.lives:
            asked = f"so many were asked for; {self._unsure(by_name)}"
            return True, self._said(asked) if self._precision is not None else ""
        if self._max_seconds is not None and passed + self._longest > self._max_seconds:
            limit = f"{self._max_seconds:g} s (--max-seconds gives more)"
            up = f"there was no time for another within {limit}; {self._unsure(by_name)}"
            return True, self._said(up)
        return False, ""

    def _said(self, why: str) -> str:
        lives = "lives" if self._unit == "life" else "trials"
        unit = self._unit if self._measured == 1 else lives
        return f"measured {self._measured} {unit} in {self._last - self._began:.0f} s: {why}"

    def _unsure(self, by_name: Mapping[str, Sequence[Run]]) -> str:
        if self._precision is None:
            return "no precision was asked for"
        names = separated(list(dict.fromkeys(unsure(by_name, self._precision))))
        return f"not within {self._precision:.1%} yet: {names}"


def unsure(by_name: Mapping[str, Sequence[Run]], precision: float) -> list[str]:
    """The servers, once for each load, that are not known within `precision` (0.05: 5 %) yet.

    What their load is ranked by decides. A server of which nothing was measured is passed over.
    """
    return [name for same in _by_load(by_name) for name in paired.unsure(same, precision)]


def half_intervals(by_name: Mapping[str, Sequence[Run]]) -> dict[str, Estimate]:
    """Each server with its interval so far, that of the load under which it is widest.

    Left out are those that have none yet.
    """
    widest: dict[str, Estimate] = {}
    for same in _by_load(by_name):
        for name, turns in same.items():
            found = paired.own(turns, [other for one, other in same.items() if one != name])
            if found is None or found.spread is None or len({life for life, _ in turns}) < 2:
                continue  # rounds of one life do not know how another start would turn out
            if name not in widest or found.spread > (widest[name].spread or 0.0):
                widest[name] = found
    return widest


def _by_load(by_name: Mapping[str, Sequence[Run]]) -> list[dict[str, paired.Turns]]:
    """For each load, the turns of each server that was measured, as what the load is ranked by."""
    loads: dict[Plan, dict[str, dict[tuple[int, int], float]]] = {}
    for name, runs in by_name.items():
        for run in runs:
            for turn in _turns(run):
                turns = loads.setdefault(replace(run.plan, seed=0), {}).setdefault(name, {})
                turns[run.trial, turn.round] = _value(turn, run)
    return [dict(same) for same in loads.values()]


def _turns(run: Run) -> Sequence[Turn]:
    """The turns of a run that tell of it; one that took none is a turn by itself."""
    tally = run.tally
    if tally is None or tally.window_started is None:
        return []
    if tally.turns:
        return undisturbed(run)
    whole = Turn(round=1, started=tally.window_started, seconds=tally.window_seconds)
    for group in tally.groups:
        whole.answered += group.answered_in_window
        whole.connections += group.connections_in_window
        whole.response.merge(group.response)
    return [whole]


def _value(turn: Turn, run: Run) -> float:
    """What the load is ranked by, in one turn; 0 where nothing was measured."""
    by = headline(run.plan).path
    if by == MEMORY:  # a peak, the same for all turns of a life
        return float(run.server.memory_bytes or 0)
    if by == RESPONSE_P99:
        return turn.response.percentile(99) or 0.0
    counted = turn.connections if by == CONNECTIONS else turn.answered
    return counted / turn.seconds if turn.seconds else 0.0
