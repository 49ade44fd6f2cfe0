"""What load to put on: groups of clients, and how and for how long they talk.

Everything here is frozen and knows nothing of sockets or clocks. A value that makes no sense is
refused by `Plan.validate` with a sentence for the person who typed it, before anything is started.
"""

from __future__ import annotations

from dataclasses import dataclass

from concurrency_models.talk import FRAMINGS, TALK_KINDS
from loadgen.plan.endpoint import FAMILIES, TRANSPORTS, Endpoint
from loadgen.plan.group import Group
from loadgen.plan.octets import Octets
from loadgen.plan.validation import require, require_choice, require_rate, require_seconds

# 2**16 - 1, less 20 bytes of IPv4 header and 8 of UDP.
LARGEST_DATAGRAM = 65_507
# As many of the usual length as two hours have.
MOST_TURNS = 14_400
# Per second and worker, some ten times what one does: with more, it would only count what is due.
MOST_DUE = 1e6
# Each keeps some 1,000 messages; a server notes the messages of 200 clients at a time.
MOST_TRACED = 100


@dataclass(frozen=True, slots=True)
class Plan:
    """One run's load.

    `duration_seconds` is the measured window, which opens when every client has finished connecting
    and `warmup_seconds` have passed, or a few more while clients of a closed loop still get their
    first reply (never where it is 0); or each client sends `messages_per_client`, without a
    warm-up, and closes. `ramp_seconds` spreads the connects evenly over that time; `connect_rate`
    bounds connects per second. `pin` gives each worker a core of its own, counted down from the
    last one.

    `turns` is for a server that takes turns with others: the duration is cut into so many windows
    of equal length, and between them the clients stay connected and hold still. None is one window
    for all.

    Of the first `trace_clients` of each group it is noted when each message was sent and answered.

    `family` and `transport` are the server's; figures over another way do not compare. `talk` is
    what the server does with a connection: under `greet` and `once` it closes it itself after its
    one reply, so each message has a connection of its own.
    """

    groups: tuple[Group, ...]
    family: str = "inet"
    transport: str = "tcp"
    talk: str = "loop"
    framing: str = "length"
    reply_prefix: Octets = b"received: "
    duration_seconds: float | None = 3.0
    messages_per_client: int | None = None
    warmup_seconds: float = 0.5
    timeout_seconds: float = 10.0
    ramp_seconds: float = 0.0
    connect_rate: float | None = None
    workers: int = 1
    seed: int = 1
    pin: bool = False
    turns: int | None = None
    trace_clients: int = 0

    @property
    def turn_seconds(self) -> float:
        """The length of one turn. Only where there are turns, which takes a duration."""
        assert self.turns is not None
        assert self.duration_seconds is not None
        return self.duration_seconds / self.turns

    @property
    def clients(self) -> int:
        """Clients over all groups."""
        return sum(group.clients for group in self.groups)

    @property
    def talking(self) -> int:
        """Clients that say something."""
        return sum(group.clients for group in self.groups if not group.silent)

    def validate(self) -> None:
        """Raise PlanError, with a sentence for a person, at the first value that makes no sense."""
        require(bool(self.groups), "a plan needs at least one group of clients")
        names = [group.name for group in self.groups]
        for name in names:
            require(
                names.count(name) == 1,
                f"two groups are called {name!r}; give each a name of its own",
            )
        for group in self.groups:
            group.validate()
        require_choice("family", self.family, FAMILIES)
        require_choice("transport", self.transport, TRANSPORTS)
        require_choice("talk", self.talk, TALK_KINDS)
        require_choice("framing", self.framing, tuple(FRAMINGS))
        require(
            self.framing != "line" or b"\n" not in self.reply_prefix,
            "the reply prefix holds a newline, which ends a message under line framing",
        )
        if self.framing == "raw":
            for group in self.groups:
                require(
                    group.size_bytes > 0 or group.silent or group.request is not None,
                    f"group {group.name!r}: an empty message has no bytes under raw framing; "
                    "give a size above 0",
                )
        if self.messages_per_client is None:
            require(
                self.duration_seconds is not None,
                "say how long to run: a duration in seconds or a number of messages per client",
            )
        else:
            require(
                self.duration_seconds is None,
                "give a duration or a number of messages per client, not both",
            )
            require(
                self.messages_per_client >= 1,
                f"{self.messages_per_client} messages per client; give 1 or more",
            )
            require(
                not all(group.silent for group in self.groups),
                "silent clients never send, so they never reach a number of messages; "
                "give a duration",
            )
        if self.duration_seconds is not None:
            require_seconds("duration", self.duration_seconds, above=True)
        require_seconds("warm-up", self.warmup_seconds)
        require_seconds("timeout", self.timeout_seconds, above=True)
        require_seconds("ramp", self.ramp_seconds)
        if self.connect_rate is not None:
            require_rate("a connect rate", self.connect_rate)
            require(
                self.ramp_seconds == 0,
                "a ramp and a connect rate both pace the connects; give one of the two",
            )
        if self.turns is not None:
            require(self.turns >= 1, f"{self.turns} turns; give 1 or more")
            require(
                self.turns <= MOST_TURNS,
                f"more than {MOST_TURNS:,} turns; give a shorter duration or longer turns",
            )
            require(
                self.messages_per_client is None,
                "a number of messages per client is sent in one go; turns need a duration",
            )
        require(
            0 <= self.trace_clients <= MOST_TRACED,
            f"{self.trace_clients} clients of each group to trace; give at most {MOST_TRACED}",
        )
        require(
            not self.trace_clients or self.transport == "tcp",
            "a trace follows connections, and UDP has none",
        )
        require(self.workers >= 1, f"{self.workers} workers; give 1 or more")
        due = sum(group.rate_per_second or 0.0 for group in self.groups)
        require(
            due <= MOST_DUE * self.workers,
            f"{due:,.0f} messages/s for {self.workers} workers, of which each sends "
            f"{MOST_DUE:,.0f} at most; give a lower rate",
        )
        require(
            self.workers <= self.clients,
            f"{self.workers} workers for {self.clients} clients; "
            "a worker needs a client, so give fewer workers",
        )
        talkers = self.talking
        require(
            self.messages_per_client is None or self.workers <= talkers,
            f"{self.workers} workers for {talkers} clients that talk; a worker ends when its "
            "clients have sent their messages, so give fewer workers",
        )
        if self.talk != "loop":
            self._validate_talk()
        if self.transport == "udp":
            self._validate_datagrams()

    def validate_against(self, endpoint: Endpoint) -> None:
        """Raise PlanError when plan and endpoint, each fine by itself, do not go together."""
        require(
            (self.family, self.transport) == (endpoint.family, endpoint.transport),
            f"the plan is for {self.transport} over {self.family}, and the server listens for "
            f"{endpoint.transport} over {endpoint.family}",
        )

    def _validate_talk(self) -> None:
        greets = self.talk == "greet"
        for group in self.groups:
            who = f"group {group.name!r}"
            if group.silent:
                require(
                    not greets,
                    f"{who}: a server that greets closes by itself, so nobody can hold a "
                    "connection and say nothing",
                )
                continue
            require(
                group.messages_per_connection == 1,
                f"{who}: under the talk {self.talk!r} the server closes after one message, so "
                "connections carry one each; leave out churn",
            )
            if greets:
                require(
                    group.request is None and group.work is None,
                    f"{who}: a server that greets is sent nothing; leave out request and work",
                )
                require(
                    not group.open_loop,
                    f"{who}: a greeting comes when a client connects, so no message can be due "
                    "before; leave out the rate, or pace the clients with think",
                )

    def _validate_datagrams(self) -> None:
        require(
            self.family != "unix",
            "datagrams over unix sockets are not offered; use inet or inet6 with udp",
        )
        require(
            self.talk == "loop",
            f"the talk {self.talk!r} ends by closing, and UDP has nothing to close",
        )
        for group in self.groups:
            require(
                group.messages_per_connection is None and not group.silent,
                f"group {group.name!r}: UDP has no connections, so none can be held or renewed",
            )
            largest = LARGEST_DATAGRAM - len(self.reply_prefix)
            require(
                group.size_bytes <= largest,
                f"group {group.name!r}: a reply to {group.size_bytes} bytes does not fit into a "
                f"datagram; give a size of at most {largest}",
            )
