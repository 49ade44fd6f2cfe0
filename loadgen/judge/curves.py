"""Curves over loads that differ in one number: where throughput stops rising, what a client costs.

Pure arithmetic over the rows of a result. A curve belongs to one server; its points are its
rows, by the number that was varied. Nothing is interpolated: a knee is always a load that was
measured.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from loadgen.judge.intervals import Estimate
from loadgen.judge.registry import CPU_CORES, LATENCY_P99, MEMORY, MESSAGES, RESPONSE_P99
from loadgen.judge.rows import Row, Trial, load_of
from loadgen.judge.service import groups_of
from loadgen.judge.verdict import GENERATOR
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan

# Throughput wavers by some per cent between two loads that are both beyond the knee, so the knee is
# where it first comes this near to the highest.
NEAR_HIGHEST: Final = 0.9
# A wait that people begin to notice: R. B. Miller, "Response time in man-computer conversational
# transactions", 1968; J. Nielsen, "Usability Engineering", 1993.
P99_BOUND_SECONDS: Final = 0.1

VARIED: Final = {
    "clients": "clients",
    "size_bytes": "bytes per message",
    "think_seconds": "seconds of think time",
    "rate_per_second": "messages/s",
}
"""What may be varied, and how it is called."""

_BLANK: Final[dict[str, float]] = {
    "clients": 1, "size_bytes": 0, "think_seconds": 0.0, "rate_per_second": 1.0,
}  # fmt: skip


@dataclass(frozen=True)
class Fit:
    """A straight line through points by ordinary least squares: y = slope * x + intercept.

    `r_squared` is the share of the variance that the line explains, None where there is none to
    explain; two points always give 1. `points` is how many there were.
    """

    slope: float
    intercept: float
    r_squared: float | None
    points: int


@dataclass(frozen=True)
class Point:
    """One load on one server: `value` of what was varied, and what came of it.

    The figures are the row's; `p99_seconds` counts from when messages were due in an open loop,
    and from when they were sent otherwise. `unserved` are clients that did not connect, or starved.
    None is what was not measured.
    """

    value: float
    clients: int
    served: int | None
    unserved: int | None
    messages_per_second: Estimate | None
    p99_seconds: float | None
    cpu_cores: float | None
    memory_bytes: float | None
    bound: str | None

    @property
    def rate(self) -> float | None:
        return None if self.messages_per_second is None else self.messages_per_second.mean

    def within(self, seconds: float) -> bool:
        """Whether every client was served, and 99 of 100 messages within so many seconds."""
        return self.p99_seconds is not None and self.p99_seconds <= seconds and self.unserved == 0


@dataclass(frozen=True)
class Curve:
    """One server over several loads.

    `by` names what was varied (a key of `VARIED`), `what` says it in words; `points` rise by it.
    `beside` is what its loads have in common: curves that share it belong side by side.
    `p99_figure` is the path of the figure that `p99_seconds` is of.
    `knee` is the first load whose throughput comes near the highest of all, `clear` whether the
    intervals of all loads before it lie below the highest, `rising` whether it is the last load,
    so that the real knee may lie beyond, and `generator_knee` whether it was the load generator
    that could do no more there, or under the next load. `within_bound` is the last load before the
    first that is past `p99_bound_seconds` (or leaves clients unserved),
    `past_bound` that one.
    Fits are per unit of what was varied and only made for clients: memory over all loads, CPU over
    those up to the knee, since beyond it more clients get no more of the server.
    """

    name: str
    by: str
    what: str
    beside: tuple[Any, ...]
    points: tuple[Point, ...]
    p99_figure: str
    p99_bound_seconds: float
    knee: float | None = None
    clear: bool = False
    rising: bool = False
    generator_knee: bool = False
    within_bound: float | None = None
    past_bound: float | None = None
    cpu_cores_per_client: Fit | None = None
    memory_bytes_per_client: Fit | None = None

    @property
    def bend(self) -> float | None:
        """The knee, where throughput clearly did stop rising, and by the server's doing."""
        return self.knee if self.clear and not self.rising and not self.generator_knee else None

    @property
    def best(self) -> Point | None:
        """The load with the highest throughput; None where none was measured."""
        known = [point for point in self.points if point.rate]
        return max(known, key=lambda point: point.rate or 0.0, default=None)

    @property
    def lowest_beyond(self) -> Point | None:
        """The load beyond the best with the least throughput, if that is clearly less."""
        best = self.best
        beyond = [point for point in self.points if best and point.value > best.value]
        least = min(beyond, key=lambda point: point.rate or 0.0, default=None)
        return least if best and least and _clearly_less(least, best) else None

    def to_json(self) -> dict[str, Any]:
        """The curve as JSON-able values; what its loads have in common is in their plans."""
        data = asdict(replace(self, beside=()))
        del data["beside"]
        return data


def curves(rows: Sequence[Row], p99_bound_seconds: float = P99_BOUND_SECONDS) -> list[Curve]:
    """Every curve that these rows make, each over two loads or more, in the order of the rows.

    Rows that could not be measured or failed their audit are left out.
    """
    found: dict[tuple[Any, ...], dict[float, Row]] = {}
    for row in rows:
        if row.problem is not None or not row.valid or not talking(row.plan):
            continue
        for position, group in enumerate(row.plan.groups):
            for by in VARIED:
                if (value := getattr(group, by)) is not None:
                    beside = (position, by, load_of(_blanked(row.plan, position, by)))
                    found.setdefault((row.name, beside), {})[value] = row
    return [
        _curve(name, beside, steps, p99_bound_seconds)
        for (name, beside), steps in found.items()
        if len(steps) > 1
    ]


def least_squares(xs: Sequence[float], ys: Sequence[float]) -> Fit | None:
    """The line through points (x, y); None with fewer than two different x."""
    if len(set(xs)) < 2:
        return None
    line = statistics.linear_regression(xs, ys)
    middle = statistics.fmean(ys)
    total = sum((y - middle) ** 2 for y in ys)
    rest = sum((y - line.slope * x - line.intercept) ** 2 for x, y in zip(xs, ys, strict=True))
    return Fit(line.slope, line.intercept, 1 - rest / total if total else None, len(xs))


def talking(plan: Plan) -> list[tuple[int, Group]]:
    """The group, with its place, that a curve may run over; none when several groups talk.

    What a mix of them got together is nobody's curve.
    """
    talking = [(place, group) for place, group in enumerate(plan.groups) if not group.silent]
    return talking if len(talking) == 1 else []


def _blanked(plan: Plan, position: int, by: str) -> Plan:
    """The plan without the number that was varied: the same for all points of a curve."""
    blank: dict[str, Any] = {by: _BLANK[by]}
    groups = list(plan.groups)
    groups[position] = replace(groups[position], **blank)
    return replace(plan, groups=tuple(groups))


def _curve(
    name: str, beside: tuple[Any, ...], steps: dict[float, Row], bound_seconds: float
) -> Curve:
    position, by, _ = beside
    points = tuple(_point(value, steps[value]) for value in sorted(steps))
    plan = next(iter(steps.values())).plan
    knee = _knee(points)
    beyond = [point for point in points if knee is not None and point.value >= knee]
    past = next((point for point in points if not point.within(bound_seconds)), None)
    within = [point.value for point in points if past is None or point.value < past.value]
    cpu = memory = None
    if by == "clients":
        # Up to the knee the server is given more to do by each client; beyond it, it has no more.
        rising = [point for point in points if knee is None or point.value <= knee]
        cpu = _fit([(point.value, point.cpu_cores) for point in rising])
        memory = _fit([(point.value, point.memory_bytes) for point in points])
    return Curve(
        name=name,
        by=by,
        what=VARIED[by] if len(plan.groups) == 1 else f"{plan.groups[position].name} {VARIED[by]}",
        beside=beside,
        points=points,
        p99_figure=_p99_figure(plan),
        p99_bound_seconds=bound_seconds,
        knee=knee,
        clear=_is_clear(knee, points),
        rising=knee is not None and knee == points[-1].value,
        generator_knee=any(point.bound == GENERATOR for point in beyond[:2]),
        within_bound=max(within, default=None),
        past_bound=None if past is None else past.value,
        cpu_cores_per_client=cpu,
        memory_bytes_per_client=memory,
    )


def _point(value: float, row: Row) -> Point:
    served = row.value("served")
    return Point(
        value=value,
        clients=row.plan.talking,
        served=None if served is None else int(served),
        unserved=max(
            (left for trial in row.trials if (left := _unserved(trial)) is not None), default=None
        ),
        messages_per_second=row.estimate(MESSAGES),
        p99_seconds=row.value(_p99_figure(row.plan)),
        cpu_cores=row.value(CPU_CORES),
        memory_bytes=row.value(MEMORY),
        bound=row.bound.bound,
    )


def _unserved(trial: Trial) -> int | None:
    """How many of the clients that talk did not connect, or starved, in one trial."""
    for group, own in groups_of(trial.run, trial.figures):
        if not group.silent and own.connected is not None:
            return group.clients - own.connected + (own.starved or 0)
    return None


def _p99_figure(plan: Plan) -> str:
    """Where a group keeps to a schedule, the response time: what had to queue counts as well."""
    return RESPONSE_P99 if any(group.open_loop for group in plan.groups) else LATENCY_P99


def _knee(points: Sequence[Point]) -> float | None:
    """The first load that comes near the highest throughput; None where none was measured."""
    highest = max((rate for point in points if (rate := point.rate) is not None), default=None)
    if not highest:
        return None
    return next(point.value for point in points if (point.rate or 0.0) >= NEAR_HIGHEST * highest)


def _is_clear(knee: float | None, points: Sequence[Point]) -> bool:
    """Whether every load before the knee clearly had less than the highest throughput."""
    if knee is None:
        return False
    best = max(points, key=lambda point: point.rate or 0.0)
    return all(_clearly_less(point, best) for point in points if point.value < knee)


def _clearly_less(point: Point, other: Point) -> bool:
    """Whether the throughput's intervals lie apart; False where one is not known."""
    one, most = point.messages_per_second, other.messages_per_second
    if one is None or most is None or one.high is None or most.low is None:
        return False
    return one.high < most.low


def _fit(points: Sequence[tuple[float, float | None]]) -> Fit | None:
    known = [(x, y) for x, y in points if y is not None]
    return least_squares([x for x, _ in known], [y for _, y in known])
