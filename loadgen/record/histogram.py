"""Latencies in constant memory: a log-linear histogram of whole nanoseconds.

Each power of two is cut into 128 equal buckets, so a bucket is at most 1/128 (0.8 %) of its value
wide, and a value reported by its middle is off by at most 1/256 (0.4 %). This is the layout of
HdrHistogram (Gil Tene, http://hdrhistogram.org) at two significant digits. Histograms add up bucket
by bucket, so merging loses nothing; percentiles are never averaged.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Final

# Values below 2**SUB_BITS have a bucket each; above, the top SUB_BITS bits of a value name its
# bucket.
SUB_BITS: Final = 8
HALF = 1 << (SUB_BITS - 1)
# Room for 2**50 ns, which is 13 days; what is longer is counted as that.
VALUE_BITS = 50
BUCKETS = (VALUE_BITS - SUB_BITS + 2) * HALF
LARGEST_NS = (1 << VALUE_BITS) - 1
RESOLUTION = 1 / (1 << SUB_BITS)

NS_PER_SECOND = 1_000_000_000


def bucket_index(value_ns: int) -> int:
    """The bucket of a value in 0..LARGEST_NS."""
    shift = value_ns.bit_length() - SUB_BITS
    return value_ns if shift <= 0 else (shift << (SUB_BITS - 1)) + (value_ns >> shift)


def bucket_bounds(index: int) -> tuple[int, int]:
    """The lowest and the highest nanosecond that fall into a bucket."""
    if index < 2 * HALF:
        return index, index
    shift = (index >> (SUB_BITS - 1)) - 1
    low = (index - (shift << (SUB_BITS - 1))) << shift
    return low, low + (1 << shift) - 1


def middle(index: int) -> float:
    """What a value in a bucket is reported as, in seconds."""
    return sum(bucket_bounds(index)) / 2 / NS_PER_SECOND


class Histogram:
    """Counts of values in nanoseconds; answers in seconds.

    `counts` is public so that a hot loop can count in place: `counts[bucket_index(ns)] += 1`.
    """

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts = [0] * BUCKETS

    def record(self, value_ns: int, times: int = 1) -> None:
        """Count a value; a negative one counts as 0 and one above LARGEST_NS as that."""
        self.counts[bucket_index(min(max(value_ns, 0), LARGEST_NS))] += times

    def clear(self) -> None:
        """Forget everything, in place: whoever holds `counts` goes on with the same list."""
        self.counts[:] = [0] * BUCKETS

    def merge(self, other: Histogram) -> None:
        """Add the other's counts to these."""
        counts = self.counts
        for index, count in other.nonzero():
            counts[index] += count

    @classmethod
    def merged(cls, histograms: Iterable[Histogram]) -> Histogram:
        """A new histogram with the counts of all."""
        whole = cls()
        for histogram in histograms:
            whole.merge(histogram)
        return whole

    def nonzero(self) -> Iterator[tuple[int, int]]:
        """(bucket index, count) of the buckets in use, lowest first."""
        return itertools.compress(enumerate(self.counts), self.counts)

    def buckets(self) -> Iterator[tuple[int, int, int]]:
        """(lowest ns, highest ns, count) of the buckets in use, lowest first."""
        return ((*bucket_bounds(index), count) for index, count in self.nonzero())

    @property
    def count(self) -> int:
        """How many values were recorded."""
        return sum(self.counts)

    def percentile(self, percent: float) -> float | None:
        """The value in seconds that `percent` (0 to 100) of all do not exceed; None without any.

        Nearest rank (the smallest recorded value with at least that share at or below it), within
        RESOLUTION.
        """
        return self.percentiles(percent)[0]

    def percentiles(self, *percents: float) -> list[float | None]:
        """Several percentiles for little more than the price of one."""
        used = list(self.nonzero())
        if not used:
            return [None] * len(percents)
        seen = list(itertools.accumulate(count for _, count in used))
        # Rounded first: 99.9 % of 1,000 is 999.0000000000001 in floating point, and its rank 999,
        # not 1,000.
        ranks = [max(1, math.ceil(round(percent * seen[-1] / 100, 6))) for percent in percents]
        return [middle(used[bisect.bisect_left(seen, rank)][0]) for rank in ranks]

    @property
    def max(self) -> float | None:
        """The largest value in seconds within RESOLUTION, or None without values."""
        return self.percentile(100)

    @property
    def mean(self) -> float | None:
        """The mean in seconds within RESOLUTION, or None without values."""
        count = self.count
        if not count:
            return None
        return sum(middle(index) * times for index, times in self.nonzero()) / count

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and self.counts == other.counts

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Histogram of {self.count} values, p50 {self.percentile(50)} s, max {self.max} s>"

    def __getstate__(self) -> list[tuple[int, int]]:
        return list(self.nonzero())

    def __setstate__(self, state: list[tuple[int, int]]) -> None:
        self.counts = [0] * BUCKETS
        for index, count in state:
            self.counts[index] = count
