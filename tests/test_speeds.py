"""Two speeds, or many, are found where there are, and nowhere else: in made-up slices."""

import math
import random
from collections.abc import Callable, Sequence
from random import Random
from types import UnionType

import pytest

from loadgen.judge.speeds import CONVOY, FEWEST_SLICES, TwoSpeeds, Wandering, cause, speeds_of

Make = Callable[[Random, int], list[float]]

SLICES = 30
"""Of a life: three turns of a second."""


def lives(make: Make, seed: int, count: int = 5) -> list[list[float]]:
    chance = random.Random(seed)
    return [make(chance, SLICES) for _ in range(count)]


def found_in(make: Make, kind: type | UnionType = TwoSpeeds | Wandering, times: int = 100) -> float:
    """In what share of made-up comparisons speeds of that kind are found."""
    return sum(isinstance(speeds_of(lives(make, seed)), kind) for seed in range(times)) / times


def noisy(deviation: float) -> Make:
    return lambda chance, slices: [
        3000 * math.exp(chance.gauss(0, deviation)) for _ in range(slices)
    ]


def heavy_tailed(scale: float) -> Make:
    """Student's t with 2.5 degrees of freedom."""

    def draw(chance: Random) -> float:
        return chance.gauss(0, scale) / math.sqrt(chance.gammavariate(1.25, 2) / 2.5)

    return lambda chance, slices: [3000 * math.exp(draw(chance)) for _ in range(slices)]


def drifting(chance: Random, slices: int) -> list[float]:
    return [
        3000 * math.exp(0.5 * place / slices + chance.gauss(0, 0.03)) for place in range(slices)
    ]


def stalling(chance: Random, slices: int) -> list[float]:
    """One slice in 12 is far slower."""
    return [
        value * (chance.uniform(0.2, 0.6) if chance.random() < 1 / 12 else 1)
        for value in noisy(0.04)(chance, slices)
    ]


def few_messages(chance: Random, slices: int) -> list[float]:
    """Twenty in a slice, so that chance alone moves it by a quarter."""
    return [max(0, round(chance.gauss(20, math.sqrt(20)))) for _ in range(slices)]


def bursts(chance: Random, slices: int) -> list[float]:
    """Replies that come every 0.2 s, as after a sleep: every other slice has most of them."""
    return [chance.gauss(100, 3) if place % 2 else chance.gauss(10, 1) for place in range(slices)]


def one_step(chance: Random, slices: int) -> list[float]:
    """Faster by half from some moment on."""
    at = chance.randrange(slices)
    return [value * (1.5 if at < 15 else 1) for value in noisy(0.04)(chance, slices)]


def switching(
    slow: float = 3500, fast: float = 8000, dwell_slices: float = 10, deviation: float = 0.08
) -> Make:
    """Two speeds, a slice in which it changes being a mixture of both."""

    def make(chance: Random, slices: int) -> list[float]:
        def draw() -> float:
            return chance.expovariate(1 / dwell_slices)

        found, is_fast, left = [], chance.random() < 0.5, draw()
        for _ in range(slices):
            done, room = 0.0, 1.0
            while left < room:
                done += left * (fast if is_fast else slow)
                room, is_fast, left = room - left, not is_fast, draw()
            left -= room
            done += room * (fast if is_fast else slow)
            found.append(done * math.exp(chance.gauss(0, deviation)))
        return found

    return make


@pytest.mark.parametrize(
    "make",
    [
        noisy(0.03),
        noisy(0.2),
        heavy_tailed(0.05),
        heavy_tailed(0.2),
        drifting,
        stalling,
        few_messages,
        bursts,
        one_step,
    ],
)
def test_one_speed_is_one_however_it_is_spread(make: Make) -> None:
    assert found_in(make) <= 0.02


@pytest.mark.parametrize(
    "make",
    [
        switching(),
        switching(dwell_slices=20),
        switching(deviation=0.15),
        switching(fast=5500, deviation=0.05),
    ],
)
def test_two_speeds_are_found(make: Make) -> None:
    assert found_in(make, TwoSpeeds) >= 0.9


def wandering(spread: float, lasts: float = 0.8) -> Make:
    """Any speed, a slice being much like the one before."""

    def make(chance: Random, slices: int) -> list[float]:
        off, found = chance.gauss(0, spread), []
        for _ in range(slices):
            found.append(3000 * math.exp(off))
            off = lasts * off + math.sqrt(1 - lasts**2) * chance.gauss(0, spread)
        return found

    return make


def test_a_speed_that_wanders_is_none_at_all() -> None:
    assert found_in(wandering(0.5)) >= 0.9
    assert found_in(wandering(0.5), Wandering) >= 0.7
    assert found_in(wandering(0.2)) <= 0.02


def test_short_turns_are_enough_to_tell() -> None:
    """Eleven lives of two turns of 0.2 s, each at a speed of its own."""

    def turns(make: Make) -> float:
        chance = random.Random(1)
        runs = [[make(chance, 4) + make(chance, 4) for _ in range(11)] for _ in range(100)]
        return sum(speeds_of(one) is not None for one in runs) / 100

    assert turns(switching(dwell_slices=20, deviation=0.15)) >= 0.8
    assert turns(wandering(0.5)) >= 0.8
    assert turns(wandering(0.2)) <= 0.02
    assert turns(noisy(0.2)) <= 0.02


def test_the_range_that_it_wanders_in_is_that_of_eight_tenths_of_the_time() -> None:
    steps = [1000.0, 1000.0, 2000.0, 2000.0, 4000.0, 4000.0, 2800.0, 2800.0, 1400.0, 1400.0]
    found = speeds_of([steps] * 8)
    assert isinstance(found, Wandering)
    assert found.slow == pytest.approx(1000)
    assert found.fast == pytest.approx(4000)


def test_both_speeds_are_named_with_their_shares() -> None:
    found = speeds_of([[3500.0] * 12 + [8000.0] * 8, [8000.0] * 10 + [3500.0] * 18])
    assert found is None  # too few changes: it may be the machine
    found = speeds_of([[3500.0] * 12 + [8000.0] * 8 + [3500.0] * 12, [8000.0] * 10 + [3500.0] * 6])
    assert isinstance(found, TwoSpeeds)
    assert found.slow == pytest.approx(3500)
    assert found.fast == pytest.approx(8000)
    assert found.slow_share == pytest.approx(0.625)
    assert found.fast_share == pytest.approx(0.375)


def test_shares_and_speeds_are_about_right_in_noise() -> None:
    found = speeds_of(lives(switching(), seed=3, count=20))
    assert isinstance(found, TwoSpeeds)
    assert found.slow == pytest.approx(3500, rel=0.05)
    assert found.fast == pytest.approx(8000, rel=0.05)
    assert found.slow_share == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(
    "pieces",
    [[], [[]], [[100.0] * (FEWEST_SLICES - 1)], [[100.0] * 200], [[0.0] * 200]],
)
def test_too_little_or_nothing_at_all_is_no_speeds_of(pieces: Sequence[Sequence[float]]) -> None:
    assert speeds_of(pieces) is None


def test_a_speed_that_is_rare_or_hardly_faster_is_none() -> None:
    rare = [3000.0] * 46 + [9000.0] * 2
    assert speeds_of([rare, rare, rare]) is None
    hardly = ([3000.0] * 10 + [3600.0] * 10) * 2
    assert speeds_of([hardly, hardly]) is None


def test_only_threads_that_share_a_lock_and_several_cores_are_a_convoy() -> None:
    assert cause("thread", "on", 2) == CONVOY
    assert cause("socketserver", "on", None) == CONVOY
    for model, gil, cores in [("thread", "on", 1), ("thread", "off", 2), ("selectors", "on", 2)]:
        assert "not known" in cause(model, gil, cores)
        assert "0.25 cores" in cause(model, gil, cores, stolen=0.25)
