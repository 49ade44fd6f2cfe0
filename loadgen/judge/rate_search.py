"""The search for the highest rate within a bound: from the trials so far to the next one.

Nothing here measures: outcomes come in, and out comes a rate to try and for how long, or what was
found. The same outcomes always lead to the same answer, so that a saved search can be judged again.

It goes as MLRsearch does. Stages of trials that get longer, and of bounds that get closer: a short
trial decides while the bounds are far apart, and several long ones in the end. A rate is a lower
bound when it would still count as held if every trial that it has not had yet failed, and an upper
bound when it would count as failed if all of those held; in between it gets another trial. The
lowest upper bound counts, and below it the highest lower one, so that a rate that held is dropped
when a lower one fails later: the search then goes back, and down.

Source: Konstantynowicz and Polak, "Multiple Loss Ratio Search" (IETF, draft-ietf-bmwg-mlrsearch),
from which the terms and the classification of loads are taken.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from loadgen.plan.rate_search import RateSearch

# A rate may fail in half the time that was spent on it, so that its bound is one that a trial keeps
# more often than not. MLRsearch's benchmarks of FD.io use the same.
EXCEED_RATIO: Final = 0.5
SHORTEST_SECONDS: Final = 0.5
# Steps in search of a first bound double, as a factor; never more than this.
LONGEST_STEP: Final = 4.0


@dataclass(frozen=True)
class Outcome:
    """One trial: at `rate` messages/s for so many seconds, the bound was kept or it was not."""

    rate: float
    seconds: float
    held: bool


@dataclass(frozen=True)
class Step:
    """A trial to do next."""

    rate: float
    seconds: float


@dataclass(frozen=True)
class Stage:
    """One stage of the search, ended when its bounds are `width` apart.

    Trials of `seconds` and more count in full; a rate is given so many that they come to
    `total_seconds`, unless fewer settle it.
    """

    seconds: float
    total_seconds: float
    width: float


@dataclass(frozen=True)
class Bracket:
    """The highest rate that held (`lower`) below the lowest that failed (`upper`), in messages/s.

    None is what is not known. `sure` is whether the search came to its end.
    """

    lower: float | None
    upper: float | None
    sure: bool = False


def stages(search: RateSearch) -> tuple[Stage, ...]:
    """From one short trial for each rate and wide bounds to the trials and width asked for."""
    last = search.trial_seconds
    first = min(SHORTEST_SECONDS, last)
    middle = math.sqrt(first * last)
    return (
        Stage(first, first, 4 * search.width),
        Stage(middle, middle, 2 * search.width),
        Stage(last, last * search.trials, search.width),
    )


def next_step(search: RateSearch, outcomes: Sequence[Outcome], start: float) -> Step | None:
    """The trial that the search is to have next; None when it is at its end.

    `start` is a rate near which to begin, such as that of a closed loop.
    """
    before = Bracket(None, None)
    for stage in stages(search):
        rate = _next_rate(search, stage, outcomes, before, start)
        if rate is not None:
            return Step(rate, stage.seconds)
        before = _bracket(outcomes, stage)
    return None


def bracket(search: RateSearch, outcomes: Sequence[Outcome]) -> Bracket:
    """What the search has found so far: the last stage, and the ones before where it is silent."""
    *earlier, last = stages(search)
    found = _bracket(outcomes, last)
    lower, upper = found.lower, found.upper
    for stage in reversed(earlier):
        known = _bracket(outcomes, stage)
        if upper is None and (lower is None or (known.upper or 0.0) > lower):
            upper = known.upper
        if lower is None and (upper is None or (known.lower or math.inf) < upper):
            lower = known.lower
    sure = bool(outcomes) and next_step(search, outcomes, search.lowest) is None
    return Bracket(lower, upper, sure)


def _next_rate(
    search: RateSearch,
    stage: Stage,
    outcomes: Sequence[Outcome],
    before: Bracket,
    start: float,
) -> float | None:
    """The rate to try in this stage; None when its bounds are close enough, or at an end."""
    known = _bracket(outcomes, stage)
    lower, upper = known.lower, known.upper
    if lower is None and upper is None:
        wish = before.lower or start
    elif lower is None:
        assert upper is not None
        if upper <= search.lowest:
            return None
        failed = [rate for rate, held in _judged(outcomes, stage).items() if held is False]
        wish = _inside((before.lower,), search.lowest, upper) or upper / _step(failed, stage)
    elif upper is None:
        if lower >= search.highest:
            return None
        held_ones = [rate for rate, held in _judged(outcomes, stage).items() if held]
        wish = _inside((before.upper,), lower, math.inf) or lower * _step(held_ones[::-1], stage)
    elif upper <= lower * (1 + stage.width):
        return None
    else:
        wish = _inside((before.lower, before.upper), lower, upper) or math.sqrt(lower * upper)
    return min(max(_rounded(wish), search.lowest), search.highest)


def _inside(wishes: Sequence[float | None], low: float, high: float) -> float | None:
    """The first of these that lies between the two, none of its own stage's bounds."""
    return next((wish for wish in wishes if wish is not None and low < wish < high), None)


def _step(tried: Sequence[float], stage: Stage) -> float:
    """By what factor to go on, where all tried so far is on one side: the last step, squared.

    `tried` begins with the one to go on from, and then the one before that.
    """
    least = 1 + stage.width
    if len(tried) < 2:
        return least
    last = max(tried[0] / tried[1], tried[1] / tried[0])
    return min(max(last, least) ** 2, LONGEST_STEP)


def _bracket(outcomes: Sequence[Outcome], stage: Stage) -> Bracket:
    judged = _judged(outcomes, stage)
    upper = min((rate for rate, held in judged.items() if held is False), default=None)
    below = math.inf if upper is None else upper
    return Bracket(
        max((rate for rate, held in judged.items() if held and rate < below), default=None), upper
    )


def _judged(outcomes: Sequence[Outcome], stage: Stage) -> dict[float, bool | None]:
    """Each rate that was tried, in rising order: whether it held; None where that is open yet."""
    rates = sorted({outcome.rate for outcome in outcomes})
    return {
        rate: _held([outcome for outcome in outcomes if outcome.rate == rate], stage)
        for rate in rates
    }


def _held(outcomes: Sequence[Outcome], stage: Stage) -> bool | None:
    """Whether one rate held, by its trials; None while those that are to come might decide it.

    Shorter trials count against it as far as they failed more than they held.
    """

    def seconds(held: bool, full: bool) -> float:
        return math.fsum(
            one.seconds
            for one in outcomes
            if one.held is held and (one.seconds >= stage.seconds * 0.99) is full
        )

    allowed = EXCEED_RATIO / (1 - EXCEED_RATIO)
    short = max(0.0, seconds(False, False) - allowed * seconds(True, False))
    good, bad = seconds(True, True), seconds(False, True) + short
    whole = max(good + bad, stage.total_seconds)
    if whole - good <= EXCEED_RATIO * whole:
        return True
    return False if bad > EXCEED_RATIO * whole else None


def _rounded(rate: float) -> float:
    """A rate with four digits, which is far closer than any width."""
    return float(f"{rate:.4g}")
