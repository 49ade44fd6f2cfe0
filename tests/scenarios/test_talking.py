"""What every model has to get right for clients that behave: each message its answer, in order."""

import socket

import pytest

from concurrency_models.talk import GREETING, frame
from tests.clients import Client, answer, check_served, crowd, readable
from tests.servers import CONCURRENT, START_METHODS, ServerProcess, Subject, serving

LIMIT = 1 << 20
"""The server's --max-message, in bytes, where nothing else is said."""


def test_each_message_is_answered(server: ServerProcess) -> None:
    with Client(server.address) as client:
        for message in b"hello", b"", b"\0\n\xff", bytes(range(256)):
            assert client.ask(message) == answer(message)


def test_messages_sent_at_once_are_answered_in_order(server: ServerProcess) -> None:
    messages = [b"message %d" % number for number in range(1000)]
    with Client(server.address) as client:
        client.send(*messages)
        assert [client.receive() for _ in messages] == [answer(message) for message in messages]


def test_a_message_may_come_in_pieces(server: ServerProcess) -> None:
    with Client(server.address) as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in frame("length", b"piecemeal"):
            client.socket.sendall(bytes([byte]))
        assert client.receive() == answer(b"piecemeal")


def test_the_longest_message_is_answered(server: ServerProcess) -> None:
    message = bytes(range(256)) * (LIMIT // 256)
    with Client(server.address) as client:
        assert client.ask(message) == answer(message)
        assert client.ask(b"and on") == answer(b"and on")


@pytest.mark.parametrize("sent", [0, 1, LIMIT + 1])
def test_a_message_over_the_limit_is_refused_once(server: ServerProcess, sent: int) -> None:
    with Client(server.address) as client:
        client.send(b"before")
        client.socket.sendall((LIMIT + 1).to_bytes(4, "big") + bytes(sent))
        assert client.receive() == answer(b"before")
        assert client.receive() == b"message of 1048577 bytes is over the limit of 1048576 bytes"
        client.check_last_words()


def test_a_refusal_destroys_no_answer_that_is_under_way(server: ServerProcess) -> None:
    """Closing a socket that has unread input would: it resets the connection."""
    messages = [b"m" * 1000] * 200
    refusal = b"message of 1048577 bytes is over the limit of 1048576 bytes"
    with Client(server.address, receive_buffer=4096) as client:
        client.send(*messages)
        client.socket.sendall((LIMIT + 1).to_bytes(4, "big") + bytes(200_000))
        client.check_last_words(*map(answer, messages), refusal)


def test_a_client_may_hang_up_before_it_reads(server: ServerProcess) -> None:
    messages = [b"%d" % number * 100 for number in range(1000)]
    with Client(server.address) as client:
        client.send(*messages)
        client.hang_up()
        client.check_last_words(*map(answer, messages))


@pytest.mark.parametrize("subject", CONCURRENT, ids=str, indirect=True)
def test_many_clients_are_served_at_once(server: ServerProcess) -> None:
    with crowd(server.address, 100) as clients:
        for turn in range(3):
            for number, client in enumerate(clients):
                client.send(b"%d of client %d" % (turn, number))
            for number, client in enumerate(clients):
                assert client.receive() == answer(b"%d of client %d" % (turn, number))


def test_nobody_is_lost_while_waiting_for_others(server: ServerProcess, subject: Subject) -> None:
    with crowd(server.address, 20) as clients:
        for number, client in enumerate(clients):
            client.send(b"%d" % number)
        for number, client in enumerate(clients):
            assert client.receive() == answer(b"%d" % number)
            if subject.model.at_once == 1:
                assert not readable(clients[number + 1 :], 0.01)
            client.socket.close()


@pytest.mark.parametrize(
    "options",
    [("--framing", "line"), ("--framing", "raw"), ("--talk", "greet"), ("--talk", "once")],
    ids=lambda options: options[1],
)
def test_other_talks(subject: Subject, options: tuple[str, ...]) -> None:
    says, hears = {
        "line": (b"hello\r\n\nbye\n", b"received: hello\r\nreceived: \nreceived: bye\n"),
        "raw": (b"hello", b"received: hello"),
        "greet": (b"", frame("length", GREETING)),
        "once": (frame("length", b"one") * 2, frame("length", answer(b"one"))),
    }[options[1]]
    with serving(*subject.arguments, *options) as server:
        for _ in range(2):
            with Client(server.address) as client:
                client.socket.sendall(says)
                assert client.read(len(hears)) == hears
                if "--framing" in options:
                    client.hang_up()
                client.check_last_words()


@pytest.mark.parametrize("family", ["inet6", "unix"])
def test_other_families(subject: Subject, family: str, tmp_path: object) -> None:
    if family not in subject.model.families:
        pytest.skip(f"{subject} does not listen there")
    where = ("--path", f"{tmp_path}/socket") if family == "unix" else ()
    with serving(*subject.arguments, "--family", family, *where) as server:
        check_served(server.address)
        with Client(server.address) as client:
            message = bytes(LIMIT)
            assert client.ask(message) == answer(message)
            client.socket.sendall(b"\0\0\0\5half")
            server.process.terminate()
            client.socket.sendall(b"!")
            assert client.receive() == answer(b"half!")
            client.check_last_words()
        server.exit_status()


@pytest.mark.parametrize("subject", START_METHODS, ids=str, indirect=True)
def test_processes_may_be_started_in_any_way(subject: Subject) -> None:
    with serving(*subject.arguments) as server:
        with crowd(server.address, 3) as clients:
            for client in clients:
                assert client.ask(b"hello") == answer(b"hello")
        check_served(server.address)
