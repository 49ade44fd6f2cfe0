"""Servers that answer nobody, or end: what a person is told of them."""

import socket
import sys
import threading
from dataclasses import replace
from typing import ClassVar

from loadgen.fleet import diagnosis
from loadgen.fleet.measure import measure
from loadgen.fleet.server import ProgramServer, Running
from loadgen.fleet.task import Task
from loadgen.judge import figures
from loadgen.plan.endpoint import Endpoint
from loadgen.record.result import Run
from tests import runs
from tests.test_measure import SHORT, Notes, put_on


def test_a_server_that_answers_in_another_tongue_is_quoted() -> None:
    def web(client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * 100)

    found = put_on(web)
    assert len(found.notes) == 1
    assert "got b'HTTP/1.1 400 Bad Request" in found.notes[0]
    assert "that is an HTTP server" in found.notes[0]


def test_an_echo_server_is_recognised_with_what_to_do() -> None:
    def echo(client: socket.socket) -> None:
        while data := client.recv(65536):
            client.sendall(data)

    found = put_on(echo)
    assert "--reply-prefix ''" in found.notes[0]
    again = put_on(echo, replace(SHORT, reply_prefix=b""))
    assert again.notes == ()
    assert figures.figures(again).wrong == 0


def test_a_server_of_lines_is_recognised_with_what_to_type() -> None:
    def lines(client: socket.socket) -> None:
        with client.makefile("rb") as typed:
            for line in typed:
                client.sendall(b"received: " + line)

    [note] = put_on(lines).notes
    assert note.endswith("repeat this with --framing line")


def test_a_server_that_hangs_up_is_said_to() -> None:
    found = put_on(lambda _: None)
    assert found.notes == ("the server hangs up, or says nothing, when it is sent a message",)


def test_long_bytes_are_shortened_for_people() -> None:
    assert diagnosis.shortened(b"abc") == "b'abc'"
    assert diagnosis.shortened(b"x" * 5000).endswith("... (5,000 bytes)")


def test_a_server_that_ends_during_the_run_leaves_its_last_words() -> None:
    program = (
        "import socket\n"
        "s = socket.create_server(('127.0.0.1', 0))\n"
        "print('listening on 127.0.0.1:%d' % s.getsockname()[1], flush=True)\n"
        "client, _ = s.accept()\n"
        "client.recv(1)\n"
        "print('out of luck', flush=True)\n"
    )
    task = Task("odd", ProgramServer("odd", (sys.executable, "-c", program)), SHORT)
    found = measure(task, Notes(), threading.Event())
    assert any("out of luck" in note for note in found.notes)
    assert isinstance(found.endpoint, Endpoint)


class Ending:
    """A process that has closed its connections and is still there when it is first looked at."""

    output: ClassVar[list[str]] = ["out of luck"]
    trace = connections_by_worker = None

    def __init__(self) -> None:
        self.looks = 3

    @property
    def running(self) -> bool:
        self.looks -= 1
        return self.looks > 0


def test_a_server_that_is_about_to_end_is_waited_for_where_connections_ended() -> None:
    for errors, ended in (({"ECONNRESET": 1}, True), ({}, False)):
        tally = runs.tally(replace(runs.group_tally(), errors=errors))
        run = Run("odd", SHORT, 1, tally=tally)
        server = Running(Endpoint("inet"), None, process=Ending())
        assert bool(diagnosis.notes(run, server)) == ended
