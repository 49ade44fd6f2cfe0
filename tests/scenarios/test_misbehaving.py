"""Clients that do what they should not: they cost nobody else anything."""

import random
import socket
from pathlib import Path

import pytest

from concurrency_models.talk import frame
from concurrency_models.work import perform
from tests.clients import Client, answer, check_served, crowd, never_read, readable
from tests.servers import (
    CONCURRENT,
    SUBJECTS,
    WAIT_SECONDS,
    ServerProcess,
    Subject,
    eventually,
    serving,
)

AT_ONCE = pytest.mark.parametrize("subject", CONCURRENT, ids=str, indirect=True)


def test_a_client_that_resets(server: ServerProcess) -> None:
    for _ in range(5):
        idle, busy = Client(server.address), Client(server.address)
        idle.reset()
        busy.send(*[b"never to be read"] * 100)
        busy.reset()
    check_served(server.address)


@pytest.mark.parametrize("size", [2, 4, 8])
def test_a_client_that_leaves_in_mid_message(server: ServerProcess, size: int) -> None:
    with Client(server.address) as client:
        client.socket.sendall(frame("length", b"never to be whole")[:size])
    check_served(server.address)


@AT_ONCE
def test_a_client_that_dribbles(server: ServerProcess) -> None:
    with Client(server.address) as dribbler, Client(server.address) as other:
        for byte in frame("length", b"slow"):
            dribbler.socket.sendall(bytes([byte]))
            assert other.ask(b"quick") == answer(b"quick")
        assert dribbler.receive() == answer(b"slow")


@AT_ONCE
def test_clients_that_never_write(server: ServerProcess) -> None:
    with crowd(server.address, 20):
        check_served(server.address)


@pytest.mark.parametrize("seed", range(3))
def test_a_client_that_sends_garbage(server: ServerProcess, seed: int) -> None:
    with Client(server.address) as client:
        client.socket.sendall(random.Random(seed).randbytes(100_000))
        client.hang_up()
        client.read_to_end()
    check_served(server.address)


def test_a_client_that_speaks_another_protocol(server: ServerProcess) -> None:
    with Client(server.address) as client:
        client.socket.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"over the limit" in client.receive()
        client.check_last_words()


@AT_ONCE
def test_a_client_that_reads_slowly_gets_all_of_it(server: ServerProcess) -> None:
    messages = [bytes([number]) * 100_000 for number in range(50)]
    with Client(server.address, receive_buffer=4096) as slow, Client(server.address) as other:
        slow.socket.settimeout(0)
        stream = memoryview(b"".join(frame("length", message) for message in messages))
        expected = b"".join(frame("length", answer(message)) for message in messages)
        sent, read = 0, bytearray()
        while len(read) < len(expected):
            if sent < len(stream):
                sent += send_some(slow, stream[sent:])
            if readable([slow], 0 if sent < len(stream) else WAIT_SECONDS):
                read += slow.socket.recv(65_536)
            if len(read) % 16 == 0:
                assert other.ask(b"quick") == answer(b"quick")
        right = read == expected
        assert right


def send_some(client: Client, data: memoryview) -> int:
    try:
        return client.socket.send(data)
    except BlockingIOError:
        return 0


@pytest.mark.parametrize("subject", SUBJECTS, ids=str, indirect=True)
def test_clients_that_never_read_cost_little_memory(subject: Subject) -> None:
    with serving(*subject.arguments, "--grace", "0") as server:
        size = min(2, subject.model.at_once or 2)
        with crowd(server.address, size) as greedy:
            for client in greedy:
                assert client.ask(b"here I am") == answer(b"here I am")
            before = server.memory_bytes()
            for client in greedy:
                assert never_read(client) < 64 << 20, "the server took all of it"
            assert server.memory_bytes() - before < size * (4 << 20)
            if subject.model.at_once is None:
                check_served(server.address)
        check_served(server.address)


def test_a_client_with_an_odd_name(subject: Subject, tmp_path: Path) -> None:
    """A peer chooses what its socket is called: that forges no line and ends no server."""
    if "unix" not in subject.model.families:
        pytest.skip(f"{subject} does not listen there")
    path = f"{tmp_path}/socket"
    with serving(*subject.arguments, "--family", "unix", "--path", path, "-v") as server:
        for name in b"/\x1b[31m\nforged", b"/\xff\xfe":
            with Client.__new__(Client) as client:
                client.socket = socket.socket(socket.AF_UNIX)
                client.socket.settimeout(WAIT_SECONDS)
                client.socket.bind(str(tmp_path).encode() + name)
                client.socket.connect(path)
                assert client.ask(b"hello") == answer(b"hello")
        server.out.wait_for(r"\\x1b\[31m\\nforged says b'hello'")
        assert not any(line.startswith("forged") for line in server.out.lines)


@pytest.mark.parametrize("subject", CONCURRENT, ids=str, indirect=True)
def test_what_a_large_message_took_is_given_back(subject: Subject) -> None:
    """Of so many that it is not the 5 MB which CPython's allocator without a GIL has at hand."""
    with serving(*subject.arguments) as server, crowd(server.address, 20) as clients:
        for client in clients:
            assert client.ask(b"here I am") == answer(b"here I am")
        before = server.memory_bytes()
        message = bytes(1 << 20)
        for client in clients:
            assert client.ask(message) == answer(message)
        eventually(
            lambda: server.memory_bytes() - before < len(clients) * (1 << 19),
            "silent clients keep the memory of their messages",
        )


@AT_ONCE
def test_a_client_that_asks_for_much_at_a_time_leaves_others_their_turn(subject: Subject) -> None:
    many = [b"sleep 5"] * 100
    with serving(*subject.arguments, "--work") as server, crowd(server.address, 2) as clients:
        greedy, modest = clients
        for client in clients:
            assert client.ask(b"sleep 0") == answer(perform(b"sleep 0"))
        with server.frozen():  # it finds both at once, and first whoever came first
            greedy.send(*many)
            modest.send(b"sleep 0")
        assert modest.receive() == answer(perform(b"sleep 0"))
        here = greedy.socket.recv(1 << 20, socket.MSG_PEEK) if readable([greedy], 0) else b""
        greedy.hang_up()
        greedy.check_last_words(*[answer(perform(message)) for message in many])
        assert len(here) < len(frame("length", answer(perform(many[0])))) * len(many)
