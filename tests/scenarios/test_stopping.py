"""How every model ends: at once where it can, with every message that was sent in time answered."""

import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from concurrency_models.talk import frame
from tests.clients import Client, answer, check_served, crowd, never_read, readable, unconfirmed
from tests.servers import (
    PYTHON,
    START_METHODS,
    SUBJECTS,
    WAIT_SECONDS,
    ServerProcess,
    Subject,
    eventually,
    serving,
)

WITH_START_METHODS = pytest.mark.parametrize(
    "subject", [*SUBJECTS, *START_METHODS], ids=str, indirect=True
)

GRACE = ("--grace", "20")
"""More than any of these should need, less than a test waits."""


@contextmanager
def served(server: ServerProcess, subject: Subject, wanted: int) -> Iterator[list[Client]]:
    """Connect as many of the wanted clients as the model serves at once, each already answered."""
    with crowd(server.address, min(wanted, subject.model.at_once or wanted)) as clients:
        for client in clients:
            assert client.ask(b"here I am") == answer(b"here I am")
        yield clients


def test_ctrl_c_stops_it_and_it_says_what_it_did(subject: Subject) -> None:
    with serving(*subject.arguments) as server:
        check_served(server.address)
        check_served(server.address)
        assert server.stop(signal.SIGINT) == 0
        server.out.wait_for(
            rf"^{subject.model.name}: accepted 2 clients in \d+\.\d s( \(by worker: [0-9 ]+\))?$"
        )


@WITH_START_METHODS
def test_ctrl_c_reaches_every_process_and_yet_stops_it_in_order(subject: Subject) -> None:
    with serving(*subject.arguments, *GRACE) as server, served(server, subject, 3) as clients:
        with server.frozen():
            for client in clients:
                client.send(b"in time")
            server.signal_all(signal.SIGINT)
        for client in clients:
            client.check_last_words(answer(b"in time"))
        assert server.exit_status() == 0


@WITH_START_METHODS
def test_a_message_begun_before_the_stop_is_answered(subject: Subject) -> None:
    with serving(*subject.arguments, *GRACE) as server, served(server, subject, 5) as clients:
        for client in clients:
            client.socket.sendall(frame("length", b"half" + b"x" * 16)[:8])
        server.process.terminate()
        for _ in range(16):  # some of it before the server knows, some after
            for client in clients:
                client.socket.sendall(b"x")
            time.sleep(0.01)
        for client in clients:
            client.check_last_words(answer(b"half" + b"x" * 16))
        assert server.exit_status() == 0


@pytest.mark.parametrize("size", [0, 100_000])
def test_everything_that_came_before_the_stop_is_answered(subject: Subject, size: int) -> None:
    """More than one `recv` takes; frames of 4 bytes end just where that `recv` ends."""
    messages = [b"m" * size] * (100_004 // (4 + size))
    with serving(*subject.arguments, *GRACE) as server, served(server, subject, 2) as clients:
        for client in clients:  # the kernel widens what it takes in for those that send much
            for _ in range(3):
                assert client.ask(bytes(1 << 20)) == answer(bytes(1 << 20))
        with server.frozen():
            for client in clients:
                client.send(*messages)
            eventually(lambda: not any(map(unconfirmed, clients)), "not all of it has arrived")
            server.process.terminate()
        for client in clients:
            client.check_last_words(*map(answer, messages))
        assert server.exit_status() == 0


def test_replies_that_wait_to_be_sent_survive_the_stop(subject: Subject) -> None:
    messages = [bytes([number]) * 4000 for number in range(250)] * 10
    stream = b"".join(frame("length", message) for message in messages)
    with serving(*subject.arguments, "--grace", "20") as server:
        with Client(server.address, receive_buffer=4096) as client:
            sent = 0
            while sent < len(stream) and select.select([], [client], [], 0.2)[1]:
                sent += client.socket.send(stream[sent:], socket.MSG_DONTWAIT)
            begun = -(-sent // 4004)
            server.process.terminate()
            rest = threading.Thread(
                target=client.socket.sendall, args=[stream[sent : begun * 4004]]
            )
            rest.start()
            said = client.read_to_end()
            rest.join(WAIT_SECONDS)
        right = said == b"".join(frame("length", answer(message)) for message in messages[:begun])
        assert right, "a reply was lost, or another came in its place"
        assert server.exit_status() == 0


def test_a_stop_amid_a_crowd_loses_nothing(subject: Subject) -> None:
    with serving(*subject.arguments, *GRACE) as server, served(server, subject, 30) as clients:
        for client in clients:
            client.send(b"0")
        for turn in range(1, 1000):
            client = readable(clients, WAIT_SECONDS)[turn % 2 - 1]
            assert client.receive() == answer(b"0")
            client.send(b"0")
        server.process.terminate()
        for client in clients:
            client.check_last_words(answer(b"0"))
        assert server.exit_status() == 0


def test_clients_may_hang_up_or_vanish_just_then(subject: Subject) -> None:
    with serving(*subject.arguments, *GRACE) as server, served(server, subject, 10) as clients:
        busy, *others = clients
        busy.socket.sendall(frame("length", b"busy" + b"y" * 16)[:8])
        with server.frozen():
            for number, client in enumerate(others):
                if number % 2:
                    client.reset()
                else:
                    client.send(b"bye")
                    client.hang_up()
            server.process.terminate()
        for client in others[::2]:
            client.check_last_words(answer(b"bye"))
        for _ in range(16):  # what was left of the others must not hurt those who stay
            busy.socket.sendall(b"y")
            time.sleep(0.02)
        busy.check_last_words(answer(b"busy" + b"y" * 16))
        assert server.exit_status() == 0


def test_idle_clients_do_not_keep_it_from_stopping(subject: Subject) -> None:
    with serving(*subject.arguments, *GRACE) as server, served(server, subject, 10) as clients:
        before = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - before < 10, "it took half of the grace"
        for client in clients:
            client.check_last_words()


@pytest.mark.parametrize("grace", ["0", "0.3"])
def test_the_grace_is_all_that_stopping_takes(subject: Subject, grace: str) -> None:
    with (
        serving(*subject.arguments, "--grace", grace, "-v") as server,
        served(server, subject, 5) as clients,
    ):
        for number, client in enumerate(clients):
            if number == 1:
                never_read(client)
            else:
                client.socket.sendall(b"\0\0\0\5half")
        assert server.stop() == 0


def test_the_grace_holds_whatever_the_server_works_at(subject: Subject) -> None:
    with (
        serving(*subject.arguments, "--work", "--grace", "0.5", warns=True) as server,
        served(server, subject, 1) as clients,
    ):
        clients[0].send(b"sleep 10000")
        eventually(lambda: not unconfirmed(clients[0]), "it has not arrived")
        before = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - before < 8, "it went on working"


@WITH_START_METHODS
def test_a_second_ctrl_c_ends_it_at_once(subject: Subject) -> None:
    with (
        serving(*subject.arguments, *GRACE, expect=130) as server,
        served(server, subject, 3) as clients,
    ):
        for client in clients:
            client.socket.sendall(b"\0\0\0\5half")
        while server.process.poll() is None:
            server.signal_all(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                server.process.wait(0.1)
        server.check_nobody_is_left()


@WITH_START_METHODS
def test_nobody_outlives_a_server_that_is_killed(subject: Subject) -> None:
    with (
        serving(*subject.arguments, "--grace", "1", expect=-signal.SIGKILL) as server,
        served(server, subject, 3) as clients,
    ):
        clients[0].socket.sendall(b"\0\0\0\5half")
        server.process.kill()
        server.check_nobody_is_left()


def test_an_executor_whose_thread_ends_at_the_same_time() -> None:
    """At exit the library wakes its threads, by pipes that they close when they end."""
    slow = (PYTHON.executable, "-m", "tests.as_slow_to_wake")
    with serving("--model", "executor-processes", wrapper=slow) as server:
        check_served(server.address)
