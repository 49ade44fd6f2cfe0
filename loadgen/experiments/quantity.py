"""Figures of cases, and sums over them, as data: so that a hypothesis can be checked and explained.

`Figure("thread", "messages_per_second") / Figure("process", "messages_per_second")` is a ratio that
has not been computed yet. A quantity with a figure that was not measured has no value.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from loadgen.judge import units
from loadgen.judge.registry import figure_of
from loadgen.judge.units import CORES, COUNT, NOT_MEASURED, NUMBER, Unit

Look = Callable[[str, str], float | None]
"""(name of a case, path of a figure) -> the figure, None where it was not measured."""

Ends = tuple[float, float]
"""The lower and the upper end of a 95 % interval; one number twice where it is that for certain."""

Reach = Callable[[str, str], Ends | None]
"""(name of a case, path of a figure) -> the ends of its interval, None where it has none."""

Pairs = Callable[[str, str, str], Ends | None]
"""(case, another, path of a figure) -> the ends of the interval of how many times the other's
figure the case's is, where the two took turns; None where nothing pairs them."""


def unpaired(_case: str, _other: str, _path: str) -> None:
    """Nothing is paired."""


_PLAIN: Final = (COUNT, CORES, NUMBER)
"""Units whose numbers stand for themselves."""

_OPERATORS: Final = {"/": operator.truediv, "-": operator.sub, "+": operator.add}


class Quantity:
    """Something that has a number once there are figures."""

    def __truediv__(self, other: Quantity) -> Quantity:
        return Combined("/", self, other)

    def __sub__(self, other: Quantity) -> Quantity:
        return Combined("-", self, other)

    def __add__(self, other: Quantity) -> Quantity:
        return Combined("+", self, other)

    def value(self, look: Look) -> float | None:
        """The number, None where a part was not measured or would be divided by 0."""
        raise NotImplementedError

    def ends(self, look: Look, reach: Reach, pairs: Pairs = unpaired) -> Ends | None:
        """The ends of its interval, the number twice where no part has one; None as for `value`."""
        raise NotImplementedError

    def figures(self) -> list[Figure]:
        """The figures that it is made of, each once, in the order of reading."""
        raise NotImplementedError

    @property
    def unit(self) -> Unit:
        """What its number counts."""
        raise NotImplementedError

    @property
    def how(self) -> str:
        """What stands before its number, to say how it came of several: " " behind it, or ""."""
        return ""


@dataclass(frozen=True)
class Figure(Quantity):
    """One figure of one case, over its trials.

    `path` is the figure's path in the saved JSON, such as "latency_seconds.p99".
    """

    case: str
    path: str

    def value(self, look: Look) -> float | None:
        return look(self.case, self.path)

    def ends(
        self,
        look: Look,
        reach: Reach,
        pairs: Pairs = unpaired,  # noqa: ARG002 - one figure is no pair
    ) -> Ends | None:
        value = self.value(look)
        return None if value is None else reach(self.case, self.path) or (value, value)

    def figures(self) -> list[Figure]:
        return [self]

    @property
    def label(self) -> str:
        """What people call it."""
        return label_of(self.path)

    @property
    def unit(self) -> Unit:
        return unit_of(self.path)


@dataclass(frozen=True)
class Combined(Quantity):
    """Two quantities and what is done with them: "/", "-" or "+"."""

    sign: str
    left: Quantity
    right: Quantity

    def value(self, look: Look) -> float | None:
        left, right = self.left.value(look), self.right.value(look)
        if left is None or right is None or (self.sign == "/" and right == 0):
            return None
        return float(_OPERATORS[self.sign](left, right))

    def ends(self, look: Look, reach: Reach, pairs: Pairs = unpaired) -> Ends | None:
        """The ends of its interval, from those of its parts, each measured by itself.

        A ratio of one figure of two cases that took turns has a better one, that of `pairs`. How
        far other parts reach adds up as squares do, on the scale of logarithms for a quotient of
        what is above 0 (Zou and Donner, "Construction of confidence limits about effect measures",
        Statistics in Medicine 27, 2008).
        """
        value, left, right = self.value(look), self.left.value(look), self.right.value(look)
        of_left = self.left.ends(look, reach, pairs)
        of_right = self.right.ends(look, reach, pairs)
        if value is None or left is None or right is None or not of_left or not of_right:
            return None
        if (paired := self._paired(pairs)) is not None:
            return paired
        if self.sign != "/":
            down, up = right - of_right[0], of_right[1] - right
            if self.sign == "-":
                down, up = up, down
            return (
                value - math.hypot(left - of_left[0], down),
                value + math.hypot(of_left[1] - left, up),
            )
        if of_left[0] <= 0 or of_right[0] <= 0:
            corners = [one / other for one in of_left for other in of_right if other]
            return min(corners), max(corners)
        down = math.hypot(math.log(left / of_left[0]), math.log(of_right[1] / right))
        up = math.hypot(math.log(of_left[1] / left), math.log(right / of_right[0]))
        return value / math.exp(down), value * math.exp(up)

    def _paired(self, pairs: Pairs) -> Ends | None:
        left, right = self.left, self.right
        if self.sign != "/" or not isinstance(left, Figure) or not isinstance(right, Figure):
            return None
        return pairs(left.case, right.case, left.path) if left.path == right.path else None

    @property
    def how(self) -> str:
        return {"-": "a difference of ", "+": "together "}.get(self.sign, "")

    def figures(self) -> list[Figure]:
        return list(dict.fromkeys(self.left.figures() + self.right.figures()))

    @property
    def unit(self) -> Unit:
        if self.sign != "/":
            return self.left.unit
        if self.left.unit == self.right.unit:
            return RATIO
        return self.left.unit if self.right.unit in _PLAIN else NUMBER


def label_of(path: str) -> str:
    """What people call a figure; the "/s" of a rate stands behind its number."""
    return figure_of(path).label.removesuffix("/s")


def unit_of(path: str) -> Unit:
    """What a figure counts."""
    return figure_of(path).unit


def shown(unit: Unit, value: float | None) -> str:
    """A number of that unit as people read it; '-' for one that was not measured."""
    if value is None:
        return NOT_MEASURED
    return _plain(value) if unit in _PLAIN else unit.said(value)


def _plain(value: float | None) -> str:
    """A number without trailing zeros, since most are counts; 3 digits of a small one."""
    if value is None:
        return NOT_MEASURED
    return units.count(value) if value >= 100 else f"{value:.3g}"


RATIO: Final = Unit("times", _plain, " times")
