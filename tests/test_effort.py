"""What the kernel counts of processes, held against programs that are known to do just that."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import pytest

from loadgen.record import effort
from loadgen.record.effort import Effort, between, lock_waiters, read, threaded, total
from tests.servers import eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts this")

BURN = "end = time.thread_time() + 0.3\n    while time.thread_time() < end: pass"
FRAME = """
import mmap, os, sys, threading, time

def act():
    {act}

threads = []
print("ready", flush=True)
sys.stdin.readline()
act()
print("done", flush=True)
sys.stdin.readline()
"""


def effort_of(act: str, cores: set[int] | None = None) -> Effort:
    """What it took a program to do that, between two readings."""
    with subprocess.Popen(
        [sys.executable, "-c", FRAME.format(act=act)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        if cores:
            os.sched_setaffinity(process.pid, cores)
        before = read([process.pid])
        process.stdin.write("\n")
        assert process.stdout.readline() == "done\n"
        found = between(before, read([process.pid]))
        process.stdin.write("\n")
    return found


def known(value: float | None) -> float:
    assert value is not None
    return value


def test_who_computes_takes_user_time_and_never_gives_up_its_core() -> None:
    found = effort_of(BURN)
    assert known(found.user_seconds) + known(found.system_seconds) == pytest.approx(0.3, abs=0.06)
    assert known(found.voluntary_switches) < 20


def test_who_sleeps_takes_nothing() -> None:
    found = effort_of("time.sleep(1)")
    assert known(found.user_seconds) + known(found.system_seconds) <= 0.05
    assert known(found.runnable_seconds) < 0.8  # a busy machine lets it wait before and after


def test_who_waits_often_switches_often() -> None:
    found = effort_of("for _ in range(500): time.sleep(0.0001)")
    # Who loses its core just before it falls asleep may find its time over.
    assert known(found.voluntary_switches) == pytest.approx(500, abs=100)


def test_who_touches_pages_has_faults() -> None:
    found = effort_of(
        "block = mmap.mmap(-1, 4096 * 1000)\n    for n in range(1000): block[4096*n]=1"
    )
    assert 1000 <= known(found.page_faults) <= 1300


def test_who_shares_a_core_with_a_busy_program_waits_for_it() -> None:
    core = {min(os.sched_getaffinity(0))}
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            os.sched_setaffinity(busy.pid, core)
            found = effort_of(BURN, core)
        finally:
            busy.kill()
    assert known(found.runnable_seconds) > 0.1  # an even share would be 0.3
    assert known(found.forced_switches) > 0


def test_of_threads_that_ended_nothing_is_claimed() -> None:
    ended = "thread = threading.Thread(target=lambda: [time.sleep(0.001) for _ in range(9)] and 0)"
    burn = "thread = threading.Thread(target=lambda: sum(range(20_000_000)))"
    for made, is_known in (ended, True), (burn, False):  # what used no CPU can be passed over
        gone = 'while len(os.listdir("/proc/self/task")) > 1: pass'
        found = effort_of(f"{made}\n    thread.start(); thread.join()\n    {gone}")
        assert found.user_seconds is not None
        assert (found.voluntary_switches is not None) is is_known


def test_nothing_is_known_of_a_process_that_has_ended(tmp_path: Path) -> None:
    assert read([], tmp_path) is None
    assert read([1], tmp_path) is None
    assert between(None, read([os.getpid()])) == Effort()


def test_of_too_many_threads_only_the_times_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effort, "MOST_THREADS", 1)
    found = between(read([os.getpid()]), read([os.getpid()]))
    assert found.user_seconds is not None
    assert found.voluntary_switches is None


def test_what_is_not_known_of_one_is_not_known_of_all() -> None:
    one, other = Effort(1.0, 2.0, 3, 4, 5, 6.0), Effort(1.0, 1.0, 1, 1, None, 1.0)
    assert total([one, other]) == Effort(2.0, 3.0, 4, 5, None, 7.0)
    assert total([]) == Effort()
    assert len(fields(Effort)) == 6


@contextmanager
def threads(target: str) -> Iterator[int]:
    program = "import threading, time\nlock = threading.Lock(); lock.acquire()\n"
    program += f"def act():\n    {target}\n"
    program += "for _ in range(4): threading.Thread(target=act).start()\ntime.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program]) as process:
        try:
            eventually(lambda: bool(threaded([process.pid])), "it started no thread")
            yield process.pid
        finally:
            process.kill()


@pytest.mark.skipif(effort.FUTEX is None, reason="the number of futex(2) is not known here")
def test_threads_that_compute_wait_for_the_gil_and_those_at_a_lock_do_not() -> None:
    with threads("while True: pass") as pid:
        eventually(lambda: (lock_waiters([pid]) or 0) > 1, "nobody waited for the GIL")
    with threads("lock.acquire()") as pid:
        tasks = Path(f"/proc/{pid}/task")
        eventually(lambda: len(list(tasks.iterdir())) == 5, "not all threads were started")
        # Once each has come to the lock, none waits for the GIL any more.
        eventually(
            lambda: {lock_waiters([pid]) for _ in range(50)} == {0}, "a lock is taken for the GIL"
        )
