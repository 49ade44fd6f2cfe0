"""Servers that others wrote: a real Redis and an echo made with socat, driven and counted.

Redis counts for itself, which our figures must equal. CI installs both; elsewhere what is missing
is skipped.
"""

import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from loadgen.fleet.measure import measure
from loadgen.fleet.server import FoundServer
from loadgen.fleet.task import Task
from loadgen.judge import figures
from loadgen.judge.figures import Figures
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.servers.found import find
from loadgen.show.progress import Progress
from tests.servers import WAIT_SECONDS

CLIENTS, MESSAGES = 5, 200


@contextmanager
def running(*command: str, ready: str) -> Iterator[re.Match[str]]:
    """Run a server until the block ends; gives the match of the line that says it is ready."""
    program = shutil.which(command[0])
    if program is None:
        pytest.skip(f"{command[0]} is not installed")
    with subprocess.Popen(
        [program, *command[1:]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        overdue = threading.Timer(WAIT_SECONDS, process.kill)
        overdue.start()
        try:
            yield first_match(process.stdout, ready)
        finally:
            overdue.cancel()
            process.terminate()


def first_match(lines: IO[str], pattern: str) -> re.Match[str]:
    found = next(filter(None, (re.search(pattern, line) for line in lines)), None)
    assert found is not None, "it ended before it was ready"
    return found


def drive(endpoint: Endpoint, group: Group, prefix: bytes = b"received: ") -> Figures:
    plan = Plan(
        (group,),
        reply_prefix=prefix,
        duration_seconds=None,
        messages_per_client=MESSAGES,
        family=endpoint.family,
    )
    found = find(endpoint)
    assert found.pid is not None
    watcher = Progress({found.name: 1}, quiet=True)
    task = Task(found.name, FoundServer(found, endpoint), plan)
    return figures.figures(measure(task, watcher, threading.Event()))


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Endpoint]:
    path = str(tmp_path / "redis.sock")
    with running(
        "redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--dir", str(tmp_path),
        ready="ready to accept connections",
    ):  # fmt: skip
        yield Endpoint("unix", path=path)


def redis_counters(endpoint: Endpoint) -> dict[str, int]:
    """What Redis itself counted, this question included."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(WAIT_SECONDS)
        client.connect(endpoint.path)
        client.sendall(b"INFO stats\r\n")
        text = ""
        while "total_commands_processed" not in text or not text.endswith("\r\n"):
            text += client.recv(65536).decode()
    return {name: int(value) for name, value in re.findall(r"(\w+):(\d+)\r\n", text)}


def test_redis_counts_as_many_pings_as_we_do(redis: Endpoint) -> None:
    before = redis_counters(redis)
    found = drive(redis, Group(CLIENTS, request=b"PING\r\n", reply=b"+PONG\r\n"))
    after = redis_counters(redis)
    assert found.answered == found.messages == CLIENTS * MESSAGES
    assert (found.wrong, found.failed, found.waiting) == (0, 0, 0)
    own_question = 1
    commands = after["total_commands_processed"] - before["total_commands_processed"]
    assert commands == CLIENTS * MESSAGES + own_question
    connections = after["total_connections_received"] - before["total_connections_received"]
    assert connections == CLIENTS + own_question
    assert found.server.memory_bytes is not None


def test_an_answer_that_redis_does_not_give_is_wrong(redis: Endpoint) -> None:
    found = drive(redis, Group(CLIENTS, request=b"ECHO hello\r\n", reply=b"$5\r\nHELLO\r\n"))
    assert found.answered == 0
    assert found.wrong == CLIENTS * MESSAGES


def test_churn_is_as_many_connections_for_redis_as_for_us(redis: Endpoint) -> None:
    before = redis_counters(redis)
    group = Group(CLIENTS, request=b"PING\r\n", reply=b"+PONG\r\n", messages_per_connection=4)
    found = drive(redis, group)
    after = redis_counters(redis)
    connections = after["total_connections_received"] - before["total_connections_received"]
    assert found.connections == connections - 1 == CLIENTS * MESSAGES // 4


def test_an_echo_made_with_socat_is_verified_byte_for_byte() -> None:
    with running(
        "socat", "-d", "-d", "TCP-LISTEN:0,fork,bind=127.0.0.1", "PIPE",
        ready=r"listening on AF=2 127\.0\.0\.1:(\d+)",
    ) as line:  # fmt: skip
        endpoint = Endpoint("inet", "127.0.0.1", int(line[1]))
        assert find(endpoint).name == "socat"
        found = drive(endpoint, Group(CLIENTS, size_bytes=3000), prefix=b"")
    assert found.answered == CLIENTS * MESSAGES
    assert (found.wrong, found.failed) == (0, 0)
    assert found.server.memory_bytes is not None
