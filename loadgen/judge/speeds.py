"""Whether a server kept one speed, from how much it did in each short slice of the time.

A mean stands for one speed. A server that does 35,000 messages a second half of the time and 80,000
the other half does 57,500 at no time at all, and its mean moves with how long each half happened to
last. So the slices are cut in two where that leaves least variance within the parts (Otsu, "A
Threshold Selection Method from Gray-Level Histograms", 1979), and the parts are called speeds where

- each has a share that counts, and the one is clearly faster than the other,
- they are far apart for how wide they are (Ashman's D, Astronomical Journal 108, 1994, made of
  medians so that a few odd slices move nothing): a single hump cut in two has a D below 3, an even
  drift one of 3.5, and
- a speed lasts, so that slices of one speed follow each other more often than chance would have
  it, and comes back: what changes but once may be the machine's doing, and what differs from start
  to start is in the interval.

A server may also have neither one speed nor two, and wander between the slowest tenth of its slices
and the fastest: where those are far apart, and a speed lasts and comes back in the same way. On two
cores the fastest tenth of the slices of selectors, process and iterative was 1.4 to 2.1 times the
slowest, and that of thread and socketserver 2.9 to 3.9 times.
"""

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

FEWEST_SLICES: Final = 30
SMALLEST_SHARE: Final = 0.1
LEAST_APART: Final = 1.3
ASHMAN: Final = 4.0
FEWEST_CHANGES: Final = 3
WANDERING: Final = 2.5
TENTH: Final = 0.1
MUCH_STOLEN: Final = 0.1
# How often the speed may change, as a share of how often it would if slices came in random order.
MOST_CHANGES: Final = 0.6

# What the median absolute deviation of a normal distribution is to be multiplied by.
_MAD_TO_DEVIATION: Final = 1.4826


@dataclass(frozen=True)
class TwoSpeeds:
    """The two speeds of a server, in what the slices count, and how much of the time it had each.

    `slow_share` is 0 to 1, the rest of the time it was fast.
    """

    slow: float
    fast: float
    slow_share: float

    @property
    def fast_share(self) -> float:
        return 1 - self.slow_share


@dataclass(frozen=True)
class Wandering:
    """What a server with many speeds did: a tenth of the time less than `slow`.

    Another tenth of the time it did more than `fast`, both in what the slices count.
    """

    slow: float
    fast: float


Speeds = TwoSpeeds | Wandering
"""What there is to say of a server of which no one number can be said."""


def speeds_of(pieces: Sequence[Sequence[float]]) -> Speeds | None:
    """The speeds in slices of equal length; None where there is one, or no telling.

    A piece is what was measured of one process, in the order of time. Slices in which nothing
    happened are no speed and are passed over, as long as they are few.
    """
    moving = [[math.log(slice_) for slice_ in piece if slice_ > 0] for piece in pieces]
    logs = sorted(itertools.chain.from_iterable(moving))
    if len(logs) < max(FEWEST_SLICES, (1 - SMALLEST_SHARE) * sum(map(len, pieces))):
        return None
    return _two_speeds(moving, logs) or _wandering(moving, logs)


def _two_speeds(moving: Sequence[Sequence[float]], logs: Sequence[float]) -> TwoSpeeds | None:
    cut = _cut(logs)
    slow, fast = logs[:cut], logs[cut:]
    apart = statistics.median(fast) - statistics.median(slow)
    if apart < math.log(LEAST_APART) or apart < ASHMAN * _width(slow, fast):
        return None
    if not _lasts_and_comes_back(moving, fast[0]):
        return None
    return TwoSpeeds(
        math.exp(statistics.median(slow)), math.exp(statistics.median(fast)), cut / len(logs)
    )


def _wandering(moving: Sequence[Sequence[float]], logs: Sequence[float]) -> Wandering | None:
    outside = round(TENTH * len(logs))
    slow, fast = logs[outside], logs[-1 - outside]
    if fast - slow < math.log(WANDERING):
        return None
    if not _lasts_and_comes_back(moving, statistics.median(logs)):
        return None
    return Wandering(math.exp(slow), math.exp(fast))


def _cut(ordered: Sequence[float]) -> int:
    """How many of the ordered values make the lower part: both parts as narrow as can be."""
    total, count = math.fsum(ordered), len(ordered)
    fewest = math.ceil(SMALLEST_SHARE * count)
    below = list(itertools.accumulate(ordered, initial=0.0))

    def between(cut: int) -> float:
        """The variance between the parts, up to a factor: what is not between is within."""
        apart = (total - below[cut]) / (count - cut) - below[cut] / cut
        return cut * (count - cut) * apart**2

    return max(range(fewest, count - fewest + 1), key=between)


def _width(slow: Sequence[float], fast: Sequence[float]) -> float:
    """How wide the parts are, as a standard deviation that odd slices hardly move."""
    widths = []
    for part in (slow, fast):
        middle = statistics.median(part)
        deviation = statistics.median(abs(value - middle) for value in part)
        widths.append(_MAD_TO_DEVIATION * deviation)
    return math.hypot(*widths) / math.sqrt(2)


def _lasts_and_comes_back(pieces: Sequence[Sequence[float]], threshold: float) -> bool:
    """Whether the speed changes more than once or twice, but not with every other slice."""
    neighbours = [
        (one >= threshold, other >= threshold)
        for piece in pieces
        for one, other in itertools.pairwise(piece)
    ]
    changes = sum(one != other for one, other in neighbours)
    if changes < FEWEST_CHANGES:
        return False
    fast = statistics.fmean(one + other for one, other in neighbours) / 2
    return changes <= MOST_CHANGES * 2 * fast * (1 - fast) * len(neighbours)


def cause(model: str, gil: str | None, cores: int | None, stolen: float = 0.0) -> str:
    """What is known to give that model more than one speed, and what to do about it: a clause.

    `gil` is "on" or "off" in the server's interpreter, `cores` those that it may use; None where
    that is not known. `stolen` is how many cores a hypervisor took away meanwhile.
    """
    if model in _THREADS and gil == "on" and (cores is None or cores > 1):
        return CONVOY
    if stolen >= MUCH_STOLEN:
        return f"the hypervisor took up to {stolen:.2f} cores away, which slows whom it hits"
    return "what causes it is not known"


_THREADS: Final = ("thread", "thread-pool", "socketserver", "selectors-pool")

# David Beazley, "Understanding the Python GIL", PyCon 2010.
CONVOY: Final = (
    "its threads wait in a convoy for the GIL, which moves between cores (Beazley 2010); on one "
    "core, with --pin, or without the GIL it has one speed"
)
