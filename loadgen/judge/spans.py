"""Stretches of time, in sets: what is in one or the other, in both, or in one and not the other.

A set is a sequence of stretches from `start` to `end`, in order, that do not touch.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise

Span = tuple[int, int]
"""From when to when."""


def union(spans: Iterable[Span]) -> list[Span]:
    """What any of the stretches covers, as a set; those without length are left out."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if end <= start:
            continue
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def both(some: Sequence[Span], others: Sequence[Span]) -> list[Span]:
    """What is in both sets."""
    found: list[Span] = []
    one = other = 0
    while one < len(some) and other < len(others):
        start = max(some[one][0], others[other][0])
        end = min(some[one][1], others[other][1])
        if start < end:
            found.append((start, end))
        if some[one][1] < others[other][1]:
            one += 1
        else:
            other += 1
    return found


def within(some: Sequence[Span], frame: Span) -> list[Span]:
    """What of a set lies within one stretch; quick for a set of many."""
    first = bisect_right(some, frame[0], key=lambda span: span[1])
    last = bisect_left(some, frame[1], key=lambda span: span[0])
    return both(some[first:last], [frame])


def without(some: Sequence[Span], others: Sequence[Span]) -> list[Span]:
    """What is in the first set and not in the second."""
    if not some:
        return []
    start, end = some[0][0], some[-1][1]
    edges = [start, *(edge for span in both([(start, end)], others) for edge in span), end]
    gaps = [(edges[place], edges[place + 1]) for place in range(0, len(edges), 2)]
    return both(some, [gap for gap in gaps if gap[0] < gap[1]])


def length(spans: Iterable[Span]) -> int:
    """How long the stretches of a set are together."""
    return sum(end - start for start, end in spans)


def crowded(sets: Iterable[Sequence[Span]]) -> list[Span]:
    """When two or more of the sets are at it at once."""
    changes = sorted(
        change for spans in sets for start, end in spans for change in ((start, 1), (end, -1))
    )
    depth = 0
    found = []
    for (at, by), (after, _) in pairwise(changes):
        depth += by
        if depth > 1:
            found.append((at, after))
    return union(found)
