"""What a process tree costs, measured on trees whose cost is known."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from loadgen.record.monitor import Monitor, ProcessTree

MEGABYTE = 1024 * 1024

# Burns CPU by its own clock, so that the sum is known however busy the machine is.
BURN = "import time\nwhile time.process_time() < 0.3: pass\n"
TREE = f"""
import subprocess, sys
burn = {BURN!r}
for _ in range(2):
    subprocess.run([sys.executable, "-c", burn], check=True)  # come and gone
lasting = "import sys; print('up', flush=True); sys.stdin.read()"
child = subprocess.Popen([sys.executable, "-c", lasting], stdin=subprocess.PIPE)
print("ready", flush=True)
sys.stdin.read()
child.communicate()
"""


@contextmanager
def running(program: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.communicate()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def let_go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_children_that_came_and_went_are_counted() -> None:
    with running("import sys; print('up', flush=True); sys.stdin.readline()\n" + TREE) as process:
        assert line_of(process) == "up"
        monitor = Monitor(process.pid)
        monitor.window_opened()
        let_go_on(process)
        assert sorted((line_of(process), line_of(process))) == ["ready", "up"]
        monitor.window_closed()
        cost = monitor.cost()
    assert cost.cpu_seconds is not None
    assert cost.cpu_seconds >= 2 * 0.3 - 0.04  # the kernel counts in ticks of 10 ms
    assert cost.measured_seconds is not None
    assert cost.measured_seconds > 0
    assert cost.machine_busy_seconds is not None


MANY = """
import os, sys, time
while time.process_time() < 0.1: pass  # for some ticks: their split is told by no other count
told, tell = os.pipe()
for _ in range(30):
    if os.fork() == 0:
        os.read(told, 1)
        end = time.thread_time() + 0.005
        while time.thread_time() < end: pass
        os.write(1, b"done\\n")
        time.sleep(60)
print("ready", flush=True)
sys.stdin.readline()
os.write(tell, bytes(30))
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="others count in ticks alone")
def test_what_each_of_many_did_is_counted_though_it_was_less_than_a_tick() -> None:
    with running(MANY) as process:
        assert line_of(process) == "ready"
        monitor = Monitor(process.pid)
        monitor.window_opened()
        let_go_on(process)
        for _ in range(30):
            assert line_of(process) == "done"
        monitor.window_closed()
        for child in psutil.Process(process.pid).children():
            child.kill()
        cost = monitor.cost()
    assert cost.cpu_seconds is not None
    assert cost.cpu_seconds >= 30 * 0.005
    assert cost.effort.user_seconds is not None
    assert cost.effort.system_seconds is not None
    assert cost.effort.user_seconds + cost.effort.system_seconds >= 30 * 0.005


def test_processes_threads_and_memory_are_those_of_the_whole_tree() -> None:
    with running(TREE) as process:
        assert sorted((line_of(process), line_of(process))) == ["ready", "up"]
        tree = ProcessTree(process.pid)
        look = tree.look()
        assert look is not None
        assert (look.processes, look.threads) == (2, 2)
        whole = tree.memory_bytes()
        alone = ProcessTree(tree.members()[1].pid).memory_bytes()
        assert whole is not None
        assert alone is not None
        assert whole > alone > MEGABYTE
        assert tree.memory_kind in ("pss", "uss", "rss")


def test_the_peak_of_memory_is_kept() -> None:
    hold = "import sys; block = b'x' * (50 << 20); print('up', flush=True); sys.stdin.read()"
    with running(hold) as process:
        assert line_of(process) == "up"
        monitor = Monitor(process.pid)
        monitor.window_opened()
        cost = monitor.cost()
    assert cost.memory_bytes is not None
    assert cost.memory_bytes > 50 * MEGABYTE
    assert (cost.threads, cost.processes) == (1, 1)


def test_a_tree_that_has_ended_leaves_none_and_a_note() -> None:
    with running("") as process:
        process.wait()
        with Monitor(process.pid) as monitor:
            monitor.window_opened()
            monitor.window_closed()
    cost = monitor.cost()
    assert (cost.cpu_seconds, cost.memory_bytes, cost.processes) == (None, None, None)
    assert cost.note is not None


def test_without_a_process_only_the_machine_is_watched() -> None:
    with Monitor(None, "it is elsewhere") as monitor:
        monitor.window_opened()
        monitor.window_closed()
    cost = monitor.cost()
    assert cost.cpu_seconds is None
    assert cost.memory_bytes is None
    assert cost.threads is None
    assert cost.monitor_cpu_seconds is None
    assert cost.note == "it is elsewhere"
    assert cost.machine_busy_seconds is not None


def test_a_window_that_never_opened_was_not_measured() -> None:
    cost = Monitor(None).cost()
    assert cost.measured_seconds is None
    assert cost.machine_busy_seconds is None
