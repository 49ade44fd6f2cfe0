"""Traced runs made by hand: who sent and got what when, and what the server did meanwhile."""

from collections.abc import Sequence
from dataclasses import replace

from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record.result import Run
from loadgen.record.trace import ClientTrace, Handling, Piece, ServerTrace, Stay
from tests import runs

START = 100_500_000_000
"""Where the window of a run made by hand opens, in ns."""


def ms(at: float) -> int:
    return START + round(at * 1e6)


def handled(start: float, end: float, *pieces: tuple[float, float]) -> Handling:
    worked: list[Piece] = [(ms(one), ms(other)) for one, other in pieces]
    return ms(start), ms(end), ms(end), 1, 7, worked


def traced(sides: Sequence[tuple[Group, ClientTrace, Stay | None]], window: float = 0.1) -> Run:
    """A run of those clients, each with a stay at the server or none."""
    tallies = []
    for group, client, _ in sides:
        tallies.append(runs.group_tally(1, name=group.name))
        tallies[-1].traces = [client]
    plan = Plan(tuple(group for group, _, _ in sides), trace_clients=1)
    stays = tuple(stay for _, _, stay in sides if stay)
    return replace(
        runs.run(plan=plan),
        tally=runs.tally(*tallies, window=window),
        trace=ServerTrace(1, ms(-50), stays=stays),
    )


def client(name: str, *exchanges: tuple[float, float | None]) -> ClientTrace:
    return ClientTrace(
        0,
        [name],
        [(ms(-20), ms(-19))],
        [(ms(sent), ms(sent), None if reply is None else ms(reply)) for sent, reply in exchanges],
    )


def stay(name: str, *messages: Handling, begun: float = -10) -> Stay:
    return Stay(name, 1, ms(200), begun=ms(begun), threads={"7": "MainThread"}, messages=messages)


WORK = Group(1, "A", work="fib:24")


def two_in_turn() -> Run:
    """A runs for 10 ms, then B, while the quick client waits for both."""
    return traced(
        [
            (WORK, client("a", (0, 10)), stay("a", handled(0, 10, (0, 10)))),
            (replace(WORK, name="B"), client("b", (0, 20)), stay("b", handled(10, 20, (10, 20)))),
            (Group(1, "quick"), client("q", (5, 21)), stay("q", handled(20.5, 20.6))),
        ]
    )
