"""`python -m tests.benchmarks`: the table of what was aimed at and what was reached.

In a round, the servers of both sides are started, and the sides take turns of less than a second:
what a neighbour on the machine takes away, for seconds at a time, it takes from both. A round's
ratio is that of what the two sides did in all of its turns. A row shows the median of the rounds'
ratios with the lowest and the highest. `python -m tests.benchmarks aa` is another command: how
often a server is called different from itself; `cluster` says what more machines cost.
"""

import argparse
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import psutil
from tabulate import tabulate

from loadgen.plan.group import Group
from loadgen.plan.plan import Plan

from . import false_alarms, many_machines, sides, silent
from .sides import MissingError, Running, Server

MIB = 1024 * 1024
MANY_CLIENTS = 10_000
FEW_CLIENTS = 10
# What one load worker can hold where a process may open 20,000 files.
SILENT_CLIENTS = 18_000
SIZES = {64: "64 B", 10 * 1024: "10 KiB", 100 * 1024: "100 KiB", 1000 * 1024: "1,000 KiB"}


@dataclass(frozen=True)
class Effort:
    """How long and how often to measure."""

    rounds: int
    turns: int
    seconds: float
    long_seconds: float


FULL = Effort(rounds=7, turns=4, seconds=0.7, long_seconds=60.0)
QUICK = Effort(rounds=2, turns=2, seconds=0.5, long_seconds=10.0)


@dataclass(frozen=True)
class Row:
    """One line of the table, ready to print."""

    what: str
    target: str
    reached: str
    detail: str


Client = Callable[[Running, float], float]


def ratio_row(
    what: str,
    target: float,
    effort: Effort,
    ours: tuple[Server, Client],
    other: tuple[Server, Client],
) -> Row:
    """Let both sides take turns and compare them."""
    rates: tuple[list[float], list[float]] = ([], [])
    ratios = []
    for _ in range(effort.rounds):
        done = [0.0, 0.0]
        with ours[0].running() as our_server, other[0].running() as other_server:
            both = ((0, ours[1], our_server), (1, other[1], other_server))
            for turn in range(effort.turns):
                # Who goes first changes: what one side leaves behind is not always the other's.
                for side, client, server in both if turn % 2 == 0 else reversed(both):
                    rate = client(server, effort.seconds)
                    done[side] += rate
                    rates[side].append(rate)
        ratios.append(done[0] / done[1])
    medians = [statistics.median(reached) for reached in rates]
    return Row(
        what,
        f"at least {target:.2f}",
        f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
        f"{medians[0]:,.0f}/s against {medians[1]:,.0f}/s",
    )


def engine_rows(effort: Effort) -> Iterator[Row]:
    """The engine against other clients, all on the C echo server."""
    server = sides.c_server()
    others: tuple[tuple[str, float, Client], ...] = (
        ("C epoll client", 0.80, sides.c_client),
        ("blocking process-per-client", 1.70, sides.blocking_client),
        ("locust, raw socket user", 2.50, sides.locust_client),
    )
    for name, target, client in others:
        what = f"engine, against {name}"
        try:
            yield ratio_row(what, target, effort, (server, sides.engine_client), (server, client))
        except MissingError as reason:
            yield Row(what, f"at least {target:.2f}", "not measured", str(reason))
    # Where other work takes turns on the cores, this says more than messages per second do.
    yield ratio_row(
        "the same per second of the client's CPU, against C",
        0.80,
        effort,
        (server, sides.engine_messages_per_cpu_second),
        (server, sides.c_messages_per_cpu_second),
    )


def model_rows(effort: Effort) -> Iterator[Row]:
    """Lasting connections: models against their bare loops, under the C client."""
    for name in ("selectors", "thread", "process", "socketserver"):
        yield ratio_row(
            f"{name}, against its bare loop",
            0.85,
            effort,
            (sides.model_server(name), sides.c_client),
            (sides.bare_server(name), sides.c_client),
        )
    yield ratio_row(
        "selectors, against the C server",
        0.65,
        effort,
        (sides.model_server("selectors"), sides.c_client),
        (sides.c_server("received: "), sides.c_client),
    )


def trace_rows(effort: Effort) -> Iterator[Row]:
    """What a trace costs: models that write one against the same without, under the C client."""
    for name in ("selectors", "thread", "process", "socketserver", "asyncio-streams"):
        yield ratio_row(
            f"{name} with a trace, against none",
            0.90,
            effort,
            (sides.traced_server(name), sides.c_client),
            (sides.model_server(name), sides.c_client),
        )


def size_rows(effort: Effort) -> Iterator[Row]:
    """Messages of all sizes: models against servers that copy nothing and fault no page."""
    for name in ("thread", "process", "socketserver", "selectors", "iterative"):
        clients = 1 if name == "iterative" else FEW_CLIENTS
        model = sides.model_server(name)
        for size, text in SIZES.items():
            client = sides.c_client_of(size, clients)
            row = ratio_row(
                f"{name}, {text}, against its lean loop",
                0.70,
                effort,
                (model, client),
                (sides.lean_server(name), client),
            )
            with model.running() as running:
                faults = sides.page_faults_per_message(running, size, clients, effort.seconds)
            yield replace(row, detail=f"{row.detail}; {faults:.2f} page faults a message")


def ceiling_rows(effort: Effort) -> Iterator[Row]:
    """The engine's own ceiling for messages of all sizes: on a server that does nothing."""
    server = sides.null_server()
    for size, text in SIZES.items():
        yield ratio_row(
            f"engine's ceiling, {text}, against the C client",
            0.60,
            effort,
            (server, sides.engine_client_of(size, FEW_CLIENTS)),
            (server, sides.c_client_of(size, FEW_CLIENTS)),
        )


def churn_rows(effort: Effort) -> Iterator[Row]:
    """Short connections: models against their bare loops, under the C client."""
    for name in ("iterative", "process", "thread", "socketserver", "selectors"):
        yield ratio_row(
            f"churn: {name}, against its bare loop",
            0.85,
            effort,
            (sides.model_server(name), sides.c_churn),
            (sides.bare_server(name), sides.c_churn),
        )
    with sides.model_server("process").running() as running:
        rates = [sides.c_churn(running, effort.seconds) for _ in range(max(4, effort.rounds))]
    yield Row(
        "churn: process, its last run against its first",
        "about 1",
        f"{rates[-1] / rates[0]:.2f}",
        ", ".join(f"{rate:,.0f}/s" for rate in rates),
    )


def crowd_rows(effort: Effort) -> Iterator[Row]:
    """Ten thousand clients of the selectors model, all talking."""
    with sides.model_server("selectors").running() as running:
        plan = Plan((Group(MANY_CLIENTS, size_bytes=sides.SIZE),), timeout_seconds=30.0)
        tally = sides.engine_tally(running, plan, max(effort.seconds, 3.0))
        server_bytes = psutil.Process(running.pid).memory_full_info().uss
    group = tally.groups[0]
    what = f"{MANY_CLIENTS:,} clients of selectors: "
    served = f"{group.served:,} served, errors {group.errors or 'none'}"
    yield Row(what + "served", "every one, no error", served, f"{group.wrong} wrong replies")
    connecting = f"{tally.connecting_seconds:.2f} s"
    yield Row(what + "connecting", "under 10 s", connecting, f"{group.connected:,} connected")
    engine = f"{tally.engine_memory_bytes / MIB:.0f} MiB"
    yield Row(what + "engine memory", "under 150 MiB", engine, "peak RSS")
    yield Row(what + "server memory", "under 150 MiB", f"{server_bytes / MIB:.0f} MiB", "USS after")


def silent_rows(effort: Effort) -> Iterator[Row]:
    """What a crowd that says nothing costs either side, while ten others talk now and then."""
    for what, options in (("", ()), (", under an idle timeout", ("--idle-timeout", "60"))):
        pairs = list(silent.costs(effort.rounds, SILENT_CLIENTS, 3.0, *options))
        for side in ("worker", "server"):
            more = [getattr(many, side) - getattr(none, side) for none, many in pairs]
            yield Row(
                f"{SILENT_CLIENTS:,} silent clients: CPU of the {side}{what}",
                "under 0.05 cores",
                f"{statistics.median(more):.3f} ({min(more):.3f} to {max(more):.3f})",
                f"{statistics.median(getattr(none, side) for none, _ in pairs):.3f} without them",
            )


def memory_rows(effort: Effort) -> Iterator[Row]:
    """The engine's memory after a short and a long run of the same load."""
    plan = Plan((Group(sides.CLIENTS, size_bytes=sides.SIZE),))
    with sides.c_server().running() as running:
        peaks = [
            sides.engine_tally(running, plan, seconds).engine_memory_bytes / MIB
            for seconds in (5.0, effort.long_seconds)
        ]
    yield Row(
        f"engine memory after 5 s and {effort.long_seconds:.0f} s",
        "the same",
        f"{peaks[0]:.1f} and {peaks[1]:.1f} MiB",
        "peak RSS",
    )


SUBJECTS: dict[str, Callable[[Effort], Iterator[Row]]] = {
    "engine": engine_rows,
    "models": model_rows,
    "trace": trace_rows,
    "sizes": size_rows,
    "ceiling": ceiling_rows,
    "churn": churn_rows,
    "crowd": crowd_rows,
    "silent": silent_rows,
    "memory": memory_rows,
}


def main() -> None:
    """Measure what was asked for and print the table, row by row on the way."""
    others = {"aa": false_alarms.main, "cluster": many_machines.main}
    if sys.argv[1:] and sys.argv[1] in others:
        others[sys.argv[1]](sys.argv[2:])
        return
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("subject", nargs="*", help=f"any of {', '.join(SUBJECTS)}; default all")
    parser.add_argument("--quick", action="store_true", help="a look, not a result")
    parser.add_argument("--rounds", type=int, help="how often each side of a ratio runs")
    arguments = parser.parse_args()
    unknown = set(arguments.subject) - set(SUBJECTS)
    if unknown:
        parser.error(f"unknown subject {', '.join(unknown)}; choose from {', '.join(SUBJECTS)}")
    effort = QUICK if arguments.quick else FULL
    if arguments.rounds:
        effort = replace(effort, rounds=arguments.rounds)
    rows: list[Row] = []
    for name in arguments.subject or SUBJECTS:
        try:
            for row in SUBJECTS[name](effort):
                print(f"  {row.what}: {row.reached}", file=sys.stderr, flush=True)
                rows.append(row)
        except MissingError as reason:
            rows.append(Row(name, "", "not measured", str(reason)))
    cells = [(row.what, row.target, row.reached, row.detail) for row in rows]
    print(tabulate(cells, headers=("what", "target", "reached", "rates"), tablefmt="github"))


if __name__ == "__main__":
    main()
