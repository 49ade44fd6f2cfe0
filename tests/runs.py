"""Runs and results made by hand, so that what is said about them can be worked out by hand too."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache

from loadgen.judge.analysis import analyse
from loadgen.judge.rows import Row
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record import environment
from loadgen.record.environment import Environment
from loadgen.record.histogram import Histogram
from loadgen.record.monitor import ServerCost
from loadgen.record.result import Result, Run
from loadgen.record.tally import GroupTally, Tally, Turn

PLAN = Plan((Group(10),), duration_seconds=2.0)
WINDOW = 2.0


def plan(*groups: Group, framing: str = "length") -> Plan:
    """A plan with that window, and those groups of clients."""
    return Plan(groups, framing=framing, duration_seconds=WINDOW)


def group_tally(
    clients: int = 10,
    per_client: int = 200,
    *,
    name: str = "all",
    latency_seconds: float | None = None,
    served: int | None = None,
    window: float = WINDOW,
) -> GroupTally:
    """A sound group of a closed loop: every client goes round all the time.

    With fewer `served`, the others are starved and wait for ever.
    """
    served = clients if served is None else served
    answered = served * per_client
    latency = window / per_client if latency_seconds is None else latency_seconds
    found = GroupTally(
        name,
        clients=clients,
        connected=clients,
        served=served,
        starved=clients - served,
        connections=clients,
        intended=answered + clients - served,
        answered=answered,
        waiting=clients - served,
        answered_in_window=answered,
        bytes_received=answered * 78,
        expected_bytes_received=answered * 78,
        payload_bytes_in_window=answered * 138,
        sent_agreed=clients,
        answered_per_client=[per_client] * served + [0] * (clients - served),
        timeline=[answered // 20] * 20,
    )
    found.connect.record(50_000, clients)
    found.first_reply.record(1_000_000, served)
    found.service.record(round(latency * 1e9), answered)
    found.response.merge(found.service)
    return found


def tally(*groups: GroupTally, window: float = WINDOW, worker: float = 0.5) -> Tally:
    """Those groups' counts in a window of so many seconds, by a worker so busy (0 to 1)."""
    return Tally(
        groups=list(groups),
        started=100.0,
        connecting_seconds=0.01,
        window_started=100.5,
        window_seconds=window,
        engine_cpu_seconds=worker * window,
        engine_memory_bytes=20_000_000,
        busiest_worker_cpu=worker,
    )


def cost(cores: float = 1.0, *, busy: float | None = None, processes: int = 1) -> ServerCost:
    """A server that kept so many `cores` busy, on a machine that kept `busy` of them in all."""
    return ServerCost(
        cpu_seconds=cores * WINDOW,
        measured_seconds=WINDOW,
        memory_bytes=12 * 1024**2,
        memory_kind="pss",
        threads=processes,
        processes=processes,
        machine_busy_seconds=(cores + 0.5 if busy is None else busy) * WINDOW,
        machine_stolen_seconds=0.0,
        monitor_cpu_seconds=0.01,
    )


def run(model: str = "thread", trial: int = 1, *, per_client: int = 200, plan: Plan = PLAN) -> Run:
    """A sound run of 10 clients, each answered `per_client` times in a window of 2 s."""
    return Run(
        model=model,
        plan=plan,
        trial=trial,
        tally=tally(group_tally(per_client=per_client)),
        server=cost(),
        kernel={"ListenOverflows": 0},
        endpoint=Endpoint("inet", "127.0.0.1", 8008),
        python="3.11.7",
        gil="on",
        began="2026-01-02T03:04:05+00:00",
    )


def trials(model: str, per_client: Sequence[int], plan: Plan = PLAN) -> list[Run]:
    """A run per number of messages that each client got."""
    return [
        run(model, trial, per_client=times, plan=plan)
        for trial, times in enumerate(per_client, start=1)
    ]


def in_turns(model: str, lives: Sequence[Sequence[int]]) -> list[Run]:
    """A run per life, with turns of a second in which so many messages were answered."""
    found = []
    for life, rounds in enumerate(lives, start=1):
        window = float(len(rounds))
        counted = group_tally(per_client=sum(rounds) // 10, window=window)
        turns = [
            Turn(round=number, started=100.0 + number, seconds=1.0, answered=answered)
            for number, answered in enumerate(rounds, start=1)
        ]
        whole = replace(tally(counted, window=window), turns=turns)
        plan = replace(PLAN, duration_seconds=window, turns=len(rounds))
        found.append(replace(run(model, life, plan=plan), tally=whole))
    return found


def starving(model: str = "iterative", trial: int = 1) -> Run:
    """A run in which one of 10 clients had everything."""
    return replace(run(model, trial), tally=tally(group_tally(per_client=20_000, served=1)))


def mixed(paced: int, trial: int = 1) -> Run:
    """A run of a closed loop, 1,000 messages/s, beside a group that asks for as many and gets less.

    `paced` is how many messages/s that group got.
    """
    by_the_clock = group_tally(10, int(paced * WINDOW / 10), name="paced")
    by_the_clock.lateness = Histogram()
    asked = plan(Group(10), Group(10, "paced", rate_per_second=1000.0))
    counts = tally(group_tally(10, 200), by_the_clock)
    return replace(run(trial=trial, plan=asked), tally=counts, server=cost(0.4))


@cache
def machine() -> Environment:
    """This machine, as it was when it was first asked for, with four cores."""
    return replace(environment.describe(), usable_cores=4)


def result(*runs: Run, **changes: object) -> Result:
    """A result of those runs, measured here."""
    fields: Mapping[str, object] = {
        "what": "compare",
        "command": ("python", "-m", "loadgen"),
        "began": "2026-01-02T03:04:05+00:00",
        "finished": "2026-01-02T03:05:05+00:00",
        "seed": 7,
        "environment": machine(),
        "runs": runs,
        **changes,
    }
    return Result(**fields)  # type: ignore[arg-type]


def rows(found: Result) -> tuple[Row, ...]:
    """The rows of a result, ranked."""
    return analyse(found).rows
