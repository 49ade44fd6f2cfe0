"""Intervals against printed tables and worked examples."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.judge.intervals import (
    Estimate,
    Ratio,
    estimate,
    holm,
    mean_ratio,
    ratio,
    t_cdf,
    t_quantile,
    t_tails,
)


def clearly_differs(quotient: Ratio | None) -> bool | None:
    """Whether a ratio's interval leaves out 1; None without one."""
    if quotient is None or quotient.low is None or quotient.high is None:
        return None
    return quotient.low > 1 or quotient.high < 1


values = st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=8)


@pytest.mark.parametrize(
    ("probability", "freedom", "printed"),
    [  # NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2
        (0.975, 1, 12.706),
        (0.975, 2, 4.303),
        (0.975, 3, 3.182),
        (0.975, 10, 2.228),
        (0.975, 100, 1.984),
        (0.95, 5, 2.015),
        (0.999, 4, 7.173),
    ],
)
def test_students_t_agrees_with_the_printed_table(
    probability: float, freedom: float, printed: float
) -> None:
    assert t_quantile(probability, freedom) == pytest.approx(printed, abs=0.0006)


def test_with_one_degree_of_freedom_t_is_cauchys_distribution() -> None:
    for value in (0.0, 0.5, 3.0, 40.0):
        assert t_cdf(value, 1) == pytest.approx(0.5 + math.atan(value) / math.pi)


def test_the_interval_of_three_trials() -> None:
    # ln: 4.60517, 4.69135, 4.55388; mean 4.61680, deviation 0.06947; 4.303 * 0.06947 / sqrt(3)
    found = estimate([100.0, 109.0, 95.0])
    assert found is not None
    assert found.mean == pytest.approx(101.17, abs=0.01)
    assert found.low == pytest.approx(85.13, abs=0.02)
    assert found.high == pytest.approx(120.23, abs=0.02)
    assert found.spread == pytest.approx(0.188, abs=0.001)


def test_one_trial_has_a_mean_and_no_interval() -> None:
    found = estimate([5.0])
    assert found is not None
    assert (found.mean, found.low, found.high, found.spread) == (5.0, None, None, None)
    quotient = ratio([6.0], [3.0])
    assert quotient is not None
    assert (quotient.mean, quotient.low) == (2.0, None)
    assert clearly_differs(quotient) is None


@pytest.mark.parametrize("trials", [[], [None], [1.0, None], [0.0, 1.0]])
def test_what_was_not_measured_has_no_estimate(trials: list[float | None]) -> None:
    assert estimate(trials) is None
    assert ratio(trials, [1.0, 2.0]) is None


def test_welch_on_a_worked_example() -> None:
    # In logarithms: means 1 and 0, variances 0.01 and 0.04 of 3 each, so the error is
    # sqrt(0.05 / 3) = 0.1291 with (0.05/3)^2 / ((0.01/3)^2/2 + (0.04/3)^2/2) = 2.941 degrees.
    a = [math.exp(1 + step) for step in (-0.1, 0.0, 0.1)]
    b = [math.exp(step) for step in (-0.2, 0.0, 0.2)]
    found = ratio(a, b)
    assert found is not None
    half = t_quantile(0.975, 2.941) * 0.1291
    assert found.mean == pytest.approx(math.e)
    assert found.low is not None
    assert math.log(found.low) == pytest.approx(1 - half, abs=0.001)
    assert clearly_differs(found) is True


def test_equal_trials_differ_only_when_their_values_do() -> None:
    assert clearly_differs(ratio([5.0, 5.0], [5.0, 5.0])) is False
    assert clearly_differs(ratio([6.0, 6.0], [5.0, 5.0])) is True


@given(values)
def test_the_interval_holds_the_mean(trials: list[float]) -> None:
    found = estimate(trials)
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.mean * (1 + 1e-9)
    assert found.mean <= found.high * (1 + 1e-9)


@given(values, values)
def test_a_ratio_turned_round_is_its_inverse(a: list[float], b: list[float]) -> None:
    one, other = ratio(a, b), ratio(b, a)
    assert one is not None
    assert other is not None
    assert one.mean * other.mean == pytest.approx(1)
    assert clearly_differs(one) == clearly_differs(other)


@given(values, st.floats(0.001, 1000))
def test_the_unit_of_the_values_does_not_matter(trials: list[float], unit: float) -> None:
    one, other = estimate(trials), estimate([value * unit for value in trials])
    assert one is not None
    assert other is not None
    assert other.mean == pytest.approx(one.mean * unit)
    assert other.spread == pytest.approx(one.spread, rel=1e-6, abs=1e-9)


def test_equal_values_are_their_own_mean_exactly() -> None:
    for value in (3.0, 8.0, 10.0, 0.1, 1e6 + 1):
        assert estimate([value] * 3) == Estimate(value, value, value, 3)


def test_a_scale_that_reads_the_same_is_no_certainty() -> None:
    found = estimate([0.004] * 5, resolution=0.01)
    assert found is not None
    assert found.spread == pytest.approx(0.01, rel=0.01)
    quotient = ratio([1.005] * 5, [1.0] * 5, resolution=0.01)
    assert clearly_differs(quotient) is False
    assert clearly_differs(mean_ratio([1.005] * 5, resolution=0.01)) is False
    assert clearly_differs(mean_ratio([1.02] * 5, resolution=0.01)) is True


def test_a_scale_adds_little_to_what_varies_more() -> None:
    trials = [1.0, 1.1, 0.9]
    plain, read = estimate(trials), estimate(trials, resolution=0.004)
    assert plain is not None
    assert read is not None
    assert plain.spread is not None
    assert read.spread is not None
    assert plain.spread < read.spread < plain.spread * 1.001


@given(values, st.floats(0, 0.01))
def test_the_p_value_says_what_the_interval_says(quotients: list[float], resolution: float) -> None:
    found = mean_ratio(quotients, resolution=resolution)
    assert found is not None
    assert found.p_value is not None
    if abs(found.p_value - 0.05) > 1e-6:
        assert clearly_differs(found) == (found.p_value < 0.05)


def test_t_tails_are_what_the_distribution_leaves() -> None:
    assert t_tails(2.228, 10) == pytest.approx(0.05, abs=0.0001)
    assert t_tails(0, 3) == 1


def test_holm_on_a_worked_example() -> None:
    # Four at once: 0.005 * 4, 0.01 * 3, 0.03 * 2, and 0.04 * 1 raised to the one before it.
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert adjusted == pytest.approx({"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({"one": 0.04}) == {"one": 0.04}
    assert holm({"a": 0.6, "b": 0.9}) == {"a": 1, "b": 1}
    assert holm({}) == {}
