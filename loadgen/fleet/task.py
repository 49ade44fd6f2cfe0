"""What there is to measure: a server, the load that is put on it, and in which order."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from loadgen.fleet.conductor import Stop
from loadgen.fleet.events import Event
from loadgen.fleet.here import HERE
from loadgen.fleet.place import Place
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
    `driver` puts the load on, None for the engine; that does it from `place`.
    """

    name: str
    server: Server
    plan: Plan
    trial: int = 1
    label: str | None = None
    driver: Driver | None = None
    place: Place = HERE


def tasks_of(
    servers: Mapping[str, Server], plans: Sequence[Plan], trial: int, seed: int
) -> list[Task]:
    """Every server, by its name, under every plan once: what one trial does, in a random order.

    The order follows from `seed`; so do the load's own random choices, differently in each trial.
    """
    found = [
        Task(name, server, replace(plan, seed=seed + trial), trial)
        for plan in plans
        for name, server in servers.items()
    ]
    random.Random(f"{seed} {trial}").shuffle(found)
    return found
