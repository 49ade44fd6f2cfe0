"""What turns mean: servers that ran side by side, judged by what they did in the same rounds.

A comparison has lives, each a fresh start of all servers at the same time, and in each life rounds,
in which every server has one turn, in random order. So whatever slows the machine for longer than
a round slows all of them alike, and leaves the ratio of two turns of one round alone. And how fast
a server is depends on how it started (memory layout, hash seed, which cores), which no number of
rounds can tell: only another life can.

So a life has one value, the geometric mean over its rounds, and Student's t stands on the lives.
It takes in both sources of variance without telling them apart, since a life's value carries the
noise of its rounds as well, and it assumes nothing about the rounds: they may drift, or hang
together as those of a server with two speeds do. What it assumes is that lives are drawn alike, one
like another, and not too lopsided. A start that goes wrong one time in five is not seen in five
lives one time in three, and then no interval knows of it. `python -m loadgen.judge.simulate`
prints how often the intervals hold the truth in made-up runs. In runs like those (3 lives of 5
rounds), what might take its place did worse: rounds pooled over the lives missed the truth in every
fourth interval where lives differ, the wider of both held it in 98.7 % where they do not, and
variance components with Satterthwaite's degrees of freedom in 91 % where they do.

Sources: Abedi and Brecht, "Conducting Repeatable Experiments in Highly Variable Cloud Computing
Environments" (ICPE 2017), for rounds in random order; Kalibera and Jones, "Rigorous Benchmarking in
Reasonable Time" (ISMM 2013), for repeating at the level that varies, the start; Bulej et al.,
"Duet Benchmarking" (ICPE 2020), for ratios of what ran at the same time.
"""

import math
import statistics
from collections.abc import Mapping, Sequence

from loadgen.judge import intervals
from loadgen.judge.intervals import Estimate, Ratio

Turns = Mapping[tuple[int, int], float]
"""(life, round) -> what one server did in that turn, such as messages/s; missing turns are left
out."""

# Student's t shrinks little beyond five lives, and by chance two or three look alike too often to
# stop by them.
FEWEST_LIVES = 5

# What the machine did is taken out where turns differ so much less without it. To take the narrower
# of the two intervals instead would choose by chance, and hold the truth in 91 % of all cases.
CLEARLY_LESS = 0.85


def own(
    turns: Turns,
    others: Sequence[Turns] = (),
    point: float | None = None,
    resolution: float = 0.0,
) -> Estimate | None:
    """One server's value with the interval around it, at the speed that the machine had meanwhile.

    It stands on how the server differs from life to life, or from round to round where there is a
    single life, which cannot know how another start would turn out. What moved the `others` in the
    same rounds as well is the machine's and taken out, where the turns then differ clearly less:
    others that vary more by themselves than the machine does tell nothing of it.

    None without turns, or where one is not above 0. `point` and `resolution` as in
    `intervals.estimate`.
    """
    machine = _machine(others)
    if turns.keys() <= machine.keys() and len(turns) > 1 and all(turns.values()):
        levelled = {when: value / machine[when] for when, value in turns.items()}
        if _deviation(levelled) < CLEARLY_LESS * _deviation(turns):
            mean = statistics.geometric_mean(_values(turns)) if point is None else point
            return intervals.estimate(_values(levelled), mean, resolution)
    return intervals.estimate(_values(turns), point, resolution)


def ratio(
    turns: Turns, base: Turns, point: float | None = None, resolution: float = 0.0
) -> Ratio | None:
    """How many times `base` a server did, over the rounds that both took part in.

    None where there is no such round, or a turn is not above 0.
    """
    if not all(base.values()):
        return None
    both = {when: value / base[when] for when, value in turns.items() if when in base}
    return intervals.mean_ratio(_values(both), point, resolution)


def unsure(servers: Mapping[str, Turns], precision: float) -> list[str]:
    """The servers whose interval is still wider than `precision` (0.05: 5 % either way).

    `servers` took turns under one load. To be asked after each life: measuring may stop when there
    are none. Fewer than FEWEST_LIVES never do.
    """
    return [
        name
        for name, turns in servers.items()
        if not _sure(turns, [other for one, other in servers.items() if one != name], precision)
    ]


def _sure(turns: Turns, others: Sequence[Turns], precision: float) -> bool:
    found = own(turns, others)
    if found is None or found.spread is None or len({life for life, _ in turns}) < FEWEST_LIVES:
        return False
    return found.spread <= precision


def _deviation(turns: Turns) -> float:
    return statistics.stdev(map(math.log, turns.values()))


def _machine(servers: Sequence[Turns]) -> dict[tuple[int, int], float]:
    """How fast the machine was in each round, by what these servers did; on average 1.

    That is the median of how far each was from its own mean, so that one with two speeds, or few
    that stall, do not pass for the machine.
    """
    offs: dict[tuple[int, int], list[float]] = {}
    for turns in servers:
        if not turns or min(turns.values()) <= 0:
            continue
        mean = statistics.geometric_mean(turns.values())
        for when, value in turns.items():
            offs.setdefault(when, []).append(math.log(value / mean))
    return {when: math.exp(statistics.median(off)) for when, off in offs.items()}


def _values(turns: Turns) -> list[float]:
    """What an interval stands on: a value per life, or those of the rounds of a single life."""
    lives: dict[int, list[float]] = {}
    for (life, _), value in turns.items():
        if value <= 0:
            return []
        lives.setdefault(life, []).append(value)
    if len(lives) == 1:
        return next(iter(lives.values()))
    return [statistics.geometric_mean(rounds) for rounds in lives.values()]
