"""What pings say of another clock holds, whatever the ways there and back took."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loadgen.cluster.offset import MOST_DRIFT, Offsets, Ping
from loadgen.engine.clock import MILLISECOND, NEVER, SECOND
from loadgen.engine.control import Window
from loadgen.fleet.clocks import OwnClock, tally_by_our_clock, trace_by_our_clock, window_on
from loadgen.record.tally import Turn
from loadgen.record.trace import ClientTrace, ServerTrace, Stay
from tests.runs import group_tally, tally

HOUR = 3600 * SECOND


def truth(ours: int, skew: int, drift: float) -> int:
    """What a clock reads that is off by `skew` at our 0 and runs faster by `drift`."""
    return ours + skew + round(ours * drift)


def asked(sent: int, there: int, back: int, skew: int, drift: float) -> Ping:
    return Ping(sent, sent + there + back, truth(sent + there, skew, drift))


ways = st.integers(1, 200 * MILLISECOND)
gaps = st.integers(1, 2 * SECOND)


@given(
    st.lists(st.tuples(gaps, ways, ways), min_size=1, max_size=40),
    st.integers(-HOUR, HOUR),
    st.floats(-MOST_DRIFT * 0.9, MOST_DRIFT * 0.9),
    st.integers(-2 * SECOND, 90 * SECOND),
)
@example([(1, 31441, 1)], 0, 0.0004929717304496727, 0)
def test_the_offset_is_as_well_known_as_it_says(
    pings: list[tuple[int, int, int]], skew: int, drift: float, moment: int
) -> None:
    clock, now = Offsets(), 0
    for gap, there, back in pings:
        now += gap
        clock.note(asked(now, there, back, skew, drift))
        now += there + back
    found = clock.at(moment)
    rounding = 5
    assert abs(truth(moment, skew, drift) - moment - found.ns) <= found.doubt + rounding
    assert clock.theirs(moment) == moment + round(found.ns)
    assert abs(clock.ours(clock.theirs(moment)) - moment) <= rounding


def test_a_quick_answer_says_more_than_slow_ones_beside_it() -> None:
    clock = Offsets()
    for sent, there, back in ((0, 40, 1), (100, 1, 1), (200, 1, 60)):
        clock.note(
            asked(sent * MILLISECOND, there * MILLISECOND, back * MILLISECOND, 7 * SECOND, 0)
        )
    found = clock.at(150 * MILLISECOND)
    assert found.ns == 7 * SECOND
    assert found.doubt < 2 * MILLISECOND
    assert clock.quickest_ns == 2 * MILLISECOND
    assert clock.reach_ns == 61 * MILLISECOND


def test_drift_is_drawn_out_beyond_the_last_answer() -> None:
    clock, drift = Offsets(), 0.0001
    for second in range(20):
        clock.note(asked(second * SECOND, 10_000, 10_000, 0, drift))
    later = clock.at(25 * SECOND)
    assert later.ns == pytest.approx(25 * SECOND * drift, abs=later.doubt)
    assert later.doubt < MILLISECOND / 10
    assert clock.drift == pytest.approx(drift, rel=0.1)
    # A drift that was not measured yet is not taken for one.
    young = Offsets()
    young.note(asked(0, 10_000, 10_000, 0, drift))
    assert young.drift == 0.0
    assert young.at(SECOND).doubt == pytest.approx(MOST_DRIFT * SECOND, rel=0.05)


def test_moments_that_cross_a_line_are_put_on_the_other_clock() -> None:
    clock = Offsets()
    clock.note(Ping(0, 2, 1 + 5 * SECOND))
    assert window_on(clock, Window(100, 200, 3, 50)) == Window(
        100 + 5 * SECOND, 200 + 5 * SECOND, 3, 50 + 5 * SECOND
    )
    assert window_on(clock, Window(100, NEVER)) == Window(100 + 5 * SECOND, NEVER)

    group = group_tally()
    group.traces = [
        ClientTrace(0, ["a"], [(5 * SECOND + 1, 5 * SECOND + 2)], [(5 * SECOND, 5 * SECOND, None)])
    ]
    found = tally(group)
    found.turns = [Turn(round=1, started=105.5, seconds=1.0)]
    tally_by_our_clock(found, clock)
    assert (found.started, found.window_started) == (95.0, 95.5)
    assert (found.turns[0].started, found.turns[0].seconds) == (100.5, 1.0)
    assert group.traces[0].connecting == [(1, 2)]
    assert group.traces[0].exchanges == [(0, 0, None)]

    at = 5 * SECOND
    stay = Stay("a", 1, at + 9, accepted=at, begun=None,
                messages=((at + 1, at + 2, at + 3, 7, 1, [(at + 1, at + 2)]),))  # fmt: skip
    trace = trace_by_our_clock(ServerTrace(1, at, stays=(stay,)), clock)
    assert (trace.began, trace.ended) == (0, None)
    (moved,) = trace.stays
    assert (moved.ended, moved.accepted, moved.begun) == (9, 0, None)
    assert moved.messages == ((1, 2, 3, 7, 1, [(1, 2)]),)


def test_of_our_own_clock_no_bit_changes() -> None:
    found = tally(group_tally())
    found.started = 0.1 + 0.2
    tally_by_our_clock(found, OwnClock())
    assert found.started == 0.1 + 0.2


def test_answers_are_kept_in_the_order_of_time() -> None:
    clock = Offsets()
    for number in range(100):
        clock.note(asked(number * SECOND, 1000 + number % 7 * 100_000, 1000, 0, 0))
    assert all(a.at < b.at for a, b in pairwise(clock._kept))
