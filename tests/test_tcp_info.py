"""What the kernel counts of one connection."""

import socket
import sys

import pytest

from loadgen.engine.tcp_info import bytes_sent


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux counts them")
def test_bytes_that_were_sent_on_a_connection_are_counted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        with client, server:
            assert bytes_sent(client) == 0
            client.sendall(b"x" * 123)
            assert len(server.recv(1000)) == 123
            assert bytes_sent(client) == 123
            assert bytes_sent(server) == 0
    left, right = socket.socketpair()
    with left, right, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        assert bytes_sent(left) is None
        assert bytes_sent(datagrams) is None
