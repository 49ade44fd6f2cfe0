"""A worker's share of one group while it runs: clients, their messages and due times, counts."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loadgen.engine.client import SECOND, Client
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.group import Group
from loadgen.plan.messages import Messages
from loadgen.plan.plan import Plan
from loadgen.record.histogram import Histogram
from loadgen.record.tally import LANES, GroupTally

if TYPE_CHECKING:
    from loadgen.engine.loop import Engine

NEVER = 1 << 62
# More than this is read in several system calls.
LARGEST_READ = 256 * 1024


@dataclass(frozen=True)
class Share:
    """What one worker does of a plan: number `worker` among `plan.workers`.

    Connections come from `source_addresses` in turn; where there are none, the kernel chooses.
    """

    plan: Plan
    endpoint: Endpoint
    worker: int = 0
    source_addresses: tuple[str, ...] = ()

    def clients_of(self, group: Group) -> range:
        """Numbers within the group of this worker's clients: one block, even to one client."""
        workers = self.plan.workers
        return range(
            group.clients * self.worker // workers, group.clients * (self.worker + 1) // workers
        )

    @property
    def clients(self) -> int:
        """How many clients this worker has, over all groups."""
        return sum(len(self.clients_of(group)) for group in self.plan.groups)


class GroupLoad:
    """A worker's share of one group while it runs: the clients, their messages and the counts."""

    def __init__(self, engine: Engine, group: Group, share: Share, kind: type[Client]) -> None:
        self.engine = engine
        self.group = group
        self.messages = Messages(group, kind.framed(share.plan))
        self.room = min(self.messages.reply_size + 1, LARGEST_READ)
        self.tally = GroupTally(group.name)
        # The histograms that count now; the tally gets the window's.
        self.service = Histogram()
        self.response = Histogram() if group.open_loop else self.service
        self.lateness = Histogram()
        if group.open_loop:
            self.tally.lateness = self.lateness
        self.randomness = random.Random(f"{share.plan.seed} {group.name} {share.worker}")
        # Counted as messages fall due; a closed loop's are counted as clients begin them.
        self.due_messages = 0
        self.bytes_received = 0
        self.answered_slowly = 0
        self.answered_before_slice = 0
        self.connections_before_window = 0
        self.think_ns = round(group.think_seconds * SECOND)
        self.last_message = share.plan.messages_per_client or NEVER
        self.per_connection = group.messages_per_connection or NEVER
        self.backs_off = group.messages_per_connection is not None
        self.open_loop = group.open_loop
        # What the hot loop may send on its own: the next message at once, for ever.
        self.endless = (
            kind.steadies
            and not (group.silent or group.open_loop or self.think_ns)
            and self.last_message == NEVER
            and self.per_connection == NEVER
        )
        numbers = share.clients_of(group)
        self.clients = [kind(self, number) for number in numbers]
        self.tally.clients = len(self.clients)
        if group.rate_per_second is not None and self.clients:
            rate = group.rate_per_second * len(self.clients) / group.clients
            self.due_every = SECOND / rate
        self.next_due = NEVER
        self.exact_due = 0.0
        self.place = 0

    def think(self) -> int:
        """How long a client thinks before its next message, in ns."""
        if self.group.think_distribution == "constant":
            return self.think_ns
        return round(self.randomness.expovariate(1 / self.think_ns))

    def start_schedule(self, start: int, share: Share) -> None:
        """Set when the first message of an open loop is due; workers are offset evenly."""
        if not self.open_loop or not self.clients:
            return
        self.exact_due = start + self.due_every * share.worker / share.plan.workers
        if self.group.arrivals == "poisson":
            self.exact_due = start + self.randomness.expovariate(1 / self.due_every)
        self.next_due = round(self.exact_due)

    def take_due(self) -> tuple[Client, int]:
        """The client and the time of the message that is due next, and move the schedule on.

        Constant arrivals go round the clients. Poisson arrivals pick one at random, which gives
        each client a Poisson process of its own (splitting, e.g. Ross, Introduction to
        Probability Models, 5.3).
        """
        due = self.next_due
        if self.group.arrivals == "poisson":
            client = self.clients[int(self.randomness.random() * len(self.clients))]
            self.exact_due += self.randomness.expovariate(1 / self.due_every)
        else:
            client = self.clients[self.place]
            self.place = (self.place + 1) % len(self.clients)
            self.exact_due += self.due_every
        self.next_due = round(self.exact_due)
        return client, due

    def open_window(self) -> None:
        """Forget what the warm-up measured of messages; whole-run counts go on."""
        self.service.clear()
        self.response.clear()
        self.lateness.clear()
        self.answered_before_slice = 0
        self.connections_before_window = self.tally.connections
        for client in self.clients:
            client.answered_before_window = client.answered

    def cut_slice(self, whole: bool = True) -> None:
        """Put what was answered since the last cut into the timeline, a scrap with the last."""
        answered = self.service.count
        since, self.answered_before_slice = answered - self.answered_before_slice, answered
        if whole or not self.tally.timeline:
            self.tally.add_slice(since)
        else:
            self.tally.timeline[-1] += since

    def close_window(self) -> None:
        """Take the window's figures; replies from now on count for the whole run alone."""
        tally = self.tally
        tally.service, self.service = self.service, Histogram()
        if self.open_loop:
            tally.response, self.response = self.response, Histogram()
            self.lateness = Histogram()
        else:
            tally.response = Histogram.merged([tally.service])
            self.response = self.service
        tally.connections_in_window = tally.connections - self.connections_before_window
        tally.answered_in_window = tally.service.count
        tally.payload_bytes_in_window = tally.answered_in_window * self.messages.payload_size
        tally.answered_per_client = [
            client.answered - client.answered_before_window for client in self.clients
        ]

    def finish(self, started: int, measured: bool) -> GroupTally:
        """Close every client and return what became of all."""
        tally, messages = self.tally, self.messages
        if not measured:
            self.open_window()
            self.close_window()
        for client in self.clients:
            client.finish()
        begun = sum(client.turn - client.first_turn for client in self.clients)
        tally.answered = sum(client.answered for client in self.clients)
        tally.intended = self.due_messages if self.open_loop else begun
        tally.starved = 0 if self.group.silent else tally.connected - tally.served
        # The hot loop counts no bytes: what it answered is whole messages that compared equal.
        fast = tally.answered - self.answered_slowly
        tally.bytes_received = self.bytes_received + fast * messages.reply_size
        tally.expected_bytes_received = tally.answered * messages.reply_size
        tally.bytes_sent += begun * messages.request_size
        tally.lanes = [
            client.lane(started) for client in self.clients[:LANES] if client.number < LANES
        ]
        return tally
