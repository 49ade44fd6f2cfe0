"""Servers with one well-known fault each, kept for experiments to show what it does.

Run as `python -m loadgen.experiments.specimens NAME`: prints where it listens, serves on loopback
alone until it is ended. All speak as our models do by default, through the same `Talk`.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

from concurrency_models.talk import HEADER_SIZE, Talk, Terms

RECEIVE_SIZE: Final = 65_536
BACKLOG: Final = 128
STALL_SECONDS: Final = 1.0
# After the first message: within the measured window, once the warm-up is over.
STALL_AFTER_SECONDS: Final = 1.5


def converse(client: socket.socket) -> None:
    """Hold one talk, blocking, until the client hangs up or is lost."""
    talk = Talk(Terms())
    try:
        while data := client.recv(RECEIVE_SIZE):
            client.sendall(talk.receive(data))
    except OSError:
        pass
    finally:
        client.close()


def converse_in_pieces(client: socket.socket) -> None:
    """Hold a talk in which the front of a reply and its message are sent one by one."""
    talk = Talk(Terms())
    front_size = HEADER_SIZE + len(Terms().reply_prefix)
    with client, contextlib.suppress(OSError):
        while data := client.recv(RECEIVE_SIZE):
            if reply := talk.receive(data):
                client.sendall(reply[:front_size])
                client.sendall(reply[front_size:])


def in_pieces(listener: socket.socket) -> None:
    """A thread per client that sends a reply's front and its message by themselves.

    Nagle's algorithm, which is on by default, keeps the second piece back until the client has
    confirmed the first; the client, which waits for the rest, puts that off for 40 ms.
    """
    while True:
        client, _ = listener.accept()
        threading.Thread(target=converse_in_pieces, args=(client,), daemon=True).start()


def in_pieces_at_once(listener: socket.socket) -> None:
    """The same with TCP_NODELAY, which switches Nagle's algorithm off."""
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what it accepts inherits that
    in_pieces(listener)


def accept_loop(listener: socket.socket) -> None:
    """The accept loop of many a tutorial: the first error of accept() ends the whole server."""
    while True:
        client, _ = listener.accept()
        threading.Thread(target=converse, args=(client,), daemon=True).start()


class _StockServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = BACKLOG


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        converse(self.request)


def stock_socketserver(listener: socket.socket) -> None:
    """The library's ThreadingTCPServer as it is: it passes over an error of accept() and retries.

    The connection that could not be accepted is still there, so that is all it does from then on.
    """
    with _StockServer(listener.getsockname(), _Handler, bind_and_activate=False) as server:
        server.socket.close()
        server.socket = listener
        server.serve_forever()


def greedy_loop(listener: socket.socket) -> None:
    """An event loop without backpressure: it reads on while its replies are not taken."""
    _run_loop(listener, reads_on=True)


def stalling_loop(listener: socket.socket) -> None:
    """An event loop that does nothing for a second, once: a garbage collection, a slow disk."""
    _run_loop(listener, stalls=True)


SPECIMENS: Final[dict[str, Callable[[socket.socket], None]]] = {
    "two-pieces": in_pieces,
    "two-pieces-nodelay": in_pieces_at_once,
    "tutorial-accept-loop": accept_loop,
    "stock-socketserver": stock_socketserver,
    "greedy-loop": greedy_loop,
    "stalling-loop": stalling_loop,
}
"""Every specimen by name."""


class _Connection:
    def __init__(self, client: socket.socket) -> None:
        self.client = client
        self.talk = Talk(Terms())
        self.unsent = bytearray()


def _run_loop(listener: socket.socket, *, reads_on: bool = False, stalls: bool = False) -> None:
    stall_at: float | None = None
    stalled = not stalls
    listener.setblocking(False)
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        while True:
            for key, events in selector.select():
                if key.fileobj is listener:
                    _accept(listener, selector)
                    continue
                connection: _Connection = key.data
                alive = _serve(connection, events)
                if not alive:
                    selector.unregister(connection.client)
                    connection.client.close()
                    continue
                writing = selectors.EVENT_WRITE if connection.unsent else 0
                reading = selectors.EVENT_READ if reads_on or not writing else 0
                selector.modify(connection.client, reading | writing, connection)
                if not stalled:
                    stall_at = stall_at or time.monotonic() + STALL_AFTER_SECONDS
                    if time.monotonic() >= stall_at:
                        stalled = True
                        time.sleep(STALL_SECONDS)


def _accept(listener: socket.socket, selector: selectors.BaseSelector) -> None:
    try:
        client, _ = listener.accept()
    except BlockingIOError:
        return
    client.setblocking(False)
    selector.register(client, selectors.EVENT_READ, _Connection(client))


def _serve(connection: _Connection, events: int) -> bool:
    """Receive and send what can be; False once the client is gone."""
    try:
        if events & selectors.EVENT_READ:
            data = connection.client.recv(RECEIVE_SIZE)
            if not data:
                return False
            connection.unsent += connection.talk.receive(data)
        if connection.unsent:
            sent = connection.client.send(connection.unsent)
            del connection.unsent[:sent]
    except BlockingIOError:
        pass
    except OSError:
        return False
    return True


def main() -> None:
    """Serve as the specimen that the command line names, on a free port of 127.0.0.1."""
    name = sys.argv[1] if len(sys.argv) == 2 else ""
    if name not in SPECIMENS:
        sys.exit(f"specimens: give the name of one: {', '.join(SPECIMENS)}")
    with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as listener:
        host, port = listener.getsockname()
        print(f"{name}: listening on {host}:{port}", flush=True)
        SPECIMENS[name](listener)


if __name__ == "__main__":
    main()
