"""Turns by hand: what pairs take out, what a life is worth, and when measuring may stop."""

import math

import pytest

from loadgen.judge.intervals import Estimate, estimate
from loadgen.judge.paired import FEWEST_LIVES, Turns, own, ratio, unsure


def turns(*lives: list[float]) -> dict[tuple[int, int], float]:
    """Turns by life and round, both from 1."""
    return {
        (life, place): value
        for life, rounds in enumerate(lives, start=1)
        for place, value in enumerate(rounds, start=1)
    }


def test_what_slows_a_round_slows_both_and_leaves_their_ratio() -> None:
    one = turns([100, 20], [300, 90], [50, 1000])
    other = {when: value * 2 for when, value in one.items()}
    found = ratio(other, one)
    assert found is not None
    assert (found.mean, found.low, found.high) == (2, 2, 2)
    assert found.p_value == 0
    assert own(one) != own(other)


def test_a_ratio_stands_on_its_lives_not_on_their_rounds() -> None:
    # Rounds that agree within a life add no certainty about what another life would be like.
    base = turns([1.0] * 9, [1.0] * 9, [1.0] * 9)
    found = ratio(turns([1.1] * 9, [1.3] * 9, [1.2] * 9), base)
    by_hand = estimate([1.1, 1.3, 1.2])
    assert found is not None
    assert by_hand is not None
    assert found.trials == 3
    assert found.mean == pytest.approx(by_hand.mean)
    assert found.low == pytest.approx(by_hand.low)


def test_a_life_is_the_geometric_mean_of_its_rounds() -> None:
    found = own(turns([1.0, 4.0], [3.0, 12.0]))
    by_hand = estimate([2.0, 6.0])
    assert found is not None
    assert by_hand is not None
    assert found.mean == pytest.approx(math.sqrt(12))
    assert found.low == pytest.approx(by_hand.low)
    assert found.high == pytest.approx(by_hand.high)


def test_of_a_single_life_its_rounds_give_the_interval() -> None:
    assert own(turns([100, 109, 95])) == estimate([100.0, 109.0, 95.0])
    found = ratio(turns([100, 110, 120]), turns([100, 100, 100]))
    assert found is not None
    assert found.trials == 3
    assert found.low is not None


def test_a_single_turn_has_no_interval() -> None:
    assert own(turns([100])) == Estimate(100, None, None, 1)
    found = ratio(turns([100]), turns([50]))
    assert found is not None
    assert (found.mean, found.low, found.p_value) == (2, None, None)


def test_only_rounds_that_both_took_part_in_are_compared() -> None:
    # The one died after its first life, when the machine became ten times faster.
    one, other = turns([10, 10]), turns([5, 5], [50, 50])
    found = ratio(one, other)
    assert found is not None
    assert found.mean == 2
    assert ratio(turns([10]), {(7, 1): 5.0}) is None
    assert ratio({}, other) is None
    assert own({}) is None


def test_a_turn_in_which_nothing_was_answered_has_no_logarithm() -> None:
    stalled: Turns = turns([10, 0], [10, 10])
    assert own(stalled) is None
    assert ratio(stalled, turns([5, 5], [5, 5])) is None
    assert ratio(turns([5, 5], [5, 5]), stalled) is None


def test_a_ratio_turned_round_is_its_inverse() -> None:
    one, other = turns([10, 11], [12, 10], [9, 10]), turns([13, 12], [12, 14], [12, 13])
    found, turned = ratio(one, other), ratio(other, one)
    assert found is not None
    assert turned is not None
    assert found.mean * turned.mean == pytest.approx(1)
    assert found.p_value == pytest.approx(turned.p_value)
    assert found.high is not None
    assert found.high < 1


def test_measuring_goes_on_until_every_server_is_known_well_enough() -> None:
    steady = turns(*([100.0, 101.0] for _ in range(FEWEST_LIVES)))
    wide = turns(*([speed, speed] for speed in (100.0, 140.0, 90.0, 120.0, 110.0)))
    assert unsure({"steady": steady, "wide": wide}, 0.05) == ["wide"]
    assert unsure({"steady": steady}, 0.05) == []
    assert unsure({"wide": wide}, 0.5) == []


def test_lives_that_happen_to_agree_do_not_stop_it_before_there_are_enough() -> None:
    few = turns(*([100.0] for _ in range(FEWEST_LIVES - 1)))
    assert unsure({"few": few}, 0.05) == ["few"]
    assert unsure({"one life of many rounds": turns([100.0] * 50)}, 0.05) != []
    assert unsure({"nothing": {}}, 0.05) == ["nothing"]


def test_what_moved_the_others_as_well_is_the_machines() -> None:
    machine = [[1.0, 0.5], [2.0, 1.5], [0.7, 1.0]]
    one = turns(*([100 * speed for speed in life] for life in machine))
    others = [turns(*([base * speed for speed in life] for life in machine)) for base in (7, 30)]
    alone, beside = own(one), own(one, others)
    assert alone is not None
    assert beside is not None
    assert alone.spread is not None
    assert alone.spread > 1
    assert beside.mean == alone.mean
    assert beside.spread == pytest.approx(0, abs=1e-9)


def test_others_that_vary_by_themselves_are_not_the_machine() -> None:
    steady = turns([100, 101], [100, 99], [101, 100])
    two_speeds = turns([35, 80], [80, 35], [35, 35])
    assert own(steady, [two_speeds]) == own(steady)
    # Nor is one of several, which a median passes over.
    machine = [0.5, 1.0, 2.0]
    one, other, third = (turns(*([base * speed] * 2 for speed in machine)) for base in (1, 2, 3))
    restless = turns([35, 80], [80, 35], [35, 35])
    found = own(one, [other, third, restless])
    assert found is not None
    assert found.spread is not None
    assert found.spread < 0.5


def test_a_round_in_which_no_other_took_part_leaves_the_machine_in() -> None:
    one = turns([100, 50], [200, 150], [70, 100])
    assert own(one, [turns([100, 50], [200, 150])]) == own(one)
    assert own(one, [{}]) == own(one)
    assert own(one, [turns([0, 0], [0, 0], [0, 0])]) == own(one)


def test_the_others_tell_when_measuring_may_stop() -> None:
    machine = [1.0, 1.4, 0.8, 0.7, 1.2]
    servers = {
        name: turns(*([base * speed] for speed in machine))
        for name, base in (("a", 3.0), ("b", 4.0))
    }
    assert unsure(servers, 0.05) == []
    assert unsure({"a": servers["a"]}, 0.05) == ["a"]
