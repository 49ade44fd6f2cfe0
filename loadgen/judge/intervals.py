"""Intervals for figures that were measured a few times: Student's t on logarithms.

Rates, latencies and costs are positive and vary by factors rather than by amounts, so means and
differences are taken of their logarithms: a mean is a geometric mean and a difference is a ratio.
Every interval is at 95 %, for one figure or one pair at a time; who decides about many pairs at
once takes their p-values to `holm`. Fewer than two values give no interval, never a narrow one, and
no interval is narrower than the `resolution` of what was read off.

Sources: Student's t for the mean of a few trials, and Welch's version of it for two sides that vary
differently (Welch 1947, with Satterthwaite's degrees of freedom); geometric means of ratios after
Fleming and Wallace, "How not to lie with statistics" (CACM 29:3, 1986); Holm, "A simple
sequentially rejective multiple test procedure" (Scandinavian Journal of Statistics 6, 1979).
"""

import math
import statistics
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

CONFIDENCE = 0.95

Pair = TypeVar("Pair", bound=Hashable)


@dataclass(frozen=True)
class Estimate:
    """A figure over trials: one number and, from two trials on, the interval around it.

    `mean` is that number, a geometric mean wherever nothing better is known. `low` and `high` are
    None where there is no interval to give. `trials` is how many values the interval rests on.
    Units are those of the values.
    """

    mean: float
    low: float | None
    high: float | None
    trials: int

    @property
    def spread(self) -> float | None:
        """Half the interval as a factor minus one: 0.04 means "within 4 % either way"."""
        if self.low is None or self.high is None:
            return None
        return math.sqrt(self.high / self.low) - 1


@dataclass(frozen=True)
class Ratio(Estimate):
    """How many times one figure is another.

    `p_value` (0 to 1) is how often two equal figures come out this far apart by chance, None where
    there is no interval. It is at most 0.05 where the interval leaves out 1.
    """

    p_value: float | None = None


def estimate(
    values: Sequence[float | None], point: float | None = None, resolution: float = 0.0
) -> Estimate | None:
    """The estimate from one value per trial; None where a trial has none, or not a positive one.

    `point` (positive) takes the place of the geometric mean where the number is made otherwise,
    such as a percentile of all trials' messages together. The interval is as wide as ever, as a
    factor, and stands around the point: the trials say how far it may be off, not where it is.
    `resolution` is by what share a value may be off that is read off a scale.
    """
    measured = _positive(values)
    if measured is None:
        return None
    if point is None:
        point = _geometric_mean(measured)
    trials = len(measured)
    if trials < 2:
        return Estimate(point, None, None, 1)
    half = _half(_error(measured), trials - 1, resolution)
    return Estimate(point, *_bounds(point, half), trials)


def mean_ratio(
    quotients: Sequence[float | None], point: float | None = None, resolution: float = 0.0
) -> Ratio | None:
    """The ratio of two figures that were measured in pairs, from the quotient of each pair.

    `point` and `resolution` as in `estimate`.
    """
    found = estimate(quotients, point, resolution)
    if found is None:
        return None
    error, freedom = _error([one for one in quotients if one]), found.trials - 1
    return _ratio(found.mean, error, freedom, found.trials, resolution)


def ratio(
    values: Sequence[float | None],
    base: Sequence[float | None],
    points: tuple[float, float] | None = None,
    resolution: float = 0.0,
) -> Ratio | None:
    """How many times `base` the `values` are: ratio of geometric means with Welch's interval.

    For two sides that were measured apart. `points` take the place of the two means, as in
    `estimate`. Without an interval when either side has fewer than two trials; None where a side
    has no estimate.
    """
    over, under = _positive(values), _positive(base)
    if over is None or under is None:
        return None
    numerator, denominator = points or (_geometric_mean(over), _geometric_mean(under))
    trials = min(len(over), len(under))
    if trials < 2:
        return Ratio(numerator / denominator, None, None, trials)
    squares = [(_error(side) ** 2, len(side)) for side in (over, under)]
    total = sum(square for square, _ in squares)
    shares = sum(square**2 / (count - 1) for square, count in squares)
    freedom = total**2 / shares if shares else trials - 1
    return _ratio(numerator / denominator, math.sqrt(total), freedom, trials, resolution)


def holm(p_values: Mapping[Pair, float]) -> dict[Pair, float]:
    """The p-values of many comparisons, each raised to what it is worth among so many (Holm 1979).

    Whoever calls different those at or below 0.05 is wrong about any pair at all once in 20 times
    at most, however many pairs there are and however they hang together.
    """
    adjusted = {}
    highest = 0.0
    for place, pair in enumerate(sorted(p_values, key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[pair]))
        adjusted[pair] = highest
    return adjusted


@lru_cache(maxsize=1024)
def t_quantile(probability: float, freedom: float) -> float:
    """Student's t with `freedom` degrees (any positive number), by bisection on `t_cdf`.

    That is the value that it stays below with `probability` (above 0.5, below 1).
    """
    low, high = 0.0, 1.0
    while t_cdf(high, freedom) < probability:
        low, high = high, high * 2
    for _ in range(100):
        middle = (low + high) / 2
        if t_cdf(middle, freedom) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def t_cdf(value: float, freedom: float) -> float:
    """Student's distribution function for `value` >= 0."""
    return 1 - t_tails(value, freedom) / 2


def t_tails(value: float, freedom: float) -> float:
    """How often Student's t is further from 0 than `value` >= 0 (Abramowitz and Stegun 26.7.1)."""
    return _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + value * value))


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function, by its continued fraction (DLMF 8.17.22)."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast only on this side
        return 1 - _incomplete_beta(b, a, 1 - x)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    fraction = 0.0
    for term in range(200, 0, -1):  # backwards from far out: no error grows on the way
        half, odd = divmod(term, 2)
        if odd:
            step = -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
        else:
            step = half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))
        fraction = step / (1 + fraction)
    return front / (a * (1 + fraction))


def _positive(values: Sequence[float | None]) -> list[float] | None:
    """The values, where there are some and all of them are positive."""
    positive = [value for value in values if value is not None and value > 0]
    return positive if positive and len(positive) == len(values) else None


def _alike(values: Sequence[float]) -> bool:
    """Whether all are one number: on the way through logarithms they would differ a little."""
    return len(set(values)) == 1


def _geometric_mean(values: Sequence[float]) -> float:
    return values[0] if _alike(values) else statistics.geometric_mean(values)


def _error(values: Sequence[float]) -> float:
    """The standard error of the mean of the logarithms; 0 for a single value."""
    if _alike(values):
        return 0.0
    return statistics.stdev(map(math.log, values)) / math.sqrt(len(values))


def _ratio(point: float, error: float, freedom: float, trials: int, resolution: float) -> Ratio:
    if trials < 2:
        return Ratio(point, None, None, trials)
    bounds = _bounds(point, _half(error, freedom, resolution))
    return Ratio(point, *bounds, trials, _p_value(abs(math.log(point)), error, freedom, resolution))


def _half(error: float, freedom: float, resolution: float) -> float:
    """Half an interval on the scale of logarithms: chance and reading add up as squares do."""
    return math.hypot(t_quantile((1 + CONFIDENCE) / 2, freedom) * error, resolution)


def _p_value(apart: float, error: float, freedom: float, resolution: float) -> float:
    """What `_half` says at 95 %, for any confidence."""
    if apart <= resolution:
        return 1.0
    return t_tails(math.sqrt(apart**2 - resolution**2) / error, freedom) if error else 0.0


def _bounds(middle: float, half: float) -> tuple[float, float]:
    """An interval that reaches so far either way on the scale of logarithms."""
    if half == 0:
        return middle, middle
    log = math.log(middle)
    return _exp(log - half), _exp(log + half)


def _exp(value: float) -> float:
    """exp, kept finite: two trials that differ wildly have an interval beyond any float."""
    return math.exp(max(-700.0, min(700.0, value)))
