"""The histogram against sorted raw values: laws that hold for any values, within the resolution."""

import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.record.histogram import (
    BUCKETS,
    LARGEST_NS,
    NS_PER_SECOND,
    RESOLUTION,
    Histogram,
    bucket_bounds,
    bucket_index,
)

values = st.one_of(st.integers(0, 2000), st.integers(0, LARGEST_NS), st.just(LARGEST_NS))
percents = st.one_of(st.sampled_from([0, 50, 90, 99, 99.9, 100]), st.floats(0, 100))


def filled(recorded: list[int]) -> Histogram:
    histogram = Histogram()
    for value in recorded:
        histogram.record(value)
    return histogram


@given(values)
def test_a_bucket_holds_its_value_and_is_narrow(value: int) -> None:
    index = bucket_index(value)
    low, high = bucket_bounds(index)
    assert 0 <= index < BUCKETS
    assert low <= value <= high
    assert high - low <= 2 * RESOLUTION * low


@given(st.lists(values, min_size=1, max_size=50), percents)
def test_percentiles_agree_with_sorted_raw_values(recorded: list[int], percent: float) -> None:
    rank = max(1, math.ceil(round(percent * len(recorded) / 100, 6)))
    exact = sorted(recorded)[rank - 1] / NS_PER_SECOND
    assert filled(recorded).percentile(percent) == pytest.approx(exact, rel=RESOLUTION, abs=1e-15)


@given(st.lists(values, min_size=1, max_size=50))
def test_maximum_and_mean_are_within_the_resolution(recorded: list[int]) -> None:
    histogram = filled(recorded)
    largest, mean = max(recorded), sum(recorded) / len(recorded)
    assert histogram.max == pytest.approx(largest / NS_PER_SECOND, rel=RESOLUTION)
    assert histogram.mean == pytest.approx(mean / NS_PER_SECOND, rel=RESOLUTION)


@given(st.lists(st.lists(values, max_size=20), max_size=5))
def test_merged_equals_unmerged(parts: list[list[int]]) -> None:
    whole = filled([value for part in parts for value in part])
    merged = Histogram.merged(filled(part) for part in parts)
    assert merged == whole
    assert merged.count == sum(len(part) for part in parts)


@given(st.lists(values, max_size=20))
def test_histograms_that_are_sent_come_back_equal(recorded: list[int]) -> None:
    histogram = filled(recorded)
    assert pickle.loads(pickle.dumps(histogram)) == histogram


def test_without_values_there_is_no_percentile() -> None:
    histogram = Histogram()
    assert (histogram.count, histogram.percentile(50), histogram.max, histogram.mean) == (
        0,
        None,
        None,
        None,
    )


def test_values_out_of_range_count_as_the_nearest_within() -> None:
    assert filled([-5]) == filled([0])
    assert filled([LARGEST_NS + 1]) == filled([LARGEST_NS])


def test_clearing_keeps_the_list_that_a_hot_loop_holds() -> None:
    histogram = filled([1000])
    held = histogram.counts
    histogram.clear()
    held[bucket_index(5)] += 1
    assert histogram == filled([5])
