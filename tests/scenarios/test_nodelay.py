"""TCP_NODELAY is on, or off, for every model alike, whatever its library does by itself."""

import ctypes
import os
import socket
import sys

import pytest

from tests.clients import Client, answer
from tests.servers import SUBJECTS, ServerProcess, Subject, serving

PIDFD_GETFD = 438
"""The number of the system call that copies a descriptor of another process, pidfd_getfd(2)."""


def copies(client: Client, server: ServerProcess) -> list[socket.socket]:
    """Return copies of the server's sockets at the other end of a client's connection."""
    found = []
    for process in server.processes():
        for connection in process.net_connections("tcp"):
            if connection.raddr == client.socket.getsockname()[:2]:
                pidfd = os.pidfd_open(process.pid)
                copy = ctypes.CDLL(None).syscall(PIDFD_GETFD, pidfd, connection.fd, 0)
                os.close(pidfd)
                if copy >= 0:
                    found.append(socket.socket(fileno=copy))
    return found


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="takes sockets from another process"
)
@pytest.mark.parametrize(("nodelay", "family"), [("on", "inet"), ("off", "inet6")])
@pytest.mark.parametrize("subject", SUBJECTS, ids=str)
def test_nodelay(subject: Subject, nodelay: str, family: str) -> None:
    options = ("--nodelay", nodelay, "--family", family)
    with serving(*subject.arguments, *options) as server, Client(server.address) as client:
        assert client.ask(b"hello") == answer(b"hello")
        ends = copies(client, server)
        assert ends
        for end in ends:
            with end:
                assert bool(end.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)) == (
                    nodelay == "on"
                )
