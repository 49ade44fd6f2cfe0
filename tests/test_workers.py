"""Worker processes: one that dies is replaced, and what it had counted and was allowed stays."""

import ctypes
import mmap
import multiprocessing
import os
import signal
import subprocess
import sys
from functools import partial

import psutil
import pytest

from concurrency_models.backends import MODELS
from concurrency_models.workers import Tokens, how_it_ended
from tests.clients import Client, answer, check_served, crowd
from tests.servers import ROOT, ServerProcess, Subject, eventually, serving

WORKERS = [Subject(MODELS[name]) for name in ("prefork", "reuseport", "fd-passing")]


def workers_of(server: ServerProcess) -> list[psutil.Process]:
    return [process for process in server.processes() if process.pid != server.process.pid]


def is_replaced(server: ServerProcess, before: list[psutil.Process]) -> bool:
    """Whether there are as many workers as before, and others."""
    now = workers_of(server)
    return len(now) == len(before) and not set(now) & set(before)


@pytest.mark.parametrize("subject", WORKERS, ids=str)
def test_a_worker_that_dies_is_replaced(subject: Subject) -> None:
    with serving(*subject.arguments, "--workers", "2", "--max-clients", "2", warns=True) as server:
        victims = workers_of(server)
        assert len(victims) == 2
        with crowd(server.address, 2) as clients:
            for client in clients:
                assert client.ask(b"here I am") == answer(b"here I am")
            for victim in victims:
                victim.kill()
            for client in clients:
                with pytest.raises((EOFError, ConnectionError)):
                    client.ask(b"still there?")
        with crowd(server.address, 2) as clients:  # the room that the dead took up is free again
            for client in clients:
                assert client.ask(b"here I am") == answer(b"here I am")
        eventually(lambda: len(workers_of(server)) == 2, "a worker is missing")
        server.err.wait_for(r"worker process \d+ was ended by SIGKILL; another takes its place")
        assert server.stop(signal.SIGINT) == 0
        line = server.out.wait_for("accepted 4 clients")
        by_worker = line.partition("by worker: ")[2].rstrip(")").split()
        assert len(by_worker) == 2
        assert sum(map(int, by_worker)) == 4


def test_a_pool_of_executors_that_broke_is_replaced() -> None:
    """The library gives up the pool; whoever comes next is served all the same, and each once."""
    arguments = ("--model", "executor-processes", "--workers", "2")
    with serving(*arguments, warns=True) as server, crowd(server.address, 2) as clients:
        victims = workers_of(server)
        assert len(victims) == 2
        for client in clients:
            assert client.ask(b"here I am") == answer(b"here I am")
        victims[0].kill()
        for client in clients:
            assert client.read_to_end() == b""
        with crowd(server.address, 2) as others:
            for client in others:
                assert client.ask(b"here I am") == answer(b"here I am")
        check_served(server.address)
        server.err.wait_for("a worker process was ended, and its pool with it; a new pool starts")
        eventually(lambda: len(workers_of(server)) == 2, "a worker is left, or missing")
        assert server.stop() == 0
        server.out.wait_for("accepted 5 clients")


def test_a_worker_that_dies_early_is_replaced_though_nobody_comes() -> None:
    """It has to wait for its turn to start, and nothing else happens meanwhile."""
    with serving("--model", "fd-passing", "--workers", "1", warns=True) as server:
        for _ in range(2):
            before = workers_of(server)
            before[0].kill()
            eventually(partial(is_replaced, server, before), "it is not replaced")


def test_a_worker_that_takes_another_ones_place_holds_no_client_but_its_own() -> None:
    with serving("--model", "fd-passing", "--workers", "1", warns=True) as server:
        (victim,) = workers_of(server)
        victim.kill()
        with Client(server.address) as client:  # waits for the worker, in the parent's hands
            assert client.ask(b"here I am") == answer(b"here I am")
            client.hang_up()
            assert client.read_to_end() == b""  # held twice, the connection would stay open


def test_a_shared_port_is_not_shared_with_another_server() -> None:
    with serving("--model", "reuseport") as server:
        port = str(server.address[1])
        command = [sys.executable, "-m", "concurrency_models.run", "--model", "reuseport"]
        second = subprocess.run(
            [*command, "--port", port], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert second.returncode == 1
        assert f"port {port} on 127.0.0.1 is in use" in second.stderr
        check_served(server.address)


def test_a_client_goes_to_the_worker_that_has_the_fewest() -> None:
    with serving("--model", "fd-passing", "--workers", "3") as server:
        with crowd(server.address, 9) as clients:
            for client in clients:
                assert client.ask(b"here I am") == answer(b"here I am")
            with Client(server.address) as one_more:
                assert one_more.ask(b"and I") == answer(b"and I")
        assert server.stop() == 0
        line = server.out.wait_for("accepted 10 clients")
        spread = line.partition("by worker: ")[2].rstrip(")").split()
        assert sorted(spread) == ["3", "3", "4"]


def test_tokens_are_no_more_than_there_are() -> None:
    tokens = Tokens(2)
    assert [tokens.take() for _ in range(3)] == [True, True, False]
    tokens.give_back()
    assert [tokens.take() for _ in range(2)] == [True, False]


def test_more_tokens_than_a_pipe_takes_by_itself() -> None:
    assert Tokens(100_000).count == 100_000


@pytest.mark.parametrize("count", [61_442, 65_535, 65_536, 131_072])
def test_what_was_taken_can_be_given_back_however_many_there_are(count: int) -> None:
    tokens = Tokens(count)
    assert tokens.count == count
    for _ in range(2 * mmap.PAGESIZE):
        assert tokens.take()
        tokens.give_back()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGRTMIN + 1])
def test_how_a_worker_ended_is_said_for_every_signal(number: int) -> None:
    process = multiprocessing.get_context("fork").Process(target=kill_itself, args=(int(number),))
    process.start()
    process.join()
    assert f"process {process.pid} was ended by " in how_it_ended(process)


def kill_itself(number: int) -> None:
    os.kill(os.getpid(), number)


def test_a_worker_stops_whichever_of_its_threads_the_signal_goes_to() -> None:
    """One that is blocked, and whose signal another thread has taken, is woken all the same."""
    arguments = ("--model", "process-threads", "--workers", "1")
    with serving(*arguments, warns=True) as server, Client(server.address) as client:
        assert client.ask(b"here I am") == answer(b"here I am")
        (worker,) = workers_of(server)
        (other,) = (thread.id for thread in worker.threads() if thread.id != worker.pid)
        libc = ctypes.CDLL(None)
        if not hasattr(libc, "tgkill"):
            pytest.skip("this C library cannot signal a thread of another process")
        assert libc.tgkill(worker.pid, other, signal.SIGTERM) == 0
        client.check_last_words()
        client.socket.close()
        eventually(lambda: workers_of(server) != [worker], "it has not ended")
        server.err.wait_for("another takes its place")
