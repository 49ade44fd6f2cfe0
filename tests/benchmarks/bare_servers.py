"""The models' bare counterparts: the same kind of concurrency with no talk, framing, limits or
stopping.

What is left is what the concurrency itself costs. Each sends back whatever one recv() returned.
Usage: python -m tests.benchmarks.bare_servers NAME; prints its port; ends with SIGTERM.
"""

import multiprocessing
import selectors
import signal
import socket
import socketserver
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

RECEIVE_SIZE = 65536
BACKLOG = 4096


def listen() -> socket.socket:
    """A listener on a free loopback port, which it prints."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    announce(listener)
    return listener


def announce(listener: socket.socket) -> None:
    """Print the port, for whoever waits for it."""
    print(listener.getsockname()[1], flush=True)


def echo(client: socket.socket) -> None:
    """Send back what arrives until the client hangs up, or resets the connection."""
    with client, suppress(ConnectionError):
        while data := client.recv(RECEIVE_SIZE):
            client.sendall(data)


def iterative() -> None:
    """One client after the other."""
    listener = listen()
    while True:
        echo(listener.accept()[0])


def thread() -> None:
    """A thread for each client."""
    listener = listen()
    while True:
        threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()


def process() -> None:
    """A forked process for each client, reaped by the kernel."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    context = multiprocessing.get_context("fork")
    listener = listen()
    while True:
        client, _ = listener.accept()
        context.Process(target=echo, args=(client,), daemon=True).start()
        client.close()


class EchoHandler(socketserver.BaseRequestHandler):
    """The handler of `threading_tcp_server`."""

    def handle(self) -> None:
        """Send back what arrives."""
        echo(self.request)


class ThreadingServer(socketserver.ThreadingTCPServer):
    """The stock server, with a backlog that 100 clients fit in."""

    request_queue_size = BACKLOG
    daemon_threads = True


def threading_tcp_server() -> None:
    """The stock ThreadingTCPServer."""
    with ThreadingServer(("127.0.0.1", 0), EchoHandler) as server:
        announce(server.socket)
        server.serve_forever()


def selectors_loop() -> None:
    """One event loop."""
    listener = listen()
    selector = selectors.DefaultSelector()

    def accept() -> None:
        client, _ = listener.accept()
        client.setblocking(False)
        selector.register(client, selectors.EVENT_READ, lambda: exchange(client))

    def exchange(client: socket.socket) -> None:
        try:
            data = client.recv(RECEIVE_SIZE)
            if data:
                client.send(data)
                return
        except ConnectionError:
            pass
        selector.unregister(client)
        client.close()

    selector.register(listener, selectors.EVENT_READ, accept)
    while True:
        for key, _ in selector.select():
            key.data()


BARE: dict[str, Callable[[], None]] = {
    "iterative": iterative,
    "process": process,
    "thread": thread,
    "socketserver": threading_tcp_server,
    "selectors": selectors_loop,
}

if __name__ == "__main__":
    BARE[sys.argv[1]]()
