"""Clients that tests drive by hand, well-behaved and otherwise."""

import select
import socket
import struct
from collections.abc import Iterable, Sequence
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
        self.socket.connect(address)

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


def readable(clients: Iterable[Client], seconds: float) -> Sequence[Client]:
    """Wait until one of the clients has something to read, return those that have."""
    return select.select(list(clients), [], [], seconds)[0]
