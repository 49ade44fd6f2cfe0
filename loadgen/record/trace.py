"""A run, traced: what single clients sent and got, and what the server did with it meanwhile.

Each half is noted where it happens, by the monotonic clock that the processes of a machine share;
all times here are its nanoseconds. The client's half comes from the engine, the server's from the
file that `concurrency_models.run --trace` writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from loadgen.record.number import Count

KEPT = 500
"""Messages of a client that are kept from the beginning, and as many from the end."""

Exchange = tuple[Count, Count, Count | None]
"""A message: when it was due, when it was sent, when its reply came; None where none did."""

Piece = tuple[Count, Count]
"""From when to when something ran."""

Handling = tuple[Count, Count, Count, Count | None, Count, list[Piece]]
"""A message at the server: received, answered, sent, the CPU time of its thread when it was
answered (None if that took hardly any), the number of the thread, and when the thread worked on
it, if it asked for work."""

_VERSION = 1


@dataclass(slots=True)
class ClientTrace:
    """One client's half. `addresses` has one for each of its connections, in order.

    `connecting` is when it called connect() and when the connection stood, for each of them; of
    many, the first and the last are kept, as of its messages. `left_out` counts the messages
    between those.
    """

    client: Count
    addresses: list[str] = field(default_factory=list)
    connecting: list[Piece] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)
    left_out: Count = 0

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
    process: Count
    ended: Count
    interpreter: Count = 0
    accepted: Count | None = None
    acceptor: str | None = None
    begun: Count | None = None
    threads: Mapping[str, str] = field(default_factory=dict)
    messages: tuple[Handling, ...] = ()
    left_out: Count = 0


@dataclass(frozen=True, slots=True)
class ServerTrace:
    """The server's half: its `stays` in the order in which they ended.

    `ended` and `clients`, how many it had in all, are None where it was killed.
    """

    process: Count
    began: Count
    gil: bool = True
    ended: Count | None = None
    clients: Count | None = None
    stays: tuple[Stay, ...] = ()

    def of(self, addresses: Iterable[str]) -> Iterator[Stay]:
        """The stays of the client that had these addresses."""
        wanted = set(addresses)
        return (stay for stay in self.stays if stay.client in wanted)

    def only(self, addresses: Iterable[str]) -> ServerTrace:
        """The same without the other clients."""
        return replace(self, stays=tuple(self.of(addresses)))


def read_trace(file: Path) -> ServerTrace | None:
    """What a server of ours has written; None where it has not, or in another version's words.

    A line that is damaged, as by a full disk, is passed over.
    """
    try:
        first, *others = file.read_bytes().splitlines()
        began = msgspec.json.decode(first)
        if began["version"] != _VERSION:
            return None
        trace = msgspec.convert(began, ServerTrace)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    stays = []
    for line in others:
        with suppress(msgspec.MsgspecError):
            if b'"client"' in line:
                stays.append(msgspec.json.decode(line, type=Stay))
            else:
                last = msgspec.json.decode(line, type=_Last)
                trace = replace(trace, ended=last.ended, clients=last.clients)
    return replace(trace, stays=tuple(stays))


@dataclass(frozen=True, slots=True)
class _Last:
    ended: Count
    clients: Count
