"""From a task to its run: servers that are started and such as are there, and what goes wrong."""

import socket
import threading
from dataclasses import replace

import pytest

from loadgen.fleet.events import Event
from loadgen.fleet.measure import measure
from loadgen.fleet.server import FoundServer, ModelServer
from loadgen.fleet.task import Task
from loadgen.judge import audit, figures
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record.result import Run
from loadgen.servers.found import Found
from tests.known_servers import Conversation, read_exactly, serving, talk

SHORT = Plan((Group(3),), duration_seconds=0.2, warmup_seconds=0.05, timeout_seconds=5.0)


class Notes:
    """A watcher that remembers what it was told."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.events: list[Event] = []
        self.ended: list[Run] = []

    def begin(self, name: str, plan: Plan) -> None:  # noqa: ARG002
        self.begun.append(name)

    def turn(self, name: str, life: int, number: int) -> None:
        raise AssertionError(f"whole trials have no turns: {name}, {life}, {number}")

    def event(self, event: Event) -> None:
        self.events.append(event)

    def end(self, name: str, run: Run) -> None:  # noqa: ARG002
        self.ended.append(run)


def test_a_model_is_started_loaded_watched_and_stopped() -> None:
    notes = Notes()
    found = measure(
        Task("selectors", ModelServer("selectors"), SHORT, trial=2), notes, threading.Event()
    )
    assert notes.begun == ["selectors"]
    assert notes.ended == [found]
    assert notes.events
    assert (found.model, found.trial, found.problem) == ("selectors", 2, None)
    # Where a machine is taken away for a part of so short a window, its clients are nobody's.
    failures = {check.name for check in audit.audit(found).failures}
    assert failures <= {"Little's law, all", "window as long as asked"}
    seen = figures.figures(found)
    assert seen.served == 3
    assert seen.server.memory_bytes is not None
    assert seen.server.cpu_seconds is not None
    assert (seen.server.processes, seen.server.threads) == (1, 1)


def test_a_stop_as_the_server_starts_is_heeded_before_there_is_load() -> None:
    notes, stop = Notes(), threading.Event()
    stop.set()
    with pytest.raises(KeyboardInterrupt):
        measure(Task("selectors", ModelServer("selectors"), SHORT), notes, stop)
    assert not notes.events


def test_a_model_that_does_not_start_is_a_run_with_a_problem() -> None:
    notes = Notes()
    task = Task("thread", ModelServer("thread", ("--no-such-option",)), SHORT)
    found = measure(task, notes, threading.Event())
    assert found.tally is None
    assert found.problem is not None
    assert "--no-such-option" in found.problem
    assert notes.ended == [found]


def put_on(conversation: Conversation, plan: Plan = SHORT) -> Run:
    with serving(conversation) as endpoint:
        server = FoundServer(Found(None, "known"), endpoint)
        return measure(Task("known", server, plan), Notes(), threading.Event())


def test_a_server_that_was_not_watched_has_no_cost_but_figures() -> None:
    found = figures.figures(put_on(talk()))
    assert found.messages
    assert found.wrong == 0
    assert found.server.cpu_seconds is None


def test_any_server_can_be_driven_with_its_own_words() -> None:
    def redis(client: socket.socket) -> None:
        while read_exactly(client, 6) == b"PING\r\n":
            client.sendall(b"+PONG\r\n")

    plan = replace(SHORT, groups=(Group(3, request=b"PING\r\n", reply=b"+PONG\r\n"),))
    found = figures.figures(put_on(redis, plan))
    assert found.served == 3
    assert found.wrong == 0
