"""The models of the course as a teacher writes them on the board: accept, recv, send, and no more.

Each sends back whatever one `recv` returned. They run, and what they do per message is what their
concurrency costs, which is why the benchmarks hold the models against them. What each lacks is said
below its name, and is what the rest of this package is for.

    python -m concurrency_models.bare thread
    nc 127.0.0.1 8008
    python -m loadgen --connect 127.0.0.1:8008 --reply-prefix "" --label "bare thread"

What all of them lack: a message is whatever arrived at once, so that two may stick together and a
long one comes in pieces; a client may stay silent for ever, and nobody is too many; nothing is
done about running out of descriptors: `thread`, `process` and `selectors` then end with a
traceback, `socketserver` does what is said below it, and `iterative`, which holds one client at a
time, does not get there; Ctrl-C cuts everybody off in mid-message.
"""

import argparse
import multiprocessing
import selectors
import signal
import socket
import socketserver
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from concurrency_models.inbox import RECEIVE_SIZE

BACKLOG: Final = 4096


def echo(client: socket.socket) -> None:
    """Send back what arrives until the client hangs up.

    Lacks: `send` in place of `sendall` would drop what the pipe did not take. A client that resets
    its connection is no error here; without the `suppress` it would end the server.
    """
    with client, suppress(ConnectionError):
        while data := client.recv(RECEIVE_SIZE):
            client.sendall(data)


def iterative(listener: socket.socket) -> None:
    """One client after the other.

    Lacks: anything for the second client while the first is there, be it silent or gone without a
    word. The kernel has completed its connection all the same.
    """
    while True:
        client, _ = listener.accept()
        echo(client)


def thread(listener: socket.socket) -> None:
    """A thread for each client.

    Lacks: a limit. At some number of clients no further thread can be had, `start` raises, and the
    server ends, with all its clients.
    """
    while True:
        client, _ = listener.accept()
        threading.Thread(target=echo, args=(client,), daemon=True).start()


def process(listener: socket.socket) -> None:
    """A process for each client.

    Lacks: somebody who looks after the children. They are daemons, so that they are ended when the
    parent ends in order; if it is killed, they stay. SIGCHLD is ignored, so that the kernel reaps
    them and leaves no zombie. Without `client.close()` the parent would keep the connection open.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    context = multiprocessing.get_context("fork")
    while True:
        client, _ = listener.accept()
        context.Process(target=echo, args=(client,), daemon=True).start()
        client.close()


class EchoHandler(socketserver.BaseRequestHandler):
    """Serves one connection, which is what `socketserver` calls a request."""

    def handle(self) -> None:
        """Send back what arrives."""
        echo(self.request)


def threading_tcp_server(listener: socket.socket) -> None:
    """A thread for each client, as the standard library writes it.

    Lacks: patience. Out of descriptors it tries again at once, in silence and with all of a core.
    It looks for its end twice a second, and by itself has a backlog of 5.
    """
    address, port = listener.getsockname()
    with socketserver.ThreadingTCPServer((address, port), EchoHandler, False) as server:
        server.socket.close()
        server.socket = listener
        server.daemon_threads = True
        server.serve_forever()


def selectors_loop(listener: socket.socket) -> None:
    """One thread for all: wait until a socket is ready, then do what cannot block.

    Lacks: backpressure. What `send` does not take at once is lost here; a loop that kept all of it
    would be filled by the first client that sends and never reads.
    """
    selector = selectors.DefaultSelector()

    def accept() -> None:
        client, _ = listener.accept()
        client.setblocking(False)
        selector.register(client, selectors.EVENT_READ, lambda: exchange(client))

    def exchange(client: socket.socket) -> None:
        with suppress(ConnectionError):
            if data := client.recv(RECEIVE_SIZE):
                client.send(data)
                return
        selector.unregister(client)
        client.close()

    selector.register(listener, selectors.EVENT_READ, accept)
    while True:
        for key, _ in selector.select():
            key.data()


BARE: Final[dict[str, Callable[[socket.socket], None]]] = {
    "iterative": iterative,
    "process": process,
    "thread": thread,
    "socketserver": threading_tcp_server,
    "selectors": selectors_loop,
}
"""The bare server that a model of the course can be set beside, by the model's name."""


def main() -> None:
    """Serve as the command line says, until Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m concurrency_models.bare",
        description="Echo to many clients with a bare loop and nothing around it.",
    )
    parser.add_argument("name", metavar="MODEL", choices=BARE, help=", ".join(BARE))
    parser.add_argument("--port", type=int, default=8008, help="0 picks a free one (%(default)s)")
    options = parser.parse_args()
    try:
        listener = socket.create_server(("127.0.0.1", options.port), backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        parser.exit(1, f"{parser.prog}: cannot listen on port {options.port}: {error}\n")
    with listener, suppress(KeyboardInterrupt):
        port = listener.getsockname()[1]
        print(f"bare {options.name}: listening on 127.0.0.1:{port} (Ctrl-C stops)", flush=True)
        BARE[options.name](listener)


if __name__ == "__main__":
    main()
