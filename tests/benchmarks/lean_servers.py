"""Servers as lean as Python allows at any size of message: what the models are held against there.

Each client has one buffer, which is received into and sent from; nothing is copied in between, and
a warm server asks the kernel for no memory. Length framing and the models' reply prefix, and no
limits, no narration, no stopping: the buffer fits the largest message of the benchmarks.
Usage: python -m tests.benchmarks.lean_servers NAME; prints its port; ends with SIGTERM.
"""

import multiprocessing
import selectors
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

HEADER_SIZE = 4
PREFIX = b"received: "
LARGEST = 1000 * 1024
BACKLOG = 4096


def listen() -> socket.socket:
    """A listener on a free loopback port, which it prints."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    print(listener.getsockname()[1], flush=True)
    return listener


class Message:
    """A client's buffer, with the part of one message that has come."""

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(HEADER_SIZE + LARGEST))
        self.end = 0

    def room(self) -> memoryview:
        """Where to receive into."""
        return self.buffer[self.end :]

    def reply(self, size: int) -> list[bytes | memoryview]:
        """Take so many bytes more; the pieces to send once the message is whole, else none."""
        self.end += size
        expected = int.from_bytes(self.buffer[:HEADER_SIZE], "big")
        if self.end != HEADER_SIZE + expected:
            return []
        message = self.buffer[HEADER_SIZE : self.end]
        self.end = 0
        return [(len(PREFIX) + expected).to_bytes(HEADER_SIZE, "big") + PREFIX, message]


def unsent(pieces: list[bytes | memoryview], sent: int) -> list[bytes | memoryview]:
    """What is left of a front and a message of which so many bytes are sent."""
    front, message = pieces
    if sent < len(front):
        return [front[sent:], message]
    rest = message[sent - len(front) :]
    return [b"", rest] if rest else []


def converse(client: socket.socket) -> None:
    """Answer each message until the client hangs up, or resets the connection."""
    message = Message()
    with client, suppress(ConnectionError):
        while size := client.recv_into(message.room()):
            pieces = message.reply(size)
            while pieces:
                pieces = unsent(pieces, client.sendmsg(pieces))


def iterative() -> None:
    """One client after the other."""
    listener = listen()
    while True:
        converse(listener.accept()[0])


def thread() -> None:
    """A thread for each client."""
    listener = listen()
    while True:
        threading.Thread(target=converse, args=(listener.accept()[0],), daemon=True).start()


def process() -> None:
    """A forked process for each client, reaped by the kernel."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    context = multiprocessing.get_context("fork")
    listener = listen()
    while True:
        client, _ = listener.accept()
        context.Process(target=converse, args=(client,), daemon=True).start()
        client.close()


def selectors_loop() -> None:
    """One event loop; reads nothing from a client while anything for it is unsent."""
    listener = listen()
    selector = selectors.DefaultSelector()

    def accept() -> None:
        client, _ = listener.accept()
        client.setblocking(False)
        message = Message()
        pieces: list[bytes | memoryview] = []

        def receive() -> None:
            nonlocal pieces
            try:
                size = client.recv_into(message.room())
                if size:
                    pieces = message.reply(size)
                    if pieces:
                        pieces = unsent(pieces, client.sendmsg(pieces))
                        if pieces:
                            selector.modify(client, selectors.EVENT_WRITE, send)
                    return
            except BlockingIOError:
                selector.modify(client, selectors.EVENT_WRITE, send)
                return
            except ConnectionError:
                pass
            selector.unregister(client)
            client.close()

        def send() -> None:
            nonlocal pieces
            try:
                pieces = unsent(pieces, client.sendmsg(pieces))
            except ConnectionError:
                selector.unregister(client)
                client.close()
                return
            if not pieces:
                selector.modify(client, selectors.EVENT_READ, receive)

        selector.register(client, selectors.EVENT_READ, receive)

    selector.register(listener, selectors.EVENT_READ, accept)
    while True:
        for key, _ in selector.select():
            key.data()


LEAN: dict[str, Callable[[], None]] = {
    "iterative": iterative,
    "process": process,
    "thread": thread,
    "socketserver": thread,  # the stock one starts threads too
    "selectors": selectors_loop,
}

if __name__ == "__main__":
    LEAN[sys.argv[1]]()
