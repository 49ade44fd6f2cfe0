"""The rules by which conversations end, each over every model: see `concurrency_models.leaving`."""

import asyncio
import importlib
import socket
import threading
import time

import pytest

from concurrency_models.backends import MODELS
from concurrency_models.backends.asyncio_protocol import TalkProtocol
from concurrency_models.leaving import Leaving, Looks
from concurrency_models.server import Server
from concurrency_models.settings import Settings
from concurrency_models.talk import frame
from tests.clients import Client, answer, check_served, crowd, readable
from tests.servers import SUBJECTS, WAIT_SECONDS, Subject, eventually, serving

EVERY = pytest.mark.parametrize("subject", SUBJECTS, ids=str, indirect=True)


@EVERY
def test_slow_is_not_silent(subject: Subject) -> None:
    """A client that reads a little all the time is not idle, however long its replies take."""
    messages = [bytes([number]) * 1_000_000 for number in range(2)]
    expected = b"".join(frame("length", answer(message)) for message in messages)
    with (
        serving(*subject.arguments, "--idle-timeout", "0.8") as server,
        Client(server.address, receive_buffer=65_536) as client,
    ):
        sender = threading.Thread(target=client.send, args=messages)
        sender.start()
        read = bytearray()
        while len(read) < len(expected):  # each reply takes longer than the timeout
            piece = client.read(min(131_072, len(expected) - len(read)))
            assert piece, f"cut off after {len(read):,} of {len(expected):,} bytes"
            read += piece
            time.sleep(0.12)  # the slowness that is tested
        sender.join(WAIT_SECONDS)
        right = read == expected
        assert right


@EVERY
def test_who_was_told_goodbye_and_stays_is_left(subject: Subject) -> None:
    """A lingering close ends, though the client never hangs up and there is no idle timeout."""
    with serving(*subject.arguments) as server:
        check_served(server.address)
        processes = len(server.processes())
        eventually(lambda: len(server.processes()) <= processes, "a process is left")
        descriptors = server.descriptors()
        with Client(server.address) as client:
            client.socket.sendall(b"\xff\xff\xff\xff")  # a message of 4 GiB, which is refused
            assert b"over the limit" in client.receive()
            client.check_last_words()

            def is_left() -> bool:
                return server.descriptors() <= descriptors

            eventually(is_left, "the connection is still held")
        check_served(server.address)


@EVERY
def test_clients_that_keep_asking_do_not_hold_up_the_stop(subject: Subject) -> None:
    """What had arrived is answered, and then goodbye: not all the grace for who asks on and on."""
    with (
        serving(*subject.arguments, "--grace", "20") as server,
        crowd(server.address, min(10, subject.model.at_once or 10)) as clients,
    ):
        for client in clients:
            assert client.ask(b"here I am") == answer(b"here I am")
        askers = [threading.Thread(target=ask_on, args=(client,)) for client in clients]
        for asker in askers:
            asker.start()
        before = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - before < 10, "it took half of the grace"
        for asker in askers:
            asker.join(WAIT_SECONDS)


def ask_on(client: Client) -> None:
    """Ask until the server hangs up."""
    try:
        while client.ask(b"and on") == answer(b"and on"):
            pass
    except (EOFError, ConnectionError):
        pass


@EVERY
def test_who_dribbles_over_one_message_is_left(subject: Subject) -> None:
    """However steadily it sends; and the next client is served."""
    with serving(*subject.arguments, "--message-timeout", "0.3") as server:
        with Client(server.address) as client:
            for byte in frame("length", bytes(1000)):
                if readable([client], 0.02):  # nothing can be answered, so it was cut off
                    break
                client.socket.sendall(bytes([byte]))
            else:
                pytest.fail("all of it was waited for")
        check_served(server.address)


@EVERY
def test_who_has_always_begun_a_message_is_not_late_with_any(subject: Subject) -> None:
    half, rest = frame("length", b"message")[:6], frame("length", b"message")[6:]
    with (
        serving(*subject.arguments, "--message-timeout", "0.8") as server,
        Client(server.address) as client,
    ):
        client.socket.sendall(half)
        for _ in range(12):
            time.sleep(0.08)  # the time that is minded
            client.socket.sendall(rest + half)
            assert client.receive() == answer(b"message")
        client.socket.sendall(rest)
        assert client.receive() == answer(b"message")


@pytest.mark.parametrize("model", ["asyncio-protocol", "uvloop"])
def test_goodbye_to_a_client_that_has_just_reset_ends_nobody_else(model: str) -> None:
    """The loop does not know of the reset yet: its transport could still be asked to say EOF."""
    if MODELS[model].unavailable():
        pytest.skip("not here")

    async def meet_and_part() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = Client(listener.getsockname())
            accepted, _ = listener.accept()
        server = Server(Settings())
        server.admit(accepted)
        protocol = TalkProtocol(Leaving(server, accepted, Looks(server)), set())
        await protocol.connect(accepted)
        client.reset()
        server.stop()
        protocol.say_goodbye_if_done()
        assert protocol.leaving.half_closed
        while server.clients:
            protocol.transport.abort()
            await asyncio.sleep(0)
        for end in server.self_pipe.writer, server.self_pipe._reader:  # else the collector warns
            end.close()

    loop = importlib.import_module("uvloop" if model == "uvloop" else "asyncio").new_event_loop
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(meet_and_part())
