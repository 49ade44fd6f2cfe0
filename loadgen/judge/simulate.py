"""How far the intervals can be trusted: made-up runs whose truth is known, judged like real ones.

    python -m loadgen.judge.simulate

prints how often the 95 % intervals hold the truth, how wide they are, and how often servers that
are 1, 3 and 10 % apart are told apart. It takes a minute, and comes out alike for the same seed.
"""

import argparse
import itertools
import math
import random
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from loadgen.judge import paired
from loadgen.judge.intervals import CONFIDENCE, Estimate, holm
from loadgen.judge.paired import Turns

Source = Callable[[Random, int], Sequence[float]]
"""(chance, rounds) -> by how much each round of one life is off, as logarithms with a mean of 0."""

DESIGNS: Final = ((3, 5), (5, 3), (8, 2))
"""Lives and rounds that cost about the same time."""

# What a turn of 0.8 s was off by on a quiet machine of two cores.
TURN_NOISE: Final = 0.04


def noise(deviation: float) -> Source:
    """Every turn is a little off, each by itself."""
    return lambda chance, rounds: [chance.gauss(0, deviation) for _ in range(rounds)]


def birth(deviation: float) -> Source:
    """Every life is a little off, all of its rounds alike."""
    return lambda chance, rounds: [chance.gauss(0, deviation)] * rounds


def born_slow(probability: float) -> Source:
    """Some lives are 20 to 40 % slower from start to end."""

    def integral(x: float) -> float:  # of the logarithm
        return x * math.log(x) - x

    mean = probability * (integral(0.8) - integral(0.6)) / 0.2

    def draw(chance: Random, rounds: int) -> Sequence[float]:
        slow = math.log(chance.uniform(0.6, 0.8)) if chance.random() < probability else 0.0
        return [slow - mean] * rounds

    return draw


def warming(by: float) -> Source:
    """It gets faster from the first round of a life to the last, by that share in all."""
    return lambda _, rounds: [by * (place / (rounds - 1) - 0.5) for place in range(rounds)]


def wandering(step: float) -> Source:
    """It drifts from round to round, as a machine does that others use as well."""
    return lambda chance, rounds: list(
        itertools.accumulate(chance.gauss(0, step) for _ in range(rounds))
    )


def two_speeds(slow: float = 35_000, fast: float = 80_000) -> Source:
    """It runs at one of two speeds and changes after 3 s on average, as long as a round takes."""
    changes = (1 - math.exp(-2)) / 2
    half = math.log(fast / slow) / 2

    def draw(chance: Random, rounds: int) -> Sequence[float]:
        side = chance.choice((-half, half))
        found = []
        for _ in range(rounds):
            found.append(side)
            side = -side if chance.random() < changes else side
        return found

    return draw


def heavy_tails(scale: float) -> Source:
    """Student's t with 3 degrees: most turns are close, and a few are far off."""

    def draw(chance: Random) -> float:
        return chance.gauss(0, scale) / math.sqrt(chance.gammavariate(1.5, 2) / 3)

    return lambda chance, rounds: [draw(chance) for _ in range(rounds)]


@dataclass(frozen=True)
class Made:
    """The turns of servers that are equally fast in truth, in shares of that speed.

    `machine` is how fast the machine was meanwhile, on average.
    """

    servers: list[Turns]
    machine: float


@dataclass(frozen=True)
class Scenario:
    """A server, three others that are as fast, and the machine that all run on.

    Each is the sum of its sources. `missing` is the share of turns that did not take place.
    """

    name: str
    one: tuple[Source, ...]
    other: tuple[Source, ...]
    machine: tuple[Source, ...] = ()
    missing: float = 0.0

    def make(self, chance: Random, lives: int, rounds: int) -> Made:
        """A made-up comparison."""
        machine = _logs(self.machine, chance, lives, rounds)
        servers: list[Turns] = [
            {
                when: math.exp(off + machine[when])
                for when, off in _logs(sources, chance, lives, rounds).items()
                if chance.random() >= self.missing
            }
            for sources in (self.one, self.other, self.other, self.other)
        ]
        return Made(servers, math.exp(statistics.fmean(machine.values())))


_STEADY: Final = (noise(TURN_NOISE),)
_BORN: Final = (*_STEADY, birth(TURN_NOISE))

SCENARIOS: Final = (
    Scenario("steady", _STEADY, _STEADY),
    Scenario("lives differ", _BORN, _BORN),
    Scenario("the machine drifts", _STEADY, _STEADY, (birth(0.1), wandering(0.05))),
    Scenario("one warms up in each life", (*_STEADY, warming(0.2)), _STEADY),
    Scenario("one has two speeds", (*_STEADY, two_speeds()), _STEADY),
    Scenario("both have two speeds", (*_STEADY, two_speeds()), (*_STEADY, two_speeds())),
    Scenario("every other life born slow", (*_BORN, born_slow(0.5)), (*_BORN, born_slow(0.5))),
    Scenario("heavy tails", (heavy_tails(0.03),), (heavy_tails(0.03),)),
    Scenario("one turn in ten is missing", _BORN, _BORN, missing=0.1),
)
"""Where the intervals keep what they promise."""

RARE: Final = Scenario("one born slow, 1 life in 5", (*_STEADY, born_slow(0.2)), _STEADY)
"""Where no interval can: what did not happen in any life is not known of."""


@dataclass(frozen=True)
class Coverage:
    """Shares (0 to 1) of intervals that held the truth: of a ratio, and of one server among others.

    `ratio_half` and `own_half` are half of each interval in the median, as shares.
    """

    ratio: float
    own: float
    ratio_half: float
    own_half: float

    @classmethod
    def of(cls, made: Sequence[Made]) -> "Coverage":
        """What becomes of the intervals of made-up comparisons."""
        ratios = [paired.ratio(one.servers[0], one.servers[1]) for one in made]
        alone = [paired.own(one.servers[0], one.servers[1:]) for one in made]
        return cls(
            _share(_holds(found, 1) for found in ratios),
            _share(_holds(found, one.machine) for found, one in zip(alone, made, strict=True)),
            statistics.median(map(_spread, ratios)),
            statistics.median(map(_spread, alone)),
        )


def coverage(scenario: Scenario, lives: int, rounds: int, times: int, chance: Random) -> Coverage:
    """What becomes of the intervals of so many comparisons."""
    return Coverage.of([scenario.make(chance, lives, rounds) for _ in range(times)])


def coverage_when_sure(precision: float, times: int, chance: Random) -> Coverage:
    """The same where each comparison stops as soon as its intervals are that narrow.

    That is looking again and again until it pleases, so it might well be worse.
    """
    made = []
    for _ in range(times):
        servers: list[dict[tuple[int, int], float]] = [{}, {}, {}, {}]
        for life in range(50):
            for turns in servers:
                logs = _logs(_BORN, chance, 1, 2)
                turns.update({(life, place): math.exp(off) for (_, place), off in logs.items()})
            if not paired.unsure(dict(zip("abcd", servers, strict=True)), precision):
                break
        made.append(Made(list(servers), 1))
    return Coverage.of(made)


@dataclass(frozen=True)
class Power:
    """Of five servers one is faster, and the others are alike.

    `found` is the share (0 to 1) of its four pairs that were told apart, `false_alarms` that of the
    comparisons in which two alike were.
    """

    found: float
    false_alarms: float


def power(faster: float, lives: int, rounds: int, times: int, chance: Random) -> Power:
    """How often a server that is `faster` (0.03: by 3 %) is found out, Holm over all ten pairs."""
    found, alarms = 0, 0
    for _ in range(times):
        servers = []
        for ahead in (math.log1p(faster), 0.0, 0.0, 0.0, 0.0):
            logs = _logs((*_STEADY, birth(0.02)), chance, lives, rounds)
            servers.append({when: math.exp(ahead + off) for when, off in logs.items()})
        apart = {
            (a, b)
            for (a, b), p_value in holm(dict(_p_values(servers))).items()
            if p_value <= 1 - CONFIDENCE
        }
        found += sum(a == 0 for a, _ in apart)
        alarms += any(a > 0 for a, _ in apart)
    return Power(found / (4 * times), alarms / times)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m loadgen.judge.simulate",
        description="How often the 95 % intervals hold the truth, and what differences they find, "
        "in made-up runs.",
    )
    parser.add_argument("--times", type=int, default=1000, help="made-up comparisons each (1000)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed, the same runs (1)")
    options = parser.parse_args()
    for line in _tables(options.times, random.Random(options.seed)):
        print(line, flush=True)


def _tables(times: int, chance: Random) -> Iterator[str]:
    heads = [f"{lives} lives x {rounds}" for lives, rounds in DESIGNS]
    yield "How often a 95 % interval holds the truth, and half of it in the median: of the ratio of"
    yield f"two servers, then of one among three others; {times:,} made-up comparisons"
    yield _line("", heads)
    for scenario in (*SCENARIOS, RARE):
        found = [coverage(scenario, *design, times, chance) for design in DESIGNS]
        yield _line(scenario.name, map(_covered, found))
    sure = coverage_when_sure(0.05, times // 4, chance)
    yield _line("stopped when sure of 5 %", [_covered(sure)])
    yield ""
    yield "Of five servers one is faster by so much: how often a pair with it is told apart, and"
    yield "how often any two alike are (noise: 4 % a turn, 2 % a life; Holm over all pairs)"
    yield _line("", heads)
    for faster in (0.0, 0.01, 0.03, 0.1):
        powers = [power(faster, *design, times, chance) for design in DESIGNS]
        yield _line(f"{faster:.0%}", [f"{one.found:.1%} {one.false_alarms:.1%}" for one in powers])


def _line(name: str, cells: Iterator[str] | Sequence[str]) -> str:
    return f"{name:27}" + "".join(f"{cell:>24}" for cell in cells)


def _covered(found: Coverage) -> str:
    ratio = f"{found.ratio:.1%} {found.ratio_half:.0%}"
    return f"{ratio}, {found.own:.1%} {found.own_half:.0%}"


def _logs(
    sources: Sequence[Source], chance: Random, lives: int, rounds: int
) -> dict[tuple[int, int], float]:
    """By how much each turn is off, all sources together."""
    found = {}
    for life in range(lives):
        drawn = [source(chance, rounds) for source in sources]
        for place in range(rounds):
            found[life, place] = math.fsum(one[place] for one in drawn)
    return found


def _p_values(servers: Sequence[Turns]) -> Iterator[tuple[tuple[int, int], float]]:
    for (a, one), (b, other) in itertools.combinations(enumerate(servers), 2):
        found = paired.ratio(one, other)
        if found is not None and found.p_value is not None:
            yield (a, b), found.p_value


def _share(said: Iterable[bool]) -> float:
    return statistics.fmean(said)


def _holds(found: Estimate | None, truth: float) -> bool:
    """Whether the interval holds it; none at all holds nothing."""
    if found is None or found.low is None or found.high is None:
        return False
    return found.low <= truth <= found.high


def _spread(found: Estimate | None) -> float:
    return math.inf if found is None or found.spread is None else found.spread


if __name__ == "__main__":
    main()
