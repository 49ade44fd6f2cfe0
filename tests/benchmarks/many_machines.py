"""`python -m tests.benchmarks cluster`: what more machines cost the command that leads them.

Each has an agent and one load worker; all of them are this machine, over loopback. So what each
does for itself, such as starting an interpreter, is done by a few cores for all and takes longer
than on machines of their own; what the command does for one after the other is what it is, but for
the way there and back. Dask's own part is left out: one task for each machine.
"""

import argparse
import secrets
import statistics
import threading
import time
from dataclasses import dataclass
from itertools import pairwise

from tabulate import tabulate

from loadgen.cluster.cluster import joined
from loadgen.cluster.launch import launch
from loadgen.fleet.conductor import Fleet, ignore
from loadgen.fleet.server import ModelServer
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record.tally import Tally

HOST = "127.0.0.1"
# Few messages, so that the cores are free to keep time; enough for every histogram to have some.
THINK_SECONDS = 0.1
CLIENTS_EACH = 2
WINDOW_SECONDS = 1.0
# What a column of the curve stands for.
COLUMN_SECONDS = 0.05


@dataclass(frozen=True)
class Costs:
    """What it took with so many machines, in seconds but for their number.

    `agents` is from the first task to the last agent listening, `joining` for lines, facts and the
    first pings, `starting` for the lines to the workers, `ready` until the last of them is set up,
    `apart` between the first window that opened and the last, `doubt` what the clocks may be off,
    `merging` of a core for adding up, and `ending` until the last worker has ended.
    """

    machines: int
    agents: float
    joining: float
    starting: float
    ready: float
    apart: float
    doubt: float
    merging: float
    ending: float


COSTS = tuple(name for name in Costs.__dataclass_fields__ if name != "machines")


class _Timed(Fleet):
    """A fleet that notes how much of a core's time adding up took."""

    merging = 0.0

    def _add_up(self) -> Tally:
        began = time.thread_time()
        try:
            return super()._add_up()
        finally:
            self.merging = time.thread_time() - began


def costs(machines: int) -> Costs:
    """Have so many machines put a small load on a server, once."""
    key = secrets.token_bytes(32)
    names = [str(number) for number in range(machines)]
    laps = [time.perf_counter()]
    addresses = {name: (HOST, launch(HOST, key)) for name in names}
    laps.append(time.perf_counter())
    plan = Plan(
        (Group(CLIENTS_EACH * machines, think_seconds=THINK_SECONDS),),
        duration_seconds=WINDOW_SECONDS,
        warmup_seconds=0.2,
        workers=machines,
    )
    server = ModelServer("selectors", ("--reply-prefix", "received: "))
    with joined(addresses, key, names, None) as cluster, server.running(plan) as running:
        laps.append(time.perf_counter())
        with _Timed(plan, running.endpoint, ignore, threading.Event(), cluster.place) as fleet:
            laps.append(time.perf_counter())
            fleet.gather_ready()
            laps.append(time.perf_counter())
            fleet.start()
            fleet.measure_once(fleet.warm_up())
            tally = fleet.finish()
            ended = time.perf_counter()
        laps.append(time.perf_counter())
    late = [one.opened_late_seconds or 0.0 for one in tally.machines]
    doubt = [one.uncertainty_seconds or 0.0 for one in tally.machines]
    agents, joining, starting, ready, _ = (b - a for a, b in pairwise(laps))
    return Costs(
        machines, agents, joining, starting, ready, max(late) - min(late),
        max(doubt), fleet.merging, laps[-1] - ended,
    )  # fmt: skip


def median(every: list[Costs]) -> Costs:
    """Each cost by itself at its median."""
    return Costs(
        every[0].machines,
        *(statistics.median(getattr(one, name) for one in every) for name in COSTS),
    )


def curve(found: list[Costs]) -> str:
    """Bars of what goes by, once the agents are there, until the load may begin."""
    bars = []
    for one in found:
        bar, until = "", 0.0
        for mark, seconds in (("=", one.joining), ("-", one.starting), (".", one.ready)):
            until += seconds
            bar += mark * (round(until / COLUMN_SECONDS) - len(bar))
        bars.append(f"{one.machines:8}  {bar} {until:.2f} s")
    column = f"{COLUMN_SECONDS * 1e3:g} ms a column"
    legend = f"until the load may begin, {column}: = joining  - starting  . ready"
    return "\n".join([legend, *bars])


def main(words: list[str]) -> None:
    """Measure each number of machines a few times, and print the medians and a curve."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks cluster", description=__doc__)
    parser.add_argument("--machines", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32])
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args(words)
    found = [median([costs(many) for _ in range(asked.rounds)]) for many in asked.machines]
    lines = [
        [one.machines, *(f"{getattr(one, name) * 1e3:,.1f}" for name in COSTS)] for one in found
    ]
    print(tabulate(lines, ["machines", *COSTS], tablefmt="github", disable_numparse=True))
    print(f"in ms, medians of {asked.rounds}\n\n{curve(found)}")
