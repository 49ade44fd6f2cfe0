"""What silent clients cost while nothing happens to them: CPU of a load worker, and of a server.

Ten clients talk with pauses of 20 ms, alone and beside a crowd. What the crowd adds to the CPU of
either side within the window is what each of its clients costs per second, though it says nothing.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass

from loadgen.fleet.measure import Silent, measure
from loadgen.fleet.server import ModelServer
from loadgen.fleet.task import Task
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan

TALKING = Group(10, name="busy", think_seconds=0.020)


@dataclass(frozen=True)
class Cost:
    """CPU seconds per second of the window, of the load worker and of the server."""

    worker: float
    server: float


def cost(silent: int, seconds: float, *options: str) -> Cost:
    """Measure one worker with so many silent clients against a selectors server."""
    crowd = (Group(silent, name="silent", silent=True),) if silent else ()
    plan = Plan((TALKING, *crowd), duration_seconds=seconds, timeout_seconds=60.0)
    server = ModelServer("selectors", ("--backlog", "4096", *options))
    run = measure(Task("selectors", server, plan), Silent(), threading.Event())
    assert run.tally is not None, run.problem
    assert all(group.connected == group.clients for group in run.tally.groups)
    worker, spent = run.tally.engine_cpu_seconds, run.server
    assert worker is not None
    assert spent is not None
    assert spent.cpu_seconds is not None
    assert spent.measured_seconds is not None
    return Cost(worker / run.tally.window_seconds, spent.cpu_seconds / spent.measured_seconds)


def costs(rounds: int, silent: int, seconds: float, *options: str) -> Iterator[tuple[Cost, Cost]]:
    """Pairs of costs, without and with the crowd, in turns."""
    for _ in range(rounds):
        yield cost(0, seconds, *options), cost(silent, seconds, *options)
