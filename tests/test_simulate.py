"""The intervals keep what they promise in made-up runs; the numbers are those of the command's."""

import random

import pytest

from loadgen.judge.simulate import (
    DESIGNS,
    RARE,
    SCENARIOS,
    Scenario,
    coverage,
    coverage_when_sure,
    power,
)

TIMES = 500
MOST_LIVES = DESIGNS[-1]
SLACK = 0.02
"""Of 500 intervals that hold the truth in 95 %, so many more or fewer do so by chance alone: two
standard errors, 1.0 % each."""


@pytest.mark.parametrize("design", DESIGNS, ids=str)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_95_percent_intervals_hold_the_truth(scenario: Scenario, design: tuple[int, int]) -> None:
    found = coverage(scenario, *design, TIMES, random.Random(5))
    assert 0.92 <= found.ratio <= 0.98
    # Three or five lives that all happen to be born alike know of nothing else.
    if design == MOST_LIVES or scenario.name != "every other life born slow":
        assert 0.92 <= found.own <= 0.98


def test_what_is_rare_is_not_known_of_and_that_is_admitted() -> None:
    found = coverage(RARE, 5, 3, TIMES, random.Random(5))
    assert found.ratio < 0.92


def test_stopping_when_sure_costs_hardly_any_of_it() -> None:
    found = coverage_when_sure(0.05, TIMES // 3, random.Random(5))
    assert found.own >= 0.92 - SLACK
    assert found.ratio >= 0.92 - SLACK


def test_servers_that_are_alike_are_told_apart_once_in_twenty_comparisons_at_most() -> None:
    for design in DESIGNS:
        assert power(0.0, *design, 200, random.Random(5)).false_alarms <= 0.05 + 2 * SLACK


def test_more_lives_find_more_than_more_rounds_at_the_same_cost() -> None:
    found = [power(0.1, *design, 60, random.Random(5)).found for design in DESIGNS]
    assert found == sorted(found)
    assert found[-1] > 0.8
