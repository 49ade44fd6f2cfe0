"""When something runs out, those in service stay in it; others wait, and none is lost."""

import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from concurrency_models.talk import frame
from tests.clients import Client, answer, check_served, crowd, readable
from tests.servers import (
    CONCURRENT,
    CPYTHON_OUT_OF_MEMORY,
    PYTHON,
    ROOT,
    START_METHODS,
    SUBJECTS,
    WAIT_SECONDS,
    ServerProcess,
    Subject,
    eventually,
    serving,
)

AT_ONCE = pytest.mark.parametrize("subject", CONCURRENT, ids=str, indirect=True)
WITH_START_METHODS = pytest.mark.parametrize(
    "subject", [*SUBJECTS, *START_METHODS], ids=str, indirect=True
)
EVERY = pytest.mark.parametrize("subject", SUBJECTS, ids=str, indirect=True)

MOST_BUSY = 0.1
"""The share of a core that a server may take while it is short of something; who spins takes all.
"""

WATCHED_SECONDS = 0.6
"""How long to measure that: 60 of the ticks by which the kernel counts CPU time."""

ENOUGH = 80
"""More clients than a server short of descriptors, threads or processes has room for."""


def check_starved(server: ServerProcess, shortage: str) -> None:
    """Judge a server that is short of something: says so, once a second, and does not spin."""
    server.err.wait_for(shortage)
    lines, begun = len(server.err.lines), time.monotonic()
    assert server.busy_share(WATCHED_SECONDS) < MOST_BUSY
    assert len(server.err.lines) - lines <= time.monotonic() - begun + 1


def check_shortage(server: ServerProcess, subject: Subject, shortage: str) -> None:
    """Send in more clients than there is room for; each is served as soon as others leave."""

    def short() -> bool:
        return any(shortage in line for line in server.err.lines)

    processes = len(server.processes()) + subject.helpers
    check_served(server.address)
    eventually(lambda: len(server.processes()) == processes, "a process is left")
    descriptors = server.descriptors()
    with ExitStack() as stack:
        clients: list[Client] = []
        while not short() and len(clients) < ENOUGH:
            clients.append(stack.enter_context(Client(server.address)))
            clients[-1].send(b"here I am")
            eventually(lambda: short() or bool(readable(clients[-1:], 0.01)), "no sign of it")
        if short():  # else it needs nothing for a client that there was not enough of
            assert clients[0].receive() == answer(b"here I am")
            check_starved(server, shortage)
            assert clients[0].ask(b"still there?") == answer(b"still there?")
            clients.pop(0).socket.close()
        while clients:
            arrived = readable(clients, WAIT_SECONDS)
            assert arrived, f"{len(clients)} clients were never served"
            for client in arrived:
                assert client.receive() == answer(b"here I am")
                client.socket.close()
                clients.remove(client)
    check_served(server.address)
    eventually(lambda: len(server.processes()) == processes, "a process is left")
    if not subject.helpers:  # a fork server's children end unnoticed until the next one comes
        eventually(lambda: server.descriptors() <= descriptors, "a descriptor is left")


@pytest.mark.parametrize("subject", [*CONCURRENT, *START_METHODS], ids=str, indirect=True)
def test_more_clients_than_descriptors(subject: Subject) -> None:
    few = ("sh", "-c", 'ulimit -n 32; exec "$@"', "sh")
    with serving(*subject.arguments, "--workers", "2", warns=True, wrapper=few) as server:
        check_shortage(server, subject, "out of file descriptors")


def test_a_stop_while_asyncio_pauses_for_descriptors() -> None:
    """It comes back after a second to a listener that is closed by then."""
    few = ("sh", "-c", 'ulimit -n 20; exec "$@"', "sh")
    with (
        serving("--model", "asyncio-server", "--grace", "20", warns=True, wrapper=few) as server,
        crowd(server.address, 20) as clients,
    ):
        assert clients[0].ask(b"here I am") == answer(b"here I am")
        server.err.wait_for("out of file descriptors")
        clients[0].socket.sendall(frame("length", b"x" * 75)[:4])
        server.process.terminate()
        for _ in range(75):  # longer than that second
            clients[0].socket.sendall(b"x")
            time.sleep(0.02)
        clients[0].check_last_words(answer(b"x" * 75))
        assert server.exit_status() == 0


@EVERY
def test_not_a_descriptor_left(subject: Subject) -> None:
    with serving(*subject.arguments, warns=True) as server:
        processes = len(server.processes())
        check_served(server.address)
        eventually(lambda: len(server.processes()) == processes, "a process is left")
        with no_more_descriptors(server), unserved_client(server, subject) as client:
            check_starved(server, "out of file descriptors")
            assert not readable([client], 0)
        check_served(server.address)


@EVERY
def test_a_shortage_that_ends_between_two_questions(subject: Subject) -> None:
    """Who asks whether to watch the listener, and then for how long not to, may miss its end."""
    short = (PYTHON.executable, "-m", "tests.as_short_at_first")
    with serving(*subject.arguments, wrapper=short) as server:
        check_served(server.address)


@contextmanager
def unserved_client(server: ServerProcess, subject: Subject) -> Iterator[Client]:
    """Send in clients until one is not served.

    A process that is blocked in accept(2) has taken the descriptor for its next client before.
    """
    for _ in range((subject.model.at_once or 0) + 1):
        with Client(server.address) as client:
            client.send(b"here I am")
            if not readable([client], 0.8):
                yield client
                return
            assert client.receive() == answer(b"here I am")
    raise AssertionError("all were served, without a descriptor")


@contextmanager
def no_more_descriptors(server: ServerProcess) -> Iterator[None]:
    """Let no process of the server open anything meanwhile.

    With half as many descriptors allowed as are there, all of those stay and no further one can be
    had; with none, poll(2) would refuse to look at several.
    """
    before = {}
    for process in server.processes():
        before[process.pid] = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        limits = max(3, process.num_fds() // 2), before[process.pid][1]
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, limits)
    yield
    for pid, limits in before.items():
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


@EVERY
def test_more_clients_than_memory(subject: Subject) -> None:
    """Who can't be served is let go, in one sentence; the others go on, and newcomers wait."""
    half = 700_000
    message = bytes(1_000_000)
    framed = frame("length", message)
    with serving(*subject.arguments, warns=True) as server, ExitStack() as stack:
        processes = len(server.processes())
        # A thread that is still starting when memory is short would never come to serve.
        with crowd(server.address, subject.model.at_once or 1) as clients:
            for client in clients:
                assert client.ask(b"is anybody there?") == answer(b"is anybody there?")
        eventually(lambda: len(server.processes()) == processes, "a process is left")
        clients = []
        with little_more_memory(server):
            for _ in range(min(ENOUGH // 2, subject.model.at_once or ENOUGH)):
                clients.append(stack.enter_context(Client(server.address)))
                send_if_taken(clients[-1], framed[:half])
            answered = 0
            for client in clients:
                answered += send_if_taken(client, framed[half:]) and is_answered(client, message)
                client.socket.close()
        # A process for each client, or few of them at a time, may have had enough.
        assert answered == len(clients) or server.err.lines
        for line in server.err.lines:
            assert "out of " in line or line == CPYTHON_OUT_OF_MEMORY
        check_served(server.address)
        eventually(lambda: len(server.processes()) == processes, "a process is left")


MORE_BYTES = 12 << 20
"""How much address space a server may take beyond what it has: a thread's stack is 8 MiB."""


@contextmanager
def little_more_memory(server: ServerProcess) -> Iterator[None]:
    """Let no process of the server, nor its children, have much more memory meanwhile."""
    before = server.processes()
    for process in before:
        limits = process.memory_info().vms + MORE_BYTES, resource.RLIM_INFINITY
        resource.prlimit(process.pid, resource.RLIMIT_AS, limits)
    yield
    for process in server.processes():
        with suppress(ProcessLookupError):
            unlimited = resource.RLIM_INFINITY, resource.RLIM_INFINITY
            resource.prlimit(process.pid, resource.RLIMIT_AS, unlimited)


def send_if_taken(client: Client, data: bytes) -> bool:
    """Send, and return whether the connection was still there for it."""
    try:
        client.socket.sendall(data)
    except ConnectionError:
        return False
    return True


def is_answered(client: Client, message: bytes) -> bool:
    """Receive the answer; return whether there was one: whoever was let go gets none."""
    try:
        right = client.receive() == answer(message)
    except (EOFError, ConnectionError):
        return False
    assert right
    return True


def as_somebody_with_few_processes() -> tuple[str, ...]:
    """Return a command that runs another as a user who may have 20 processes and threads.

    The limit does not hold for root, and counts all that a user runs; so this takes a user who runs
    nothing else, another one in each process that tests, who may read what root may read.
    """
    somebody = str(54_321 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]))
    become = ("setpriv", "--reuid", somebody, "--regid", somebody, "--clear-groups")
    read = ("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")
    return (*become, *read, "prlimit", "--nproc=20")


def can_run_as_somebody() -> bool:
    if os.geteuid() != 0 or not shutil.which("setpriv") or not shutil.which("prlimit"):
        return False
    probe = [*as_somebody_with_few_processes(), sys.executable, "-c", "import concurrency_models"]
    return subprocess.run(probe, cwd=ROOT, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not can_run_as_somebody(), reason="needs root, to run a server as another user")
@AT_ONCE
def test_more_clients_than_threads_or_processes(subject: Subject) -> None:
    few = as_somebody_with_few_processes()
    with serving(*subject.arguments, "--workers", "2", warns=True, wrapper=few) as server:
        check_shortage(server, subject, "out of processes or threads")


@WITH_START_METHODS
def test_max_clients(subject: Subject) -> None:
    with (
        serving(*subject.arguments, "--max-clients", "3") as server,
        crowd(server.address, 10) as clients,
    ):
        for number, client in enumerate(clients):
            client.send(b"%d" % number)
        waiting = dict(zip(clients, range(len(clients)), strict=True))
        in_service: list[Client] = []
        full = min(3, subject.model.at_once or 3)
        while waiting:
            arrived = readable(waiting, 0.02 if in_service else WAIT_SECONDS)
            for client in arrived:
                assert client.receive() == answer(b"%d" % waiting.pop(client))
                in_service.append(client)
            assert 0 < len(in_service) <= 3
            if not arrived:
                if len(in_service) == full and len(in_service) + len(waiting) == len(clients):
                    assert server.busy_share(WATCHED_SECONDS) < MOST_BUSY
                for client in in_service:
                    assert client.ask(b"still there?") == answer(b"still there?")
                in_service.pop(0).socket.close()


@EVERY
def test_idle_timeout(subject: Subject) -> None:
    with serving(*subject.arguments, "--idle-timeout", "0.8") as server:
        with crowd(server.address, min(2, subject.model.at_once or 2)) as clients:
            silent, *busy = clients
            assert silent.ask(b"my last words") == answer(b"my last words")
            while busy and not readable([silent], 0.02):
                assert busy[0].ask(b"still there?") == answer(b"still there?")
            silent.check_last_words()
        with Client(server.address) as client:
            client.socket.sendall(b"\0\0\0\5half")
            client.check_last_words()
        check_served(server.address)


@EVERY
def test_nothing_is_left_of_those_who_have_left(subject: Subject) -> None:
    """Neither descriptors nor processes, be they zombies: the same after 20 clients and 500."""
    with serving(*subject.arguments) as server:
        at_once = min(20, subject.model.at_once or 20)

        def visit() -> None:
            with crowd(server.address, at_once) as clients:
                for client in clients:
                    client.send(b"here I am")
                for client in clients:
                    assert client.receive() == answer(b"here I am")

        def left() -> tuple[int, float]:
            return len(server.processes()), server.descriptors()

        processes, descriptors = left()
        visit()
        eventually(lambda: len(server.processes()) == processes, "a process is left")
        for _ in range(500 // at_once):
            visit()
        # One more may be open: libuv opens /dev/null for good when the first client comes.
        allowed = [(processes, descriptors), (processes, descriptors + 1)]
        eventually(lambda: left() in allowed, "something is left")
        assert not server.zombies()
