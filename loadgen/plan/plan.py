"""What load to put on, as data: an Endpoint to aim at, Groups of like clients, a Plan of groups.

Everything here is frozen and knows nothing of sockets or clocks. A value that makes no sense is
refused by `Plan.validate` with a sentence for the person who typed it, before anything is started.
"""

from __future__ import annotations

import ipaddress
import math
import socket
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from concurrency_models.talk import FRAMINGS, TALKS
from concurrency_models.work import KINDS

FAMILIES = ("inet", "inet6", "unix")
TRANSPORTS = ("tcp", "udp")
THINK_DISTRIBUTIONS = ("constant", "exponential")
ARRIVALS = ("constant", "poisson")

# A message is kept in memory a few times over (ring of requests, of replies, receive buffers).
LARGEST_MESSAGE = 256 * 1024 * 1024
MOST_CLIENTS = 10_000_000
# sun_path of Linux has 108 bytes, the last of them a zero.
LONGEST_UNIX_PATH = 107
# 2**16 - 1, less 20 bytes of IPv4 header and 8 of UDP.
LARGEST_DATAGRAM = 65_507


class PlanError(ValueError):
    """A plan that cannot be carried out; its text is a sentence for the person who asked."""


@dataclass(frozen=True)
class Endpoint:
    """Where the server listens.

    `family` is inet, inet6 or unix; `host` (numeric or a name) and `port` belong to the first two,
    `path` to unix.
    """

    family: str
    host: str = ""
    port: int = 0
    path: str = ""
    transport: str = "tcp"

    def __str__(self) -> str:
        if self.family == "unix":
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def sockaddr(self) -> tuple[str, int] | str:
        """What `socket.connect` takes for this endpoint."""
        return self.path if self.family == "unix" else (self.host, self.port)

    @property
    def address_family(self) -> socket.AddressFamily:
        """The socket module's constant for `family`."""
        return {"inet": socket.AF_INET, "inet6": socket.AF_INET6}.get(self.family) or socket.AF_UNIX

    @property
    def is_loopback(self) -> bool:
        """True when the load stays on this machine; a name that is not resolved yet does not."""
        if self.family == "unix":
            return True
        try:
            return ipaddress.ip_address(self.host.partition("%")[0]).is_loopback
        except ValueError:
            return False

    def resolved(self) -> Endpoint:
        """The same endpoint with a numeric host, so that no client pays for a name look-up.

        Raises PlanError when the name has no address of this family.
        """
        if self.family == "unix":
            return self
        try:
            found = socket.getaddrinfo(
                self.host, self.port, self.address_family, socket.SOCK_STREAM
            )
        except (OSError, UnicodeError) as error:
            raise PlanError(
                f"cannot find an {self.family} address for {self.host!r} ({error}); "
                "check the spelling or give a number"
            ) from None
        return replace(self, host=str(found[0][4][0]))

    def validate(self) -> None:
        """Raise PlanError when the parts do not make an address."""
        _require_choice("family", self.family, FAMILIES)
        _require_choice("transport", self.transport, TRANSPORTS)
        if self.family == "unix":
            _require(bool(self.path), "a unix endpoint needs the path of the server's socket file")
            _require(
                len(self.path.encode()) <= LONGEST_UNIX_PATH,
                f"the socket path {self.path!r} is longer than the {LONGEST_UNIX_PATH} bytes "
                "that a unix address holds",
            )
            _require(
                self.transport == "tcp",
                "datagrams over unix sockets are not offered; use --family inet with udp",
            )
        else:
            _require(bool(self.host), "the server's host is missing: give HOST:PORT")
            _require(1 <= self.port <= 65535, f"port {self.port} is not between 1 and 65535")

    def to_json(self) -> dict[str, Any]:
        """The endpoint as JSON-able values; `from_json` reads it back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Endpoint:
        """The endpoint that `to_json` wrote."""
        return cls(**_known(cls, data))


@dataclass(frozen=True)
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
    request: bytes | None = None
    reply: bytes | None = None
    work: str | None = None

    @property
    def open_loop(self) -> bool:
        """True when messages are due by the clock rather than by the reply before them."""
        return self.rate_per_second is not None

    def validate(self) -> None:
        """Raise PlanError at the first value that makes no sense."""
        who = f"group {self.name!r}"
        _require(bool(self.name), "a group needs a name")
        _require(
            1 <= self.clients <= MOST_CLIENTS,
            f"{who}: {self.clients} clients; give a number from 1 to {MOST_CLIENTS:,}",
        )
        _require(
            0 <= self.size_bytes <= LARGEST_MESSAGE,
            f"{who}: a message of {self.size_bytes} bytes; "
            f"give a size from 0 to {LARGEST_MESSAGE:,} bytes",
        )
        _require_seconds(f"{who}: think time", self.think_seconds)
        _require_choice(f"{who}: think distribution", self.think_distribution, THINK_DISTRIBUTIONS)
        _require_choice(f"{who}: arrivals", self.arrivals, ARRIVALS)
        if self.rate_per_second is not None:
            _require(
                math.isfinite(self.rate_per_second) and self.rate_per_second > 0,
                f"{who}: a rate of {self.rate_per_second} messages/s; give a number above 0",
            )
            _require(
                self.think_seconds == 0,
                f"{who}: think time belongs to the closed loop and a rate to the open loop; "
                "give one of the two",
            )
        if self.messages_per_connection is not None:
            _require(
                self.messages_per_connection >= 1,
                f"{who}: {self.messages_per_connection} messages per connection; give 1 or more",
            )
        if self.silent:
            _require(
                self.rate_per_second is None and self.messages_per_connection is None,
                f"{who}: silent clients send nothing, so a rate or churn cannot apply to them",
            )
        _require(
            (self.request is None) == (self.reply is None),
            f"{who}: a request and the reply to expect go together; give both or neither",
        )
        if self.request is not None and self.reply is not None:
            _require(
                bool(self.request) and bool(self.reply), f"{who}: request and reply cannot be empty"
            )
            _require(
                self.work is None,
                f"{who}: work is asked of our own servers; it does not go with a request",
            )
        if self.work is not None:
            kind, _, number = self.work.partition(":")
            _require(
                kind in KINDS and number.isdecimal() and number.isascii(),
                f"{who}: unknown work {self.work!r}; give fib:N, sha256:KIB or sleep:MS",
            )
            _require(
                len(number) < 10 and int(number) <= KINDS[kind].largest,
                f"{who}: {self.work} is more than servers do; {kind} goes up to "
                f"{KINDS[kind].largest} ({KINDS[kind].unit})",
            )

    def to_json(self) -> dict[str, Any]:
        """The group as JSON-able values; bytes become text by latin-1, which loses none."""
        data = asdict(self)
        for key in ("request", "reply"):
            if data[key] is not None:
                data[key] = data[key].decode("latin-1")
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Group:
        """The group that `to_json` wrote."""
        values = _known(cls, data)
        for key in ("request", "reply"):
            if values.get(key) is not None:
                values[key] = values[key].encode("latin-1")
        return cls(**values)


@dataclass(frozen=True)
class Plan:
    """One run's load.

    `duration_seconds` is the measured window, which opens when every client has finished connecting
    and `warmup_seconds` have passed, or a few more while clients of a closed loop still get their
    first reply (never where it is 0); or each client sends `messages_per_client`, without a
    warm-up, and closes. `ramp_seconds` spreads the connects evenly over that time; `connect_rate`
    bounds connects per second. `pin` gives each worker a core of its own, counted down from the
    last one.

    `family` and `transport` are the server's; figures over another way do not compare. `talk` is
    what the server does with a connection: under `greet` and `once` it closes it itself after its
    one reply, so each message has a connection of its own.
    """

    groups: tuple[Group, ...]
    family: str = "inet"
    transport: str = "tcp"
    talk: str = "loop"
    framing: str = "length"
    reply_prefix: bytes = b"received: "
    duration_seconds: float | None = 3.0
    messages_per_client: int | None = None
    warmup_seconds: float = 0.5
    timeout_seconds: float = 10.0
    ramp_seconds: float = 0.0
    connect_rate: float | None = None
    workers: int = 1
    seed: int = 1
    pin: bool = False

    @property
    def clients(self) -> int:
        """Clients over all groups."""
        return sum(group.clients for group in self.groups)

    def validate(self) -> None:
        """Raise PlanError, with a sentence for a person, at the first value that makes no sense."""
        _require(bool(self.groups), "a plan needs at least one group of clients")
        names = [group.name for group in self.groups]
        for name in names:
            _require(
                names.count(name) == 1,
                f"two groups are called {name!r}; give each a name of its own",
            )
        for group in self.groups:
            group.validate()
        _require_choice("family", self.family, FAMILIES)
        _require_choice("transport", self.transport, TRANSPORTS)
        _require_choice("talk", self.talk, TALKS)
        _require_choice("framing", self.framing, tuple(FRAMINGS))
        _require(
            self.framing != "line" or b"\n" not in self.reply_prefix,
            "the reply prefix holds a newline, which ends a message under line framing",
        )
        if self.framing == "raw":
            for group in self.groups:
                _require(
                    group.size_bytes > 0 or group.silent or group.request is not None,
                    f"group {group.name!r}: an empty message has no bytes under raw framing; "
                    "give a size above 0",
                )
        if self.messages_per_client is None:
            _require(
                self.duration_seconds is not None,
                "say how long to run: a duration in seconds or a number of messages per client",
            )
        else:
            _require(
                self.duration_seconds is None,
                "give a duration or a number of messages per client, not both",
            )
            _require(
                self.messages_per_client >= 1,
                f"{self.messages_per_client} messages per client; give 1 or more",
            )
            _require(
                not all(group.silent for group in self.groups),
                "silent clients never send, so they never reach a number of messages; "
                "give a duration",
            )
        if self.duration_seconds is not None:
            _require_seconds("duration", self.duration_seconds, above=True)
        _require_seconds("warm-up", self.warmup_seconds)
        _require_seconds("timeout", self.timeout_seconds, above=True)
        _require_seconds("ramp", self.ramp_seconds)
        if self.connect_rate is not None:
            _require(
                math.isfinite(self.connect_rate) and self.connect_rate > 0,
                f"a connect rate of {self.connect_rate} per second; give a number above 0",
            )
            _require(
                self.ramp_seconds == 0,
                "a ramp and a connect rate both pace the connects; give one of the two",
            )
        _require(self.workers >= 1, f"{self.workers} workers; give 1 or more")
        _require(
            self.workers <= self.clients,
            f"{self.workers} workers for {self.clients} clients; "
            "a worker needs a client, so give fewer workers",
        )
        if self.talk != "loop":
            self._validate_talk()
        if self.transport == "udp":
            self._validate_datagrams()

    def validate_against(self, endpoint: Endpoint) -> None:
        """Raise PlanError when plan and endpoint, each fine by itself, do not go together."""
        _require(
            (self.family, self.transport) == (endpoint.family, endpoint.transport),
            f"the plan is for {self.transport} over {self.family}, and the server listens for "
            f"{endpoint.transport} over {endpoint.family}",
        )

    def _validate_talk(self) -> None:
        greets = self.talk == "greet"
        for group in self.groups:
            who = f"group {group.name!r}"
            if group.silent:
                _require(
                    not greets,
                    f"{who}: a server that greets closes by itself, so nobody can hold a "
                    "connection and say nothing",
                )
                continue
            _require(
                group.messages_per_connection == 1,
                f"{who}: under the talk {self.talk!r} the server closes after one message, so "
                "connections carry one each; leave out churn",
            )
            if greets:
                _require(
                    group.request is None and group.work is None,
                    f"{who}: a server that greets is sent nothing; leave out request and work",
                )
                _require(
                    not group.open_loop,
                    f"{who}: a greeting comes when a client connects, so no message can be due "
                    "before; leave out the rate, or pace the clients with think",
                )

    def _validate_datagrams(self) -> None:
        _require(
            self.family != "unix",
            "datagrams over unix sockets are not offered; use inet or inet6 with udp",
        )
        _require(
            self.talk == "loop",
            f"the talk {self.talk!r} ends by closing, and UDP has nothing to close",
        )
        for group in self.groups:
            _require(
                group.messages_per_connection is None and not group.silent,
                f"group {group.name!r}: UDP has no connections, so none can be held or renewed",
            )
            largest = LARGEST_DATAGRAM - len(self.reply_prefix)
            _require(
                group.size_bytes <= largest,
                f"group {group.name!r}: a reply to {group.size_bytes} bytes does not fit into a "
                f"datagram; give a size of at most {largest}",
            )

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON-able values; `from_json` reads it back."""
        data = {field.name: getattr(self, field.name) for field in fields(self)}
        data["groups"] = [group.to_json() for group in self.groups]
        data["reply_prefix"] = self.reply_prefix.decode("latin-1")
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Plan:
        """The plan that `to_json` wrote."""
        values = _known(cls, data)
        values["groups"] = tuple(Group.from_json(group) for group in data["groups"])
        if "reply_prefix" in values:
            values["reply_prefix"] = values["reply_prefix"].encode("latin-1")
        return cls(**values)


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise PlanError(sentence)


def _require_choice(what: str, value: str, choices: tuple[str, ...]) -> None:
    _require(value in choices, f"unknown {what} {value!r}; choose one of {', '.join(choices)}")


def _require_seconds(what: str, value: float, above: bool = False) -> None:
    bound = "above 0" if above else "of 0 or more"
    good = math.isfinite(value) and (value > 0 if above else value >= 0)
    _require(good, f"{what} of {value} s; give a number {bound}")


def _known(cls: type[Any], data: dict[str, Any]) -> dict[str, Any]:
    """The entries of `data` that `cls` has a field for: a newer version may have written more."""
    names = {field.name for field in fields(cls)}
    return {key: value for key, value in data.items() if key in names}
