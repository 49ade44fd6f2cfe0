"""Servers whose behaviour is known to the byte, to hold what the load generator reports against."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from concurrency_models.talk import HEADER_SIZE
from loadgen.plan.endpoint import Endpoint

PREFIX = b"received: "

Change = Callable[[int, bytes], bytes | None]
Conversation = Callable[[socket.socket], None]


class Counter:
    """Numbers things from 1, over all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.value = 0

    def next(self) -> int:
        with self._lock:
            self.value += 1
            return self.value


def read_exactly(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = client.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def read_message(client: socket.socket) -> bytes:
    """One message under length framing, without its header; EOFError when the client hung up."""
    size = int.from_bytes(read_exactly(client, HEADER_SIZE), "big")
    return read_exactly(client, size)


def framed(message: bytes) -> bytes:
    return len(message).to_bytes(HEADER_SIZE, "big") + message


def talk(change: Change | None = None, counter: Counter | None = None) -> Conversation:
    """Answer as our servers do, under length framing.

    `change(n, reply)` may put other bytes in place of the n-th reply of all, counted from 1 over
    all connections; None hangs up instead.
    """
    numbers = counter or Counter()

    def conversation(client: socket.socket) -> None:
        while True:
            reply: bytes | None = framed(PREFIX + read_message(client))
            number = numbers.next()
            if change is not None and reply is not None:
                reply = change(number, reply)
            if reply is None:
                return
            client.sendall(reply)

    return conversation


def reset(client: socket.socket) -> None:
    """Make close() send a reset instead of a goodbye."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@contextlib.contextmanager
def serving(
    conversation: Conversation,
    family: str = "inet",
    path: Path | None = None,
    backlog: int = 128,
    one_at_a_time: bool = False,
) -> Iterator[Endpoint]:
    """Have every client talk `conversation`, side by side or one after the other, meanwhile."""
    if family == "unix":
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        endpoint = Endpoint("unix", path=str(path))
    else:
        host = "::1" if family == "inet6" else "127.0.0.1"
        listener = socket.socket(socket.AF_INET6 if family == "inet6" else socket.AF_INET)
        listener.bind((host, 0))
        endpoint = Endpoint(family, host, listener.getsockname()[1])
    listener.listen(backlog)
    clients: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def converse(client: socket.socket) -> None:
        with client, contextlib.suppress(EOFError, OSError):
            conversation(client)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                clients.append(client)
                if one_at_a_time:
                    converse(client)
                else:
                    threads.append(threading.Thread(target=converse, args=(client,)))
                    threads[-1].start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield endpoint
    finally:
        # Wakes accept(), which close() alone does not.
        listener.shutdown(socket.SHUT_RDWR)
        for client in clients.copy():
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        acceptor.join()
        for thread in threads:
            thread.join()
        listener.close()


@contextlib.contextmanager
def answering_datagrams(answers: Callable[[int, bytes], list[bytes]]) -> Iterator[Endpoint]:
    """Send back, for the n-th datagram of all, what `answers(n, reply)` returns, meanwhile."""
    server = socket.socket(type=socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    address = server.getsockname()

    def serve() -> None:
        number = 0
        while True:
            data, client = server.recvfrom(65536)
            if client == address:
                return
            number += 1
            for answer in answers(number, PREFIX + data):
                server.sendto(answer, client)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield Endpoint("inet", address[0], address[1], transport="udp")
    finally:
        server.sendto(b"", address)
        thread.join()
        server.close()


@contextlib.contextmanager
def nobody_listening() -> Iterator[Endpoint]:
    """An address that refuses: bound, so that nobody else takes it, and not listening."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield Endpoint("inet", "127.0.0.1", bound.getsockname()[1])
