"""Tallies of workers add up to what one worker would have counted."""

from copy import deepcopy

from hypothesis import given
from hypothesis import strategies as st

from loadgen.record.histogram import Histogram
from loadgen.record.tally import (
    LANES,
    TIMELINE_SLICE_SECONDS,
    TIMELINE_SLICES,
    GroupTally,
    Lane,
    Tally,
    merge_tallies,
)

COUNTS = ("clients", "connected", "served", "intended", "answered", "wrong", "failed", "waiting")
HISTOGRAMS = ("connect", "first_reply", "service", "response")


def group_tallies() -> st.SearchStrategy[GroupTally]:
    def build(counts: list[int], recorded: list[list[int]], errors: dict[str, int]) -> GroupTally:
        tally = GroupTally("all")
        for name, count in zip(COUNTS, counts, strict=True):
            setattr(tally, name, count)
        for name, values in zip(HISTOGRAMS, recorded, strict=True):
            for value in values:
                getattr(tally, name).record(value)
        tally.errors = errors
        tally.answered_per_client = counts[:3]
        tally.timeline = counts[:5]
        tally.lanes = [Lane(number, connected=0.5) for number in range(counts[0])]
        return tally

    return st.builds(
        build,
        st.lists(st.integers(0, 30), min_size=len(COUNTS), max_size=len(COUNTS)),
        st.lists(st.lists(st.integers(0, 10**9), max_size=5), min_size=4, max_size=4),
        st.dictionaries(st.sampled_from(["EOF", "ECONNRESET"]), st.integers(1, 5)),
    )


def tally(group: GroupTally, started: float = 1.0, seconds: float = 3.0) -> Tally:
    return Tally([group], started, 0.5, started + 1, seconds, engine_cpu_seconds=0.25)


@given(group_tallies(), group_tallies())
def test_counts_and_histograms_add_up(one: GroupTally, other: GroupTally) -> None:
    whole = deepcopy(one)
    whole.merge(other)
    for name in COUNTS:
        assert getattr(whole, name) == getattr(one, name) + getattr(other, name)
    for name in HISTOGRAMS:
        parts = (getattr(one, name), getattr(other, name))
        assert getattr(whole, name) == Histogram.merged(parts)
    assert sum(whole.errors.values()) == sum(one.errors.values()) + sum(other.errors.values())
    assert sum(whole.timeline) == sum(one.timeline) + sum(other.timeline)
    assert whole.answered_per_client == one.answered_per_client + other.answered_per_client
    assert len(whole.lanes) <= LANES


def test_lateness_is_absent_unless_a_worker_had_some() -> None:
    closed, open_loop = GroupTally("all"), GroupTally("all", lateness=Histogram())
    closed.merge(GroupTally("all"))
    assert closed.lateness is None
    closed.merge(open_loop)
    assert closed.lateness == Histogram()


def test_a_timeline_stays_bounded_and_loses_no_message() -> None:
    group = GroupTally("all")
    for _ in range(5 * TIMELINE_SLICES):
        group.add_slice(1)
    assert len(group.timeline) < TIMELINE_SLICES
    assert sum(group.timeline) == 5 * TIMELINE_SLICES
    assert group.timeline_slice_seconds > TIMELINE_SLICE_SECONDS


def test_timelines_of_unequal_slices_are_brought_to_the_coarser() -> None:
    fine = GroupTally("all", timeline=[1, 2, 3])
    coarse = GroupTally("all", timeline=[10, 20])
    coarse.timeline_slice_seconds = 2 * TIMELINE_SLICE_SECONDS
    fine.merge(coarse)
    assert (fine.timeline, fine.timeline_slice_seconds) == ([13, 23], 2 * TIMELINE_SLICE_SECONDS)


def test_merging_spans_the_workers_times() -> None:
    early, late = tally(GroupTally("all"), 1.0, 2.9), tally(GroupTally("all"), 1.2, 3.0)
    late.busiest_worker_cpu = 0.7
    whole = merge_tallies([early, late])
    assert (whole.started, whole.window_started, whole.window_seconds) == (1.0, 2.0, 3.0)
    assert round(whole.connecting_seconds, 9) == 0.7
    assert (whole.engine_cpu_seconds, whole.busiest_worker_cpu) == (0.5, 0.7)


def test_a_window_that_never_opened_is_absent() -> None:
    never = Tally([GroupTally("all")], 1.0, 0.0, None, 0.0)
    whole = merge_tallies([never])
    assert (whole.window_started, whole.engine_cpu_seconds) == (None, None)


def test_a_message_without_one_end_is_unaccounted() -> None:
    sound = GroupTally("a", intended=10, answered=6, wrong=1, failed=2, waiting=1)
    twice = GroupTally("b", intended=3, answered=4)
    assert Tally([sound], 0, 0, None, 0).unaccounted == 0
    assert Tally([sound, twice], 0, 0, None, 0).unaccounted == 1
