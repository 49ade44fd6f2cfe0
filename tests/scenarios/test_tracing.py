"""What `--trace` writes of every model: each client's stay, and each of its messages."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from concurrency_models.listener import address_text
from concurrency_models.trace import KEPT
from tests.clients import Client, answer
from tests.servers import START_METHODS, SUBJECTS, Subject, eventually, serving

Line = dict[str, Any]


def lines_of(path: Path) -> list[Line]:
    """Return the lines of a trace."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def stays_of(path: Path) -> list[Line]:
    """Return what the trace of a server that has stopped says of stays."""
    first, *stays, last = lines_of(path)
    assert first["version"] == 1
    assert first["began"] <= min(stay["ended"] for stay in stays)
    assert last["clients"] >= 1
    return stays


@pytest.mark.parametrize("subject", [*SUBJECTS, *START_METHODS], ids=str)
def test_a_message_is_followed_from_coming_to_going(subject: Subject, tmp_path: Path) -> None:
    file = tmp_path / "trace"
    with (
        serving(*subject.arguments, "--work", "--trace", str(file)) as server,
        Client(server.address) as client,
    ):
        name = address_text(client.socket.getsockname())
        assert client.ask(b"plain") == answer(b"plain")
        assert client.ask(b"sleep 3") == answer(b"3")
        assert client.ask(b"fib 18") == answer(b"2584")
    stays = stays_of(file)
    assert {stay["client"] for stay in stays} == {name}
    assert any(stay["accepted"] for stay in stays)
    handed = [stay for stay in stays if stay["begun"] is None]
    (talk,) = [stay for stay in stays if stay["begun"] is not None]
    assert all(stay["process"] != talk["process"] or talk["accepted"] for stay in handed)
    assert talk["left_out"] == 0
    before = talk["begun"]
    for received, answered, sent, cpu, thread, stretches in talk["messages"]:
        moments = [before, received, *(at for one in stretches for at in one), answered, sent]
        assert moments == sorted(moments)
        assert cpu is None or cpu > 0
        assert str(thread) in talk["threads"]
        before = sent
    assert before <= talk["ended"]
    plain, slept, computed = talk["messages"]
    assert sum(end - start for start, end in plain[5]) < 1e6
    assert slept[1] - slept[0] > 3e6  # it slept for 3 ms, and ran for next to nothing of them
    assert sum(end - start for start, end in slept[5]) < 1e6
    assert sum(end - start for start, end in computed[5]) > 0
    assert slept[3] > 0


def test_a_child_that_is_killed_loses_its_trace_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "trace"
    with (
        serving("--model", "process", "--trace", str(file)) as server,
        Client(server.address) as victim,
        Client(server.address) as other,
    ):
        assert victim.ask(b"mine") == answer(b"mine")
        assert other.ask(b"yours") == answer(b"yours")
        addresses = [address_text(one.socket.getsockname()) for one in (victim, other)]
        youngest = sorted(server.processes(), key=lambda process: process.pid)[1]
        os.kill(youngest.pid, signal.SIGKILL)
        assert victim.read_to_end() == b""
        eventually(lambda: len(server.processes()) == 2, "the child was not reaped")
    told = [stay["client"] for stay in stays_of(file) if stay["begun"] is not None]
    assert told == addresses[1:]


def test_the_first_and_the_last_messages_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "trace"
    count = 2 * KEPT + 30
    with (
        serving("--model", "selectors", "--trace", str(file)) as server,
        Client(server.address) as client,
    ):
        for number in range(count):
            if number == KEPT + 30:
                resumed = time.monotonic_ns()
            client.ask(b"%d" % number)
    (stay,) = stays_of(file)
    assert len(stay["messages"]) == 2 * KEPT
    assert stay["left_out"] == 30
    assert stay["messages"][KEPT - 1][2] < resumed < stay["messages"][KEPT][0]


def test_a_second_server_writes_over_the_trace_of_the_first(tmp_path: Path) -> None:
    file = tmp_path / "trace"
    for model in "iterative", "thread":
        with (
            serving("--model", model, "--trace", str(file)) as server,
            Client(server.address) as client,
        ):
            client.ask(b"hello")
    first, *_ = lines_of(file)
    assert first["model"] == "thread"
    assert len(stays_of(file)) == 1
