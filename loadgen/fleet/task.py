"""What there is to measure: a server, the load that is put on it, and in which order."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from loadgen.fleet.conductor import Stop
from loadgen.fleet.events import Event
from loadgen.fleet.server import Server
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.plan import Plan
from loadgen.record.tally import Tally


class Driver(Protocol):
    """What puts a load on: what an experiment has in place of the engine alone, or beside it."""

    def put_on(
        self,
        plan: Plan,
        endpoint: Endpoint,
        *,
        on_event: Callable[[Event], None],
        stop: Stop,
    ) -> tuple[Tally, dict[str, float]]:
        """As `run_load`, with what else was counted, by name. Raises what `run_load` does."""
        ...


@dataclass(frozen=True)
class Task:
    """One run to do: a server under a plan.

    `name` is what a watcher is told; `label` is what tables call the server, None for its own name.
    `driver` puts the load on, None for the engine.
    """

    name: str
    server: Server
    plan: Plan
    trial: int = 1
    label: str | None = None
    driver: Driver | None = None


def tasks(
    servers: Mapping[str, Server], plans: Sequence[Plan], trials: int, seed: int
) -> list[Task]:
    """Every server, by its name, under every plan once per trial, in a random order in each trial.

    The order follows from `seed`; so do the load's own random choices, differently in each trial.
    """
    shuffled = random.Random(seed)
    found = []
    for trial in range(1, trials + 1):
        order = [(name, plan) for plan in plans for name in servers]
        shuffled.shuffle(order)
        found += [
            Task(name, servers[name], replace(plan, seed=seed + trial), trial)
            for name, plan in order
        ]
    return found
