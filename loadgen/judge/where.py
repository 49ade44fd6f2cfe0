"""Where a message's time goes: the time that its client waited, split by what went on meanwhile.

Every moment from the sending of a message to its reply belongs to one part, the first that applies,
so that the parts add up to the latency. Only clients that were traced are known: what the server
did for others looks like the way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from typing import Final

from loadgen.judge.handled import handled
from loadgen.judge.lanes import pieces_of
from loadgen.judge.spans import Span, both, length, union, within, without
from loadgen.record.result import Run
from loadgen.record.trace import ServerTrace

MOST_MESSAGES: Final = 5000
"""Messages of a group that are looked at, as many of each client, from the window's opening on."""

TOLERANCE: Final = 0.01
"""The share of all latency by which the parts may miss it."""


class Part(Enum):
    """What a message's time goes to; the value says it in words."""

    TALK = "in the talk"
    ASLEEP = "asleep as asked"
    OUTSIDE = "to be let in"
    BEHIND = "behind others"
    GIL = "for the GIL"
    CORE = "for a core"
    IN = "way in"
    BACK = "way back"


@dataclass(frozen=True)
class Where:
    """The mean parts of so many messages, in seconds, and their mean latency."""

    messages: int
    latency_seconds: float
    parts: Mapping[Part, float]

    @property
    def missing_share(self) -> float:
        """By which share of the latency the parts miss it."""
        return abs(sum(self.parts.values()) - self.latency_seconds) / self.latency_seconds


def where(run: Run) -> dict[str, Where]:
    """Where the time of each group's messages went, by its name; empty without a trace."""
    tally, trace = run.tally, run.trace
    if tally is None or trace is None:
        return {}
    server = _Server(trace)
    opened = round((tally.window_started or 0.0) * 1e9)
    found = {}
    for group, planned in zip(tally.groups, run.plan.groups, strict=True):
        sleeps = (planned.work or "").startswith("sleep")
        sums: dict[Part, int] = defaultdict(int)
        messages = latency = 0
        for client in group.traces:
            begun = [
                (started, stay.begun)
                for address, (started, _) in zip(client.addresses, client.connecting, strict=True)
                for stay in trace.of([address])
                if stay.begun is not None
            ]
            each = (
                one for one in handled(client, trace, run.clock_doubt_ns) if one[0][1] >= opened
            )
            for exchange, stay, message in islice(each, MOST_MESSAGES // len(group.traces)):
                _, sent, reply = exchange
                assert reply is not None  # it was handled
                messages += 1
                latency += reply - sent
                home = stay.process, stay.interpreter
                one = _Message((sent, reply), message[0], message[1], pieces_of(message))
                for part, taken in server.split(one, home, message[4], union(begun), sleeps):
                    sums[part] += taken
        if messages:
            found[group.name] = Where(
                messages,
                latency / messages / 1e9,
                {part: sums[part] / messages / 1e9 for part in Part},
            )
    return found


@dataclass(frozen=True)
class _Message:
    frame: Span
    received: int
    answered: int
    pieces: Sequence[Span]


class _Server:
    """When each interpreter, and each thread, of a server was at any message."""

    def __init__(self, trace: ServerTrace) -> None:
        running: dict[tuple[int, int], list[Span]] = defaultdict(list)
        busy: dict[tuple[int, int, int], list[Span]] = defaultdict(list)
        for stay in trace.stays:
            home = stay.process, stay.interpreter
            for message in stay.messages:
                running[home] += pieces_of(message)
                busy[*home, message[4]].append((message[0], message[1]))
        self._running = {home: union(spans) for home, spans in running.items()}
        self._busy = {thread: union(spans) for thread, spans in busy.items()}
        self._gil = trace.gil

    def split(
        self, one: _Message, home: tuple[int, int], thread: int, outside: list[Span], sleeps: bool
    ) -> Iterator[tuple[Part, int]]:
        """How much of a message's time went to which part, in ns."""
        sent, reply = one.frame
        to_received, to_answered = [(sent, one.received)], [(sent, one.answered)]
        others = within(self._busy[*home, thread], one.frame)
        running = within(self._running[home], one.frame) if self._gil else []
        left: list[Span] = [one.frame]
        for part, spans in (
            (Part.TALK, one.pieces),
            (Part.OUTSIDE, both(outside, to_received)),
            (Part.BEHIND, both(others, to_received)),
            (Part.GIL, both(running, to_answered)),
            (Part.ASLEEP if sleeps else Part.CORE, [(one.received, one.answered)]),
            (Part.IN, to_received),
            (Part.BACK, [(one.answered, reply)]),
        ):
            yield part, length(both(left, union(spans)))
            left = without(left, union(spans))
