"""Intervals for figures that were measured a few times: Student's t on logarithms.

Rates, latencies and costs are positive and vary by factors rather than by amounts, so means and
differences are taken of their logarithms: a mean is a geometric mean and a difference is a ratio.
Every interval is at 95 %, for one figure or one pair at a time. Fewer than two values give no
interval, never a narrow one.

Sources: Student's t for the mean of a few trials, and Welch's version of it for two sides that vary
differently (Welch 1947, with Satterthwaite's degrees of freedom); geometric means of ratios after
Fleming and Wallace, "How not to lie with statistics" (CACM 29:3, 1986).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A figure over trials: one number and, from two trials on, the interval around it.

    `mean` is that number, a geometric mean wherever nothing better is known. `low` and `high` are
    None where there is no interval to give. Units are those of the values.
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


def estimate(values: Sequence[float | None], point: float | None = None) -> Estimate | None:
    """The estimate from one value per trial; None where a trial has none, or not a positive one.

    `point` (positive) takes the place of the geometric mean where the number is made otherwise,
    such as a percentile of all trials' messages together. The interval is as wide as ever, as a
    factor, and stands around the point: the trials say how far it may be off, not where it is.
    """
    measured = _positive(values)
    if measured is None:
        return None
    mean, variance = _mean_and_variance([math.log(value) for value in measured])
    # The way through logarithms would make 8 of 8 a little less than 8.
    alike = len(set(measured)) == 1
    if point is None:
        point = measured[0] if alike else math.exp(mean)
    trials = len(measured)
    if trials < 2:
        return Estimate(point, None, None, 1)
    half = t_quantile((1 + CONFIDENCE) / 2, trials - 1) * math.sqrt(variance / trials)
    return _around(point, 0.0 if alike else half, trials)


def ratio(
    values: Sequence[float | None],
    base: Sequence[float | None],
    points: tuple[float, float] | None = None,
) -> Estimate | None:
    """How many times `base` the `values` are: ratio of geometric means with Welch's interval.

    `points` take the place of the two means, as in `estimate`. Without an interval when either side
    has fewer than two trials; None where a side has no estimate.
    """
    over, under = estimate(values), estimate(base)
    if over is None or under is None:
        return None
    trials = min(over.trials, under.trials)
    quotient = over.mean / under.mean if points is None else points[0] / points[1]
    if trials < 2:
        return Estimate(quotient, None, None, trials)
    squares = []
    for side in (values, base):
        _, variance = _mean_and_variance([math.log(value) for value in side if value])
        squares.append((variance / len(side), len(side)))
    total = sum(square for square, _ in squares)
    if total == 0:
        return _around(quotient, 0.0, trials)
    freedom = total**2 / sum(square**2 / (count - 1) for square, count in squares)
    half = t_quantile((1 + CONFIDENCE) / 2, freedom) * math.sqrt(total)
    return _around(quotient, half, trials)


def clearly_differs(quotient: Estimate | None) -> bool | None:
    """Whether a ratio's interval leaves out 1; None without one: then nothing can be said."""
    if quotient is None or quotient.low is None or quotient.high is None:
        return None
    return quotient.low > 1 or quotient.high < 1


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
    """Student's distribution function for `value` >= 0 (Abramowitz and Stegun 26.7.1)."""
    return 1 - _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + value * value)) / 2


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


def _around(middle: float, half: float, trials: int) -> Estimate:
    """An interval that reaches so far either way on the scale of logarithms."""
    if half == 0:
        return Estimate(middle, middle, middle, trials)
    log = math.log(middle)
    return Estimate(middle, _exp(log - half), _exp(log + half), trials)


def _mean_and_variance(values: Sequence[float]) -> tuple[float, float]:
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, 0.0
    return mean, math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def _exp(value: float) -> float:
    """exp, kept finite: two trials that differ wildly have an interval beyond any float."""
    return math.exp(max(-700.0, min(700.0, value)))
