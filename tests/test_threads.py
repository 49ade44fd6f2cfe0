"""What several threads do to one server at a time, brought about on purpose: nothing is lost."""

import io
import pickle
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import pytest

from concurrency_models.accepting import Incoming
from concurrency_models.listener import open_listener
from concurrency_models.narration import say
from concurrency_models.server import Server
from concurrency_models.settings import Settings
from concurrency_models.shortage import PAUSE_SECONDS, Shortage
from concurrency_models.workers import Ledger, WorkerServer

MEET_SECONDS = 0.2
"""How long one thread waits for the other to come to the same place; a lock keeps it away."""


class Meeting:
    """Holds up whoever comes here until another thread does, or it is clear that none will."""

    def __init__(self) -> None:
        self._barrier = threading.Barrier(2)

    def attend(self) -> None:
        with suppress(threading.BrokenBarrierError):
            self._barrier.wait(MEET_SECONDS)


def both(act: Callable[[], object]) -> None:
    """Have two threads do the same."""
    threads = [threading.Thread(target=act) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.fixture
def sockets(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], tuple[socket.socket, ...]]]:
    """Makes pairs of sockets, servers' own among them, that are closed after the test."""

    def new_pair() -> tuple[socket.socket, ...]:
        made.extend(pair := new_socketpair())
        return pair

    made: list[socket.socket] = []
    new_socketpair = socket.socketpair
    monkeypatch.setattr(socket, "socketpair", new_pair)
    yield new_pair
    for one in made:
        one.close()


def test_clients_that_threads_of_a_worker_release_are_all_counted(
    sockets: Callable[[], tuple[socket.socket, ...]],
) -> None:
    class Slow(list[int]):
        """Between reading a count and writing it, another thread has its turn."""

        def __getitem__(self, place: Any) -> Any:
            value = super().__getitem__(place)
            meeting.attend()
            return value

    meeting = Meeting()
    ledger = Ledger(1, None)
    ledger.released = Slow([0])  # type: ignore[assignment]
    (listener, parent), clients = sockets(), list(sockets())
    worker = WorkerServer(Settings(), listener, 0, ledger, parent, False)
    both(lambda: worker.release(clients.pop()))
    assert list(ledger.released) == [2]


class ShortAtFirst(Incoming):
    """Other threads' clients have all memory when this one is to look for a client."""

    looks = 0

    def may_take(self, arrivals: select.poll) -> bool:
        self.looks += 1
        if self.looks == 1:
            raise MemoryError
        return super().may_take(arrivals)


def test_a_thread_that_accepts_outlives_a_shortage_of_memory(sockets: object) -> None:
    settings = Settings(port=0)
    server = Server(settings, open_listener(settings))
    with closing(socket.create_connection(server.listener.getsockname())) as client:
        for accepted in ShortAtFirst(server):
            assert accepted.getpeername() == client.getsockname()
            server.release(accepted)
            server.stop()
    assert server.accepted == 1


def test_the_switch_interval_holds_in_every_process_and_interpreter(sockets: object) -> None:
    """A child that inherits no memory gets a pickled server; a forked one has the parent's."""
    usual = sys.getswitchinterval()
    try:
        settings = Settings(switch_interval=0.25)
        pickled = pickle.dumps(Server(settings))
        assert sys.getswitchinterval() == 0.25
        sys.setswitchinterval(usual)
        pickle.loads(pickled)
        assert sys.getswitchinterval() == 0.25
    finally:
        sys.setswitchinterval(usual)


def test_a_warning_is_printed_once_though_two_threads_have_it(
    sockets: object,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class LongAgo(float):
        """When the last warning was; while one thread works out how long ago, another may too."""

        def __rsub__(self, now: float) -> float:
            meeting.attend()
            return now

    meeting = Meeting()
    short = Server(Settings())
    short._last_warning = LongAgo(0)
    both(lambda: short.warn("out of something"))
    assert capsys.readouterr().err == "concurrency_models: out of something\n"


class Writes(io.StringIO):
    """Notes what each call writes."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[str] = []

    def write(self, text: str) -> int:
        self.written.append(text)
        return super().write(text)


def test_a_line_is_one_write_so_that_no_other_thread_comes_between(
    sockets: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, err = Writes(), Writes()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    say("a client says b'hello'")
    Server(Settings()).warn("out of something")
    assert out.written == ["a client says b'hello'\n"]
    assert err.written == ["concurrency_models: out of something\n"]


def test_a_pause_that_begins_while_another_thread_sees_the_last_one_end_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def clock() -> float:
        """Says that the first pause is over; just then, another thread makes a second one."""
        monkeypatch.setattr(time, "monotonic", lambda: now + PAUSE_SECONDS)
        short.pause()
        return now + PAUSE_SECONDS

    now = 1000.0
    short = Shortage(lambda _: None)
    monkeypatch.setattr(time, "monotonic", lambda: now)
    short.pause()
    monkeypatch.setattr(time, "monotonic", clock)
    assert not short.seconds_left()
    assert short.seconds_left() == pytest.approx(PAUSE_SECONDS)
