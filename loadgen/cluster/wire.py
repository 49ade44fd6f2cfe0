"""Lines to other machines: TCP that says who speaks, and that ends when the other end is gone.

Both ends know a key, which came by another way; whoever does not is turned away before anything
that it sends is read as more than bytes. What follows is neither encrypted nor signed.
"""

import contextlib
import os
import socket
from collections.abc import Callable
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge

from loadgen.fleet.worker import bound_reading

# Longer than it takes a packet to be sent again twice; TCP itself would wait for a quarter of an
# hour for a machine that is gone.
LOST_SECONDS = 5
# For whoever connects to show that it knows the key.
AUTHENTICATE_SECONDS = 10.0

Address = tuple[str, int]


def connect(address: Address, key: bytes, seconds: float) -> Connection:
    """A line to whoever listens there and knows the key.

    Raises OSError, also where nothing comes for so long, EOFError, and AuthenticationError.
    """
    with socket.create_connection(address, seconds) as sock:
        return _authenticated(_line(sock), key, seconds, answer_challenge, deliver_challenge)


def admit(sock: socket.socket, key: bytes) -> Connection:
    """The line of somebody who has connected, and who knows the key. Takes over the socket.

    Raises what `connect` does.
    """
    with sock:
        line = _line(sock)
        seconds = AUTHENTICATE_SECONDS
        return _authenticated(line, key, seconds, deliver_challenge, answer_challenge)


def hang_up(line: Connection) -> None:
    """End a line that another thread may be reading from, which then reads its end."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(line.fileno())) as same:
        same.shutdown(socket.SHUT_RDWR)


def _authenticated(
    line: Connection, key: bytes, seconds: float, *steps: Callable[[Connection, bytes], None]
) -> Connection:
    """The line, once both ends have shown in these steps that they know the key; else closed."""
    try:
        bound_reading(line, seconds)
        for step in steps:
            step(line, key)
        bound_reading(line, 0)
    except BaseException:
        line.close()
        raise
    return line


def _line(sock: socket.socket) -> Connection:
    """A line over a TCP connection that ends soon when the other machine does not answer."""
    sock.settimeout(None)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", 1),
        ("TCP_KEEPINTVL", 1),
        ("TCP_KEEPCNT", LOST_SECONDS),
        # Also for what was sent and is not acknowledged.
        ("TCP_USER_TIMEOUT", 1000 * LOST_SECONDS),
    ):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return Connection(sock.detach())
