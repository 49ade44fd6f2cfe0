"""Clients that behave alike: what they send, how often, and what they expect back."""

from __future__ import annotations

from dataclasses import dataclass

from concurrency_models.work import KINDS
from loadgen.plan.octets import Octets
from loadgen.plan.validation import require, require_choice, require_rate, require_seconds

THINK_DISTRIBUTIONS = ("constant", "exponential")
ARRIVALS = ("constant", "poisson")

# A message is kept in memory a few times over (ring of requests, of replies, receive buffers).
LARGEST_MESSAGE = 256 * 1024 * 1024
MOST_CLIENTS = 10_000_000


@dataclass(frozen=True, slots=True)
class Group:
    """Clients that behave alike; a row of the table.

    Closed loop (`rate_per_second` None): each client sends, waits for the reply, thinks, sends the
    next. Open loop: messages are due at `rate_per_second` over the whole group, whatever the server
    does. `request` and `reply` given: both are bytes on the wire as they stand, for a server that
    is not ours.
    """

    clients: int
    name: str = "all"
    size_bytes: int = 64
    think_seconds: float = 0.0
    think_distribution: str = "constant"
    rate_per_second: float | None = None
    arrivals: str = "constant"
    messages_per_connection: int | None = None
    silent: bool = False
    request: Octets | None = None
    reply: Octets | None = None
    work: str | None = None

    @property
    def open_loop(self) -> bool:
        """True when messages are due by the clock rather than by the reply before them."""
        return self.rate_per_second is not None

    def validate(self) -> None:
        """Raise PlanError at the first value that makes no sense."""
        who = f"group {self.name!r}"
        require(bool(self.name), "a group needs a name")
        require(
            1 <= self.clients <= MOST_CLIENTS,
            f"{who}: {self.clients} clients; give a number from 1 to {MOST_CLIENTS:,}",
        )
        require(
            0 <= self.size_bytes <= LARGEST_MESSAGE,
            f"{who}: a message of {self.size_bytes} bytes; "
            f"give a size from 0 to {LARGEST_MESSAGE:,} bytes",
        )
        require_seconds(f"{who}: think time", self.think_seconds)
        require_choice(f"{who}: think distribution", self.think_distribution, THINK_DISTRIBUTIONS)
        require_choice(f"{who}: arrivals", self.arrivals, ARRIVALS)
        if self.rate_per_second is not None:
            require_rate(f"{who}: a rate of messages", self.rate_per_second)
            require(
                self.think_seconds == 0,
                f"{who}: think time belongs to the closed loop and a rate to the open loop; "
                "give one of the two",
            )
        if self.messages_per_connection is not None:
            require(
                self.messages_per_connection >= 1,
                f"{who}: {self.messages_per_connection} messages per connection; give 1 or more",
            )
        if self.silent:
            require(
                self.rate_per_second is None and self.messages_per_connection is None,
                f"{who}: silent clients send nothing, so a rate or churn cannot apply to them",
            )
        require(
            (self.request is None) == (self.reply is None),
            f"{who}: a request and the reply to expect go together; give both or neither",
        )
        if self.request is not None and self.reply is not None:
            require(
                bool(self.request) and bool(self.reply), f"{who}: request and reply cannot be empty"
            )
            require(
                self.work is None,
                f"{who}: work is asked of our own servers; it does not go with a request",
            )
        if self.work is not None:
            kind, _, number = self.work.partition(":")
            require(
                kind in KINDS and number.isdecimal() and number.isascii(),
                f"{who}: unknown work {self.work!r}; give fib:N, sha256:KIB or sleep:MS",
            )
            require(
                len(number) < 10 and int(number) <= KINDS[kind].largest,
                f"{who}: {self.work} is more than servers do; {kind} goes up to "
                f"{KINDS[kind].largest} ({KINDS[kind].unit})",
            )
