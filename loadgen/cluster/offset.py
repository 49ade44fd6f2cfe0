"""What another machine's clock reads, from questions and answers: an offset, and how sure it is.

A ping is a question for that clock. Its answer was read at some moment between the sending and the
receiving, so that it says what the offset was to within half the round trip, and what the clocks
may have drifted in that time: certainly, however unlike the two ways were. Between two such moments
the offset goes in a straight line, since clocks drift slowly; a ping whose round trip was long says
less than a quick one shortly before or after, and is passed over. After the last one, the drift so
far is drawn out.

Source: Cristian, "Probabilistic clock synchronization" (Distributed Computing, 1989).
"""

import math
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass

from loadgen.engine.clock import MILLISECOND, SECOND

# Two clocks do not drift faster than this: adjtimex(2) slews one by 500 ppm at most, and crystals
# are off by less than 100.
MOST_DRIFT = 0.0006
# A drift measured over less time than this says nothing.
DRIFT_SECONDS = 1.0
RECENT_PINGS = 8
# For a machine that has not answered yet.
UNKNOWN_REACH_NS = 50 * MILLISECOND


@dataclass(frozen=True, slots=True)
class Ping:
    """Asked at `sent`, answered by `received`, by our clock; `theirs` is what that one read."""

    sent: int
    received: int
    theirs: int

    @property
    def at(self) -> int:
        return (self.sent + self.received) // 2

    @property
    def offset(self) -> int:
        return self.theirs - self.at

    @property
    def doubt(self) -> int:
        """By how much the offset may be wrong, either way; it may drift on the way as well."""
        return math.ceil((self.received - self.sent) / 2 * (1 + MOST_DRIFT))

    def doubt_at(self, moment: int) -> float:
        """The same for another moment, whatever the clocks did meanwhile."""
        return self.doubt + MOST_DRIFT * abs(moment - self.at)


@dataclass(frozen=True, slots=True)
class Offset:
    """What that clock read more than ours at a moment, in ns, to within `doubt` either way."""

    ns: float
    doubt: float


class Offsets:
    """One machine's clock beside ours, as pings tell of it. A `fleet.clocks.Clock`.

    Pings are noted in the order of time by one thread, and read by others.
    """

    def __init__(self) -> None:
        self._kept: tuple[Ping, ...] = ()
        self._recent: deque[Ping] = deque(maxlen=RECENT_PINGS)
        self.quickest_ns: int | None = None

    def note(self, ping: Ping) -> None:
        """Take in one answer."""
        self._recent.append(ping)
        took = ping.received - ping.sent
        self.quickest_ns = took if self.quickest_ns is None else min(took, self.quickest_ns)
        kept = self._kept
        if kept and kept[-1].doubt_at(ping.at) <= ping.doubt:
            return
        while kept and ping.doubt_at(kept[-1].at) <= kept[-1].doubt:
            kept = kept[:-1]
        self._kept = (*kept, ping)

    @property
    def answers(self) -> int:
        """How many answers there were of late, up to 8."""
        return len(self._recent)

    @property
    def reach_ns(self) -> int:
        """How long a word takes to get there: as long as the slowest of late, both ways."""
        return max(
            (one.received - one.sent for one in tuple(self._recent)), default=UNKNOWN_REACH_NS
        )

    @property
    def drift(self) -> float:
        """By how much faster that clock has run than ours: 0.0001 is 100 ppm."""
        return self._slope(self._kept)[0]

    def at(self, moment: int) -> Offset:
        """The offset at a moment of our clock, in ns. There must have been an answer."""
        kept = self._kept
        after = bisect_right(kept, moment, key=lambda one: one.at)
        if after == 0:
            return Offset(kept[0].offset, kept[0].doubt_at(moment))
        before = kept[after - 1]
        if after == len(kept):
            slope, doubt = self._slope(kept)
            ahead = moment - before.at
            return Offset(before.offset + slope * ahead, before.doubt + doubt * ahead)
        then = kept[after]
        part = (moment - before.at) / (then.at - before.at)
        return Offset(
            before.offset + (then.offset - before.offset) * part,
            before.doubt + (then.doubt - before.doubt) * part,
        )

    def doubt_between(self, start: int, end: int) -> float:
        """The most that the offset was in doubt, in ns, between two moments of our clock."""
        between = [one.doubt for one in self._kept if start < one.at < end]
        return max(self.at(start).doubt, self.at(end).doubt, *between)

    def theirs(self, ours: int) -> int:
        return ours + round(self.at(ours).ns)

    def ours(self, theirs: int) -> int:
        # The offset changes so slowly that a second step comes as near as there are ns.
        ours = theirs - self._kept[-1].offset
        for _ in range(2):
            ours = theirs - round(self.at(ours).ns)
        return ours

    def _slope(self, kept: tuple[Ping, ...]) -> tuple[float, float]:
        """The drift up to the last answer that was kept, and by how much that may be wrong."""
        if not kept:
            return 0.0, MOST_DRIFT
        last = kept[-1]
        # From far enough back for what two answers are in doubt of to matter little.
        back = next(
            (one for one in reversed(kept) if last.at - one.at >= 10 * DRIFT_SECONDS * SECOND),
            kept[0],
        )
        time = last.at - back.at
        if time < DRIFT_SECONDS * SECOND:
            return 0.0, MOST_DRIFT
        slope, doubt = (last.offset - back.offset) / time, (last.doubt + back.doubt) / time
        return (slope, doubt) if doubt < MOST_DRIFT else (0.0, MOST_DRIFT)
