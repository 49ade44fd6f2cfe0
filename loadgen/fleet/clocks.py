"""Clocks of other machines: what they read at a moment of ours, and the other way round.

Every moment is in ns of a monotonic clock (CLOCK_MONOTONIC), each machine's own. No two machines
agree on it, since it counts from when they were started.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from loadgen.engine.clock import NEVER, SECOND
from loadgen.engine.control import Window
from loadgen.record.tally import Tally
from loadgen.record.trace import ServerTrace, Stay


class Clock(Protocol):
    """A machine's clock beside our own. `reach_ns` is how long a word takes to get there."""

    @property
    def reach_ns(self) -> int: ...

    def theirs(self, ours: int) -> int:
        """What that clock reads when ours reads this."""
        ...

    def ours(self, theirs: int) -> int:
        """What our clock read when that one read this."""
        ...


class OwnClock:
    """The clock that all processes of this machine share."""

    reach_ns = 0

    def theirs(self, ours: int) -> int:
        return ours

    def ours(self, theirs: int) -> int:
        return theirs


def window_on(clock: Clock, window: Window) -> Window:
    """A window of ours as that machine is to keep it."""

    def moved(moment: int) -> int:
        return NEVER if moment == NEVER else clock.theirs(moment)

    return Window(moved(window.opens), moved(window.closes), window.round, moved(window.begins))


def tally_by_our_clock(tally: Tally, clock: Clock) -> None:
    """Put every moment in a worker's tally on our clock; lengths of time stay as they were."""

    def moved(seconds: float) -> float:
        # By how much, and not to what: of our own clock not a bit changes.
        theirs = round(seconds * SECOND)
        return seconds + (clock.ours(theirs) - theirs) / SECOND

    tally.started = moved(tally.started)
    if tally.window_started is not None:
        tally.window_started = moved(tally.window_started)
    for turn in tally.turns:
        turn.started = moved(turn.started)
    for trace in (one for group in tally.groups for one in group.traces):
        trace.connecting = [(clock.ours(start), clock.ours(end)) for start, end in trace.connecting]
        trace.exchanges = [
            (clock.ours(due), clock.ours(sent), _maybe(clock.ours, reply))
            for due, sent, reply in trace.exchanges
        ]


def trace_by_our_clock(trace: ServerTrace, clock: Clock) -> ServerTrace:
    """A server's trace with every moment on our clock; CPU times stay as they were."""

    def moved(stay: Stay) -> Stay:
        return replace(
            stay,
            ended=clock.ours(stay.ended),
            accepted=_maybe(clock.ours, stay.accepted),
            begun=_maybe(clock.ours, stay.begun),
            messages=tuple(
                (
                    clock.ours(received),
                    clock.ours(answered),
                    clock.ours(sent),
                    cpu,
                    thread,
                    [(clock.ours(start), clock.ours(end)) for start, end in pieces],
                )
                for received, answered, sent, cpu, thread, pieces in stay.messages
            ),
        )

    return replace(
        trace,
        began=clock.ours(trace.began),
        ended=_maybe(clock.ours, trace.ended),
        stays=tuple(moved(stay) for stay in trace.stays),
    )


def _maybe(moved: Callable[[int], int], moment: int | None) -> int | None:
    return None if moment is None else moved(moment)
