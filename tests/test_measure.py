"""From tasks to runs: the order, what is kept when things go wrong, and the ceiling."""

import socket
import sys
import threading
from collections import Counter
from dataclasses import replace

import pytest

from loadgen.fleet import measure
from loadgen.fleet.conductor import Event
from loadgen.fleet.measure import Task, measure_ceiling, measure_found, measure_model, tasks
from loadgen.judge import audit, figures
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record import environment
from loadgen.record.result import Ceiling, Run
from loadgen.servers.found import Found
from tests.known_servers import Conversation, read_exactly, serving, talk
from tests.runs import run as a_run
from tests.runs import tally

SHORT = Plan((Group(3),), duration_seconds=0.2, warmup_seconds=0.05, timeout_seconds=5.0)
MODELS = ["iterative", "process", "thread", "socketserver", "selectors"]


class Notes:
    """A watcher that remembers what it was told."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.events: list[Event] = []
        self.ended: list[Run] = []

    def begin(self, name: str, plan: Plan) -> None:  # noqa: ARG002
        self.begun.append(name)

    def event(self, event: Event) -> None:
        self.events.append(event)

    def end(self, run: Run) -> None:
        self.ended.append(run)


def test_each_trial_has_every_model_once_in_an_order_of_its_own() -> None:
    found = tasks(MODELS, [SHORT], 8, seed=3)
    orders = [tuple(task.model for task in found if task.trial == trial) for trial in range(1, 9)]
    assert all(Counter(order) == Counter(MODELS) for order in orders)
    assert len(set(orders)) > 4
    assert [task.trial for task in found] == sorted(task.trial for task in found)


def test_the_order_follows_from_the_seed() -> None:
    assert tasks(MODELS, [SHORT], 3, seed=3) == tasks(MODELS, [SHORT], 3, seed=3)
    assert tasks(MODELS, [SHORT], 3, seed=3) != tasks(MODELS, [SHORT], 3, seed=4)


def test_every_trial_draws_other_random_numbers() -> None:
    seeds = {task.plan.seed for task in tasks(MODELS, [SHORT], 3, seed=3)}
    assert len(seeds) == 3


def test_a_model_is_started_loaded_watched_and_stopped() -> None:
    notes = Notes()
    found = measure_model(Task("selectors", SHORT, trial=2), notes, threading.Event())
    assert notes.begun == ["selectors"]
    assert notes.ended == [found]
    assert notes.events
    assert (found.model, found.trial, found.problem) == ("selectors", 2, None)
    assert audit.audit(found).valid
    seen = figures.figures(found)
    assert seen.served == 3
    assert seen.server.memory_bytes is not None
    assert seen.server.cpu_seconds is not None
    assert (seen.server.processes, seen.server.threads) == (1, 1)


def test_a_model_that_does_not_start_is_a_run_with_a_problem() -> None:
    notes = Notes()
    task = Task("thread", SHORT, options=("--no-such-option",))
    found = measure_model(task, notes, threading.Event())
    assert found.tally is None
    assert found.problem is not None
    assert "--no-such-option" in found.problem
    assert notes.ended == [found]


def put_on(conversation: Conversation, plan: Plan = SHORT) -> Run:
    with serving(conversation) as endpoint:
        return measure_found(Found(None, "known"), endpoint, plan, Notes(), threading.Event())


def test_a_server_that_was_not_watched_has_no_cost_but_figures() -> None:
    found = figures.figures(put_on(talk()))
    assert found.messages
    assert found.wrong == 0
    assert found.server.cpu_seconds is None


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


def test_a_server_that_hangs_up_is_said_to() -> None:
    found = put_on(lambda _: None)
    assert found.notes == ("the server hangs up, or says nothing, when it is sent a message",)


def test_any_server_can_be_driven_with_its_own_words() -> None:
    def redis(client: socket.socket) -> None:
        while read_exactly(client, 6) == b"PING\r\n":
            client.sendall(b"+PONG\r\n")

    plan = replace(SHORT, groups=(Group(3, request=b"PING\r\n", reply=b"+PONG\r\n"),))
    found = figures.figures(put_on(redis, plan))
    assert found.served == 3
    assert found.wrong == 0


def test_the_ceiling_is_measured_against_a_server_of_the_projects_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measure, "CEILING_SECONDS", 0.2)
    monkeypatch.setattr(measure, "CEILING_WARMUP_SECONDS", 0.05)
    slow = replace(SHORT, groups=(Group(3, think_seconds=5.0), Group(2, name="i", silent=True)))
    found = measure_ceiling(slow, threading.Event())
    assert isinstance(found, Ceiling)
    assert found.messages_per_second > 3 / 5.0 * 10  # nobody thinks while it is measured
    assert 0 < found.busiest_worker_cpu <= 1.1
    assert found.server_cpu_cores is not None


def test_silent_clients_have_no_ceiling() -> None:
    assert measure_ceiling(Plan((Group(2, silent=True),)), threading.Event()) is None


def test_the_ceiling_is_measured_when_the_engine_was_busy() -> None:
    assert not measure.ceiling_needed([replace(a_run(), tally=None)])
    assert not measure.ceiling_needed([replace(a_run(), tally=tally(worker=0.1))])
    assert measure.ceiling_needed([a_run(), replace(a_run(), tally=tally(worker=0.9))])


def test_pinning_leaves_the_other_cores_to_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "core_numbers", lambda: [0, 1, 2, 3])
    monkeypatch.setattr(measure, "worker_cores", lambda workers: [3, 2, 1, 0][:workers])
    assert measure.server_cores(replace(SHORT, workers=1)) is None
    assert measure.server_cores(replace(SHORT, workers=1, pin=True)) == [0, 1, 2]
    assert measure.server_cores(replace(SHORT, workers=4, pin=True)) is None


def test_long_bytes_are_shortened_for_people() -> None:
    assert measure.shortened(b"abc") == "b'abc'"
    assert measure.shortened(b"x" * 5000).endswith("... (5,000 bytes)")


def test_a_server_that_ends_during_the_run_leaves_its_last_words() -> None:
    program = (
        "import socket\n"
        "s = socket.create_server(('127.0.0.1', 0))\n"
        "print('listening on 127.0.0.1:%d' % s.getsockname()[1], flush=True)\n"
        "client, _ = s.accept()\n"
        "client.recv(1)\n"
        "print('out of luck', flush=True)\n"
    )
    task = Task("odd", SHORT, command=(sys.executable, "-c", program))
    found = measure_model(task, Notes(), threading.Event())
    assert any("out of luck" in note for note in found.notes)
    assert isinstance(found.endpoint, Endpoint)
