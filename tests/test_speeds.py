"""Two speeds are found where there are two, and nowhere else: in made-up slices of 0.1 s."""

import math
import random
from collections.abc import Callable, Sequence
from random import Random

import pytest

from loadgen.judge.speeds import CONVOY, FEWEST_SLICES, cause, two_speeds

Make = Callable[[Random, int], list[float]]

SLICES = 30
"""Of a life: three turns of a second."""


def lives(make: Make, seed: int, count: int = 5) -> list[list[float]]:
    chance = random.Random(seed)
    return [make(chance, SLICES) for _ in range(count)]


def found_in(make: Make, times: int = 100) -> float:
    """In what share of made-up comparisons two speeds are found."""
    return sum(two_speeds(lives(make, seed)) is not None for seed in range(times)) / times


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
    assert found_in(make) >= 0.9


def test_both_speeds_are_named_with_their_shares() -> None:
    found = two_speeds([[3500.0] * 12 + [8000.0] * 8, [8000.0] * 10 + [3500.0] * 18])
    assert found is None  # too few changes: it may be the machine
    found = two_speeds([[3500.0] * 12 + [8000.0] * 8 + [3500.0] * 12, [8000.0] * 10 + [3500.0] * 6])
    assert found is not None
    assert found.slow == pytest.approx(3500)
    assert found.fast == pytest.approx(8000)
    assert found.slow_share == pytest.approx(0.625)
    assert found.fast_share == pytest.approx(0.375)


def test_shares_and_speeds_are_about_right_in_noise() -> None:
    found = two_speeds(lives(switching(), seed=3, count=20))
    assert found is not None
    assert found.slow == pytest.approx(3500, rel=0.05)
    assert found.fast == pytest.approx(8000, rel=0.05)
    assert found.slow_share == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(
    "pieces",
    [[], [[]], [[100.0] * (FEWEST_SLICES - 1)], [[100.0] * 200], [[0.0] * 200]],
)
def test_too_little_or_nothing_at_all_is_no_two_speeds(pieces: Sequence[Sequence[float]]) -> None:
    assert two_speeds(pieces) is None


def test_a_speed_that_is_rare_or_hardly_faster_is_none() -> None:
    rare = [3000.0] * 46 + [9000.0] * 2
    assert two_speeds([rare, rare, rare]) is None
    hardly = ([3000.0] * 10 + [3600.0] * 10) * 2
    assert two_speeds([hardly, hardly]) is None


def test_only_threads_that_share_a_lock_and_several_cores_are_a_convoy() -> None:
    assert cause("thread", "on", 2) == CONVOY
    assert cause("socketserver", "on", None) == CONVOY
    for model, gil, cores in [("thread", "on", 1), ("thread", "off", 2), ("selectors", "on", 2)]:
        assert "not known" in cause(model, gil, cores)
