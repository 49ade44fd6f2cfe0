"""Sets of stretches, held against counting the moments one by one."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from loadgen.judge.spans import Span, both, crowded, length, union, within, without

spans = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 10)).map(lambda one: (one[0], one[0] + one[1]))
)


def moments(found: list[Span]) -> set[int]:
    return {moment for start, end in found for moment in range(start, end)}


def is_a_set(found: list[Span]) -> bool:
    edges = [edge for span in found for edge in span]
    return edges == sorted(edges) and all(start < end for start, end in found)


@given(spans)
def test_a_union_covers_what_any_covers(some: list[Span]) -> None:
    found = union(some)
    assert moments(found) == moments(some)
    assert length(found) == len(moments(some))
    assert all(before[1] < after[0] for before, after in itertools.pairwise(found))


@given(spans, spans)
def test_both_and_without_share_out_a_set(some: list[Span], others: list[Span]) -> None:
    first, second = union(some), union(others)
    common, rest = both(first, second), without(first, second)
    assert moments(common) == moments(first) & moments(second)
    assert moments(rest) == moments(first) - moments(second)
    assert is_a_set(common)
    assert is_a_set(rest)
    assert length(common) + length(rest) == length(first)


@given(spans, st.tuples(st.integers(0, 40), st.integers(0, 20)))
def test_within_is_both_with_one_stretch(some: list[Span], place: tuple[int, int]) -> None:
    frame = place[0], place[0] + place[1]
    assert within(union(some), frame) == both(union(some), union([frame]))


@given(st.lists(spans, max_size=4))
def test_it_is_crowded_where_two_are_at_it(sets: list[list[Span]]) -> None:
    covered = [moments(union(one)) for one in sets]
    expected = {moment for moment in range(60) if sum(moment in one for one in covered) > 1}
    assert moments(crowded([union(one) for one in sets])) == expected
