"""A run, traced: what single clients sent and got, and what the server did with it meanwhile.

Each half is noted where it happens, by the monotonic clock that the processes of a machine share;
all times here are its nanoseconds. The client's half comes from the engine, the server's is read
by `trace_file`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from loadgen.record import number

KEPT = 500
"""Messages of a client that are kept from the beginning, and as many from the end."""

Exchange: TypeAlias = "tuple[number.Count, number.Count, number.Count | None]"
"""A message: when it was due, when it was sent, when its reply came; None where none did."""

Piece: TypeAlias = "tuple[number.Count, number.Count]"
"""From when to when something ran."""

Handling: TypeAlias = """tuple[
    number.Count, number.Count, number.Count, number.Count | None, number.Count, list[Piece]
]"""
"""A message at the server: received, answered, sent, the CPU time of its thread when it was
answered (None if that took hardly any), the number of the thread, and when the thread worked on
it, if it asked for work."""


@dataclass(slots=True)
class ClientTrace:
    """One client's half. `addresses` has one for each of its connections, in order.

    `connecting` is when it called connect() and when the connection stood, for each of them; of
    many, the first and the last are kept, as of its messages. `left_out` counts the messages
    between those.
    """

    client: number.Count
    addresses: list[str] = field(default_factory=list)
    connecting: list[Piece] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)
    left_out: number.Count = 0

    def connected(self, address: str, started: int, stood: int) -> None:
        """Note a connection."""
        if len(self.addresses) == 2 * KEPT:
            del self.addresses[KEPT], self.connecting[KEPT]
        self.addresses.append(address)
        self.connecting.append((started, stood))

    def note(self, due: int, sent: int, reply: int | None) -> None:
        """Note a message that was answered, or never will be."""
        if len(self.exchanges) == 2 * KEPT:
            del self.exchanges[KEPT]
            self.left_out += 1
        self.exchanges.append((due, sent, reply))


@dataclass(frozen=True, slots=True)
class Stay:
    """A client with one process of the server; see `concurrency_models.trace`."""

    client: str
    process: number.Count
    ended: number.Count
    interpreter: number.Count = 0
    accepted: number.Count | None = None
    acceptor: str | None = None
    begun: number.Count | None = None
    threads: Mapping[str, str] = field(default_factory=dict)
    messages: tuple[Handling, ...] = ()
    left_out: number.Count = 0


@dataclass(frozen=True, slots=True)
class ServerTrace:
    """The server's half: its `stays` in the order in which they ended.

    `ended` and `clients`, how many it had in all, are None where it was killed.
    """

    process: number.Count
    began: number.Count
    gil: bool = True
    ended: number.Count | None = None
    clients: number.Count | None = None
    stays: tuple[Stay, ...] = ()

    def of(self, addresses: Iterable[str]) -> Iterator[Stay]:
        """The stays of the client that had these addresses."""
        wanted = set(addresses)
        return (stay for stay in self.stays if stay.client in wanted)

    def only(self, addresses: Iterable[str]) -> ServerTrace:
        """The same without the other clients."""
        return replace(self, stays=tuple(self.of(addresses)))
