"""Figures of cases, and sums over them, as data: so that a hypothesis can be checked and explained.

`Figure("thread", "messages_per_second") / Figure("process", "messages_per_second")` is a ratio that
has not been computed yet. A quantity with a figure that was not measured has no value.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from loadgen.judge import units

RATE: Final = "messages_per_second"
CONNECTIONS: Final = "connections_per_second"
P50: Final = "latency_seconds.p50"
P99: Final = "latency_seconds.p99"
CPU: Final = "server.cpu_cores"
COST: Final = "server.cpu_seconds_per_message"
MEMORY: Final = "server.memory_bytes"
THREADS: Final = "server.threads"
PROCESSES: Final = "server.processes"

Look = Callable[[str, str], float | None]
"""(name of a case, path of a figure) -> the figure, None where it was not measured."""

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

    def figures(self) -> list[Figure]:
        """The figures that it is made of, each once, in the order of reading."""
        raise NotImplementedError

    @property
    def kind(self) -> str:
        """What its number counts: a key of `SHOWN`."""
        raise NotImplementedError


@dataclass(frozen=True)
class Figure(Quantity):
    """One figure of one case: the mean of its trials.

    `path` is the figure's path in the saved JSON, such as "latency_seconds.p99".
    """

    case: str
    path: str

    def value(self, look: Look) -> float | None:
        return look(self.case, self.path)

    def figures(self) -> list[Figure]:
        return [self]

    @property
    def kind(self) -> str:
        return kind_of(self.path)


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

    def figures(self) -> list[Figure]:
        return list(dict.fromkeys(self.left.figures() + self.right.figures()))

    @property
    def kind(self) -> str:
        if self.sign != "/":
            return self.left.kind
        if self.left.kind == self.right.kind:
            return "ratio"
        return self.left.kind if self.right.kind == "number" else "number"


def kind_of(path: str) -> str:
    """What a figure counts, from the unit in its name."""
    name = path.rpartition(".")[2]
    if name == "payload_bytes_per_second":
        return "bytes per second"
    if name.endswith("per_second"):
        return "rate"
    if name.endswith("bytes"):
        return "bytes"
    if "seconds" in path:
        return "seconds"
    return "fraction" if name == "fairness" else "number"


def _plain(value: float | None) -> str:
    if value is None:
        return units.NOT_MEASURED
    return units.count(value) if value >= 100 else f"{value:.3g}"


def _ratio(value: float | None) -> str:
    return f"{_plain(value)} times"


def _size(value: float | None) -> str:
    # A difference of two peaks may come out below nothing.
    return f"-{units.size(-value)}" if value is not None and value < 0 else units.size(value)


SHOWN: Final[dict[str, Callable[[float | None], str]]] = {
    "rate": lambda value: f"{units.rate(value)}/s",
    "bytes per second": lambda value: f"{units.size(value)}/s",
    "bytes": _size,
    "seconds": units.seconds,
    "fraction": units.fraction,
    "ratio": _ratio,
    "number": _plain,
}
"""How each kind of number is written."""


def shown(kind: str, value: float | None) -> str:
    """A number of that kind as people read it; '-' for one that was not measured."""
    return units.NOT_MEASURED if value is None else SHOWN[kind](value)
