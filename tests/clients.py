"""Clients that tests drive by hand, well-behaved and otherwise."""

import fcntl
import select
import socket
import struct
import sys
import termios
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Self

from concurrency_models.talk import HEADER_SIZE, frame
from tests.servers import WAIT_SECONDS, Address, family_of

PREFIX = b"received: "


class Client:
    """One connection to a server, under `length` framing where nothing else is said.

    Blocking, and bounded: what does not come within `WAIT_SECONDS` raises TimeoutError.
    """

    def __init__(self, address: Address, *, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket(family_of(address))
        self.socket.settimeout(WAIT_SECONDS)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            self.socket.connect(address)
        except OSError:
            self.socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.socket.close()

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, *messages: bytes) -> None:
        """Send messages, all at once."""
        self.socket.sendall(b"".join(frame("length", message) for message in messages))

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes; fewer when the server hangs up before."""
        data = bytearray()
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            if not piece:
                break
            data += piece
        return bytes(data)

    def receive(self) -> bytes:
        """Return the next reply; raises EOFError when the server hangs up before."""
        header = self.read(HEADER_SIZE)
        size = int.from_bytes(header, "big")
        reply = self.read(size)
        if len(header) < HEADER_SIZE or len(reply) < size:
            raise EOFError(header + reply)
        return reply

    def ask(self, message: bytes) -> bytes:
        """Send a message and return its reply."""
        self.send(message)
        return self.receive()

    def read_to_end(self) -> bytes:
        """Return all that comes until the server hangs up."""
        data = bytearray()
        while piece := self.socket.recv(65_536):
            data += piece
        return bytes(data)

    def check_last_words(self, *replies: bytes) -> None:
        """Read until the server hangs up, and judge whether it said just these."""
        expected = b"".join(frame("length", reply) for reply in replies)
        said = self.read_to_end()
        right = said == expected  # pytest would take minutes to show how megabytes differ
        assert right, f"{len(said)} bytes, not {len(expected)}: {said[:50]!r}"

    def hang_up(self) -> None:
        """Send no more; what the server sends can still be read."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Leave so that the server's next call on its socket fails with ECONNRESET."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def answer(message: bytes) -> bytes:
    """Return what a server answers to a message."""
    return PREFIX + message


def check_served(address: Address) -> None:
    """Come as one more client, and be served."""
    with Client(address) as client:
        assert client.ask(b"is anybody there?") == answer(b"is anybody there?")


@contextmanager
def crowd(address: Address, size: int) -> Iterator[list[Client]]:
    """Connect so many clients for the length of a block."""
    with ExitStack() as stack:
        yield [stack.enter_context(Client(address)) for _ in range(size)]


def never_read(client: Client, limit: int = 64 << 20) -> int:
    """Send messages and read no answer until the server takes no more; return the bytes it took.

    Gives up at `limit` bytes.
    """
    stream = memoryview(frame("length", bytes(1000)) * 1000)
    sent = 0
    while sent < limit and select.select([], [client], [], 0.2)[1]:
        sent += client.socket.send(stream[sent % len(stream) :], socket.MSG_DONTWAIT)
    return sent


def unconfirmed(client: Client) -> int:
    """Return how many bytes were sent that have not arrived in the server's kernel."""
    queued = fcntl.ioctl(client, termios.TIOCOUTQ, bytes(4))  # SIOCOUTQ of tcp(7)
    return int.from_bytes(queued, sys.byteorder)


def readable(clients: Iterable[Client], seconds: float) -> Sequence[Client]:
    """Wait until one of the clients has something to read, return those that have."""
    return select.select(list(clients), [], [], seconds)[0]
