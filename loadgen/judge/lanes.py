"""Who ran when: a lane for each client that was traced, made of what it was at, moment by moment.

The client's half says when a message was sent and answered, the server's half when a thread worked
on it; who waits, and for whom, follows. What was not traced is nobody's lane, and blocks nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from math import inf
from statistics import median
from typing import Final

from loadgen.judge.figures import figures
from loadgen.judge.spans import Span, both, crowded, length, union, without
from loadgen.plan.group import Group
from loadgen.record.result import Run
from loadgen.record.tally import Tally
from loadgen.record.trace import KEPT, ClientTrace, Handling, ServerTrace

SECOND: Final = 1_000_000_000
MESSAGES_SHOWN: Final = 24
"""Of the client whose messages take longest, a picture shows about so many: a pattern is seen."""

NEVER: Final = 1 << 62


class At(Enum):
    """What a client is at; the value says it in words."""

    RUNS = "runs"
    BEHIND = "waits while others run"
    WAITS = "waits while none does"
    OUTSIDE = "waits to be let in"
    IDLE = "asks for nothing"


@dataclass(frozen=True)
class Lane:
    """A client's lane, times in seconds from the picture's beginning.

    A client runs while the server works on its message. `spans` are what it was at, in order, but
    for when it was idle. `works` is whether its messages ask for work. `waits` are how long each
    reply took that came within the picture, `answers` when it came, `gave_way` how often others ran
    between two pieces of work on each message, and `let_in` whether it was before the end.
    """

    label: str
    spans: tuple[tuple[At, float, float], ...]
    answers: tuple[float, ...]
    waits: tuple[float, ...]
    gave_way: tuple[int, ...]
    works: bool
    let_in: bool


@dataclass(frozen=True)
class Lanes:
    """The clients of one run side by side, for so many `seconds`.

    `running_seconds` is how long any of them ran, `together_seconds` how much of that two or more
    did at once. `clients` is how many the run had, those without a lane among them. `other_cores`
    is how much of the machine other programs took in the run's window, None where that is not
    known.
    """

    seconds: float
    lanes: tuple[Lane, ...]
    running_seconds: float
    together_seconds: float
    clients: int
    other_cores: float | None


def seconds_to_show(runs: Iterable[Run]) -> float:
    """How much of each of these runs makes a good picture of all; 0 where nothing was traced.

    As much as the slowest of them needs: the whole window, unless messages are so short that nobody
    could tell them apart. But of none more than its end, from where on no message was left out.
    """
    needed, kept = 0.0, inf
    for run in runs:
        tally = run.tally
        if tally is None or run.trace is None or tally.window_ended is None:
            continue
        seconds = tally.window_ended - (tally.window_started or 0.0)
        seconds = min(seconds, MESSAGES_SHOWN * _slowest(run.plan.groups, tally))
        needed = max(needed, seconds)
        end, whole = round(tally.window_ended * SECOND), _whole_from(tally, run.trace)
        if whole is not None and whole < end:
            kept = min(kept, (end - whole) / SECOND)
    return min(needed, kept)


def _slowest(groups: Sequence[Group], tally: Tally) -> float:
    """How long a message of the slowest traced client takes, in seconds; infinite if none does.

    Of clients who think between two messages it is forgotten that they do, unless all of them do.
    """
    took = [
        (group.think_seconds, median(found) / SECOND)
        for group, counts in zip(groups, tally.groups, strict=True)
        for one in counts.traces
        if (found := [reply - sent for _, sent, reply in one.exchanges if reply is not None])
    ]
    restless = [seconds for think, seconds in took if not think]
    return max(restless or [think + seconds for think, seconds in took], default=inf)


def _traced(tally: Tally) -> list[ClientTrace]:
    return [one for group in tally.groups for one in group.traces]


def _whole_from(tally: Tally, trace: ServerTrace) -> int | None:
    """From when on no message is missing; None where none was left out anywhere."""
    clients = [one.exchanges[KEPT:] for one in _traced(tally) if one.left_out]
    stays = [stay.messages[KEPT:] for stay in trace.stays if stay.left_out]
    kept = [last[0][1] for last in clients if last] + [last[0][0] for last in stays if last]
    return max(kept, default=None)


def lanes_of(run: Run, seconds: float) -> Lanes | None:
    """The lanes of a run's traced clients over so many seconds; None where there are none.

    They begin with the window or, where of some client messages were left out since, end with it.
    """
    tally, trace = run.tally, run.trace
    if tally is None or trace is None or tally.window_ended is None or tally.window_started is None:
        return None
    alone = len(run.plan.groups) == 1
    clients = [
        (one, _label(one, planned, alone=alone), planned)
        for group, planned in zip(tally.groups, run.plan.groups, strict=True)
        for one in group.traces
    ]
    if not clients:
        return None
    begin = round(tally.window_started * SECOND)
    if _whole_from(tally, trace) is not None:
        begin = max(begin, round((tally.window_ended - seconds) * SECOND))
    frame = [(begin, begin + round(seconds * SECOND))]
    halves = [_Half(one, trace) for one, _, _ in clients]
    runs = [both(half.runs, frame) for half in halves]
    lanes = [
        _lane(label, half, runs, place, frame[0], planned.work is not None)
        for place, ((_, label, planned), half) in enumerate(zip(clients, halves, strict=True))
    ]
    return Lanes(
        seconds,
        tuple(lanes),
        length(union(span for one in runs for span in one)) / SECOND,
        length(crowded(runs)) / SECOND,
        run.plan.clients,
        figures(run).machine.other_cores,
    )


def _label(client: ClientTrace, group: Group, *, alone: bool) -> str:
    if group.clients == 1:
        return group.name
    return f"{'client' if alone else group.name} {client.client + 1}"


class _Half:
    """What both halves say of one client, as sets of stretches."""

    def __init__(self, client: ClientTrace, trace: ServerTrace) -> None:
        stays = list(trace.of(client.addresses))
        begun = {stay.client: stay.begun for stay in stays if stay.begun is not None}
        self.exchanges = client.exchanges
        self.asks = union(
            (sent, NEVER if reply is None else reply) for _, sent, reply in client.exchanges
        )
        self.handled = [one for stay in stays for one in stay.messages]
        self.runs = union(piece for one in self.handled for piece in pieces_of(one))
        self.outside = union(
            (started, begun.get(address, NEVER))
            for address, (started, _) in zip(client.addresses, client.connecting, strict=True)
        )


def pieces_of(message: Handling) -> Sequence[Span]:
    """When a thread worked on a message: all the time, where nothing more is known."""
    received, answered, _, _, _, pieces = message
    return pieces or [(received, answered)]


def _lane(
    label: str, half: _Half, runs: Sequence[Sequence[Span]], place: int, frame: Span, works: bool
) -> Lane:
    begin, end = frame
    own = runs[place]
    others = union(span for lane, spans in enumerate(runs) if lane != place for span in spans)
    outside = both(without(half.outside, own), [frame])
    waits = both(without(without(half.asks, own), outside), [frame])
    parts = {
        At.RUNS: own,
        At.BEHIND: both(waits, others),
        At.WAITS: without(waits, others),
        At.OUTSIDE: outside,
    }
    spans = sorted(
        ((start, stop, at) for at, found in parts.items() for start, stop in found),
        key=lambda span: span[:2],
    )
    came = [
        (sent, reply)
        for _, sent, reply in half.exchanges
        if reply is not None and begin <= reply < end
    ]
    return Lane(
        label,
        tuple((at, (start - begin) / SECOND, (stop - begin) / SECOND) for start, stop, at in spans),
        tuple((reply - begin) / SECOND for _, reply in came),
        tuple((reply - sent) / SECOND for sent, reply in came),
        tuple(
            _gaps_with(one[5], others)
            for one in half.handled
            if one[5] and begin <= one[0] and one[1] < end
        ),
        works,
        let_in=any(stop < end for _, stop in half.outside),
    )


def _gaps_with(pieces: Sequence[Span], others: Sequence[Span]) -> int:
    """In how many of the gaps between the pieces others ran."""
    gaps = [(before[1], after[0]) for before, after in pairwise(pieces)]
    return sum(bool(both([gap], others)) for gap in gaps if gap[0] < gap[1])
