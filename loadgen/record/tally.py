"""The raw counts of one run: what happened, before anyone says what it means.

A worker fills one Tally; tallies of workers add up to the run's. Nothing here divides or judges.
Every intended message is in exactly one of answered, wrong, failed and waiting; `Tally.unaccounted`
says by how much that is untrue.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Annotated

from loadgen.record import number
from loadgen.record.histogram import Histogram
from loadgen.record.machine import MachineTally
from loadgen.record.trace import ClientTrace

LANES = 20
TIMELINE_SLICE_SECONDS = 0.05
TIMELINE_SLICES = 1200


@dataclass(slots=True)
class Turn:
    """A measured window of a server that took turns with others, all groups of clients together.

    `round` counts from 1: every server has one turn in each. `started` is the window's opening by
    time.monotonic(), `seconds` its length, shorter than planned where Ctrl-C or the loss of all
    clients cut it. `answered` and `connections` were counted within; `service` and `response` are
    the latencies of what was answered, as in `GroupTally`. `engine_cpu_seconds` is summed over
    workers; `busiest_worker_cpu` (0 to 1) is the share of a core that the busiest one used;
    `engine_wait_seconds` is as in `Tally`.
    """

    round: number.Count = 0
    started: float = 0.0
    seconds: float = 0.0
    answered: number.Count = 0
    connections: number.Count = 0
    service: Histogram = field(default_factory=Histogram)
    response: Histogram = field(default_factory=Histogram)
    engine_cpu_seconds: float = 0.0
    busiest_worker_cpu: float = 0.0
    engine_wait_seconds: float = 0.0

    def add(self, other: Turn) -> None:
        """Add what another worker counted in the same window."""
        self.started = min(self.started, other.started)
        self.seconds = max(self.seconds, other.seconds)
        self.answered += other.answered
        self.connections += other.connections
        self.service.merge(other.service)
        self.response.merge(other.response)
        self.engine_cpu_seconds += other.engine_cpu_seconds
        self.engine_wait_seconds += other.engine_wait_seconds
        self.busiest_worker_cpu = max(self.busiest_worker_cpu, other.busiest_worker_cpu)


@dataclass(slots=True)
class Lane:
    """One client's life in seconds since the run started, None for what never came.

    For a picture of who was served when, and who queued meanwhile.
    """

    client: number.Count
    connect_started: float | None = None
    connected: float | None = None
    first_reply: float | None = None
    ended: float | None = None
    messages: number.Count = 0


@dataclass(slots=True)
class GroupTally:
    """What became of one group's clients and messages, in one worker or merged.

    Clients: `connected` at least once; of those that were to talk, `served` had a right reply and
    `starved` never had, so connected == served + starved, and silent ones apart. `refused`,
    `reset`, `timed_out` and `other_failed` count clients by how they ended, so a starved client
    that timed out is in both. Messages, over the whole run: intended == answered + wrong + failed +
    waiting. `service` runs from sent to reply and `response` from due to reply; both hold messages
    answered in the window, and the `response` of an open loop also those owed at its close, with
    their age then. `lateness` is by how much the engine sent later than it was to, in an open loop
    and after pauses, and None elsewhere. `connect` and `first_reply` run from the call of connect()
    and hold the whole run, on each connection. `lost`, `late` and `duplicated` are datagrams: a
    lost message is in `failed` too, the other two answer nothing. `sent_agreed` and
    `sent_disagreed` count the connections of clients that have one, by whether what was sent agrees
    with the kernel's count. `traces` are of the clients that were asked for.
    """

    name: str
    clients: number.Count = 0
    connected: number.Count = 0
    served: number.Count = 0
    starved: number.Count = 0
    refused: number.Count = 0
    reset: number.Count = 0
    timed_out: number.Count = 0
    other_failed: number.Count = 0
    held: number.Count = 0
    connections: number.Count = 0
    connections_in_window: number.Count = 0
    intended: number.Count = 0
    answered: number.Count = 0
    wrong: number.Count = 0
    failed: number.Count = 0
    waiting: number.Count = 0
    answered_in_window: number.Count = 0
    bytes_sent: number.Count = 0
    bytes_received: number.Count = 0
    expected_bytes_received: number.Count = 0
    payload_bytes_in_window: number.Count = 0
    lost: number.Count = 0
    duplicated: number.Count = 0
    late: number.Count = 0
    sent_agreed: number.Count = 0
    sent_disagreed: number.Count = 0
    errors: dict[str, number.Count] = field(default_factory=dict)
    connect: Histogram = field(default_factory=Histogram)
    first_reply: Histogram = field(default_factory=Histogram)
    service: Histogram = field(default_factory=Histogram)
    response: Histogram = field(default_factory=Histogram)
    lateness: Histogram | None = None
    answered_per_client: list[number.Count] = field(default_factory=list)
    timeline: list[number.Count] = field(default_factory=list)
    # Shorter ones would be joined without end.
    timeline_slice_seconds: Annotated[float, number.at_least(TIMELINE_SLICE_SECONDS)] = (
        TIMELINE_SLICE_SECONDS
    )
    lanes: list[Lane] = field(default_factory=list)
    traces: list[ClientTrace] = field(default_factory=list)

    def count_error(self, name: str, times: int = 1) -> None:
        """Count an error by its errno name; "EOF" is a connection that the server closed early."""
        self.errors[name] = self.errors.get(name, 0) + times

    def add_slice(self, answered: int) -> None:
        """Append one slice to the timeline; slices double in length whenever it is full."""
        self.timeline.append(answered)
        if len(self.timeline) >= TIMELINE_SLICES:
            self.coarsen_timeline()

    def coarsen_timeline(self) -> None:
        """Join slices two by two."""
        line = self.timeline
        self.timeline = [sum(line[start : start + 2]) for start in range(0, len(line), 2)]
        self.timeline_slice_seconds *= 2

    def merge(self, other: GroupTally) -> None:
        """Add what another worker counted for its share of the same group."""
        for item in fields(self):
            mine, theirs = getattr(self, item.name), getattr(other, item.name)
            if isinstance(mine, int):
                setattr(self, item.name, mine + theirs)
        for name, times in other.errors.items():
            self.count_error(name, times)
        for mine, theirs in (
            (self.connect, other.connect),
            (self.first_reply, other.first_reply),
            (self.service, other.service),
            (self.response, other.response),
        ):
            mine.merge(theirs)
        if other.lateness is not None:
            self.lateness = self.lateness or Histogram()
            self.lateness.merge(other.lateness)
        self.answered_per_client += other.answered_per_client
        self.lanes = (self.lanes + other.lanes)[:LANES]
        self.traces += other.traces
        self._merge_timeline(other)

    def _merge_timeline(self, other: GroupTally) -> None:
        theirs = GroupTally(other.name, timeline=list(other.timeline))
        theirs.timeline_slice_seconds = other.timeline_slice_seconds
        while self.timeline_slice_seconds < theirs.timeline_slice_seconds:
            self.coarsen_timeline()
        while theirs.timeline_slice_seconds < self.timeline_slice_seconds:
            theirs.coarsen_timeline()
        longest = max(len(self.timeline), len(theirs.timeline))
        self.timeline += [0] * (longest - len(self.timeline))
        for position, answered in enumerate(theirs.timeline):
            self.timeline[position] += answered


@dataclass(slots=True)
class Tally:
    """What happened in one run, group by group.

    `started` and `window_started` are time.monotonic() readings, which every process of a machine
    shares: the first connect issued, and the window's opening. `connecting_seconds` runs from the
    first connect issued to the last one finished. `window_started` is None when the run ended
    before its window opened, and then `window_seconds` is 0. The engine's own cost: CPU within the
    window and peak memory, both summed over workers, and the CPU share (0 to 1) of the busiest
    worker; None where the window never opened. `engine_wait_seconds` is how long replies that were
    there already waited in the window until the engine had read those before them, summed over
    all; their latencies hold it. None in results from before it was counted. `stopped_early` says
    in a sentence why the load ended before its time, where it did other than by Ctrl-C.

    `turns` are in order of time where the server took turns with others, and then all that is said
    of "the window" is their sum; it is empty where the run has one window. `warmup_seconds` ran
    from the last connect finished to the end of the warm-up: None where there was none, and in
    results from before there were turns. `machines` are those of a cluster, each with its part of
    the load; empty where our own put it on.
    """

    groups: list[GroupTally]
    started: float
    connecting_seconds: float
    window_started: float | None
    window_seconds: float
    cut_short: bool = False
    engine_cpu_seconds: float | None = None
    engine_memory_bytes: number.Count = 0
    busiest_worker_cpu: float | None = None
    stopped_early: str | None = None
    turns: list[Turn] = field(default_factory=list)
    warmup_seconds: float | None = None
    engine_wait_seconds: float | None = None
    machines: list[MachineTally] = field(default_factory=list)

    @property
    def window_ended(self) -> float | None:
        """When the last window closed, by time.monotonic(); None where none opened."""
        if self.turns:
            return self.turns[-1].started + self.turns[-1].seconds
        return None if self.window_started is None else self.window_started + self.window_seconds

    @property
    def unaccounted(self) -> int:
        """Intended messages without exactly one known end, over all groups; 0 in a sound run."""
        return sum(
            abs(group.intended - group.answered - group.wrong - group.failed - group.waiting)
            for group in self.groups
        )


def merge_tallies(tallies: Sequence[Tally]) -> Tally:
    """One tally of what several workers did side by side, in the order of their shares.

    The groups and turns of the first are taken over.

    A window is one for all of them: it opens and closes by the same clock readings, so the longest
    one stands.
    """
    first = tallies[0]
    finished = max(tally.started + tally.connecting_seconds for tally in tallies)
    started = min(tally.started for tally in tallies)
    for later in tallies[1:]:
        for mine, theirs in zip(first.groups, later.groups, strict=True):
            mine.merge(theirs)
    return Tally(
        turns=_merge_turns(tallies),
        warmup_seconds=max(_present(tally.warmup_seconds for tally in tallies), default=None),
        groups=first.groups,
        started=started,
        connecting_seconds=finished - started,
        window_started=min(_present(tally.window_started for tally in tallies), default=None),
        window_seconds=max(tally.window_seconds for tally in tallies),
        cut_short=any(tally.cut_short for tally in tallies),
        engine_cpu_seconds=_total(tally.engine_cpu_seconds for tally in tallies),
        engine_wait_seconds=_total(tally.engine_wait_seconds for tally in tallies),
        engine_memory_bytes=sum(tally.engine_memory_bytes for tally in tallies),
        busiest_worker_cpu=max(
            _present(tally.busiest_worker_cpu for tally in tallies), default=None
        ),
        stopped_early=next((tally.stopped_early for tally in tallies if tally.stopped_early), None),
    )


def _merge_turns(tallies: Sequence[Tally]) -> list[Turn]:
    """The workers' turns by their rounds: one that has lost all its clients takes no more."""
    found: dict[int, Turn] = {}
    for turn in (turn for tally in tallies for turn in tally.turns):
        if turn.round in found:
            found[turn.round].add(turn)
        else:
            found[turn.round] = turn
    return [found[number] for number in sorted(found)]


def _present(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _total(values: Iterable[float | None]) -> float | None:
    present = _present(values)
    return sum(present) if present else None
