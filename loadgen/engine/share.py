"""What one worker does of a plan."""

import random
from dataclasses import dataclass

from loadgen.plan.endpoint import Endpoint
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan


@dataclass(frozen=True)
class Share:
    """What one worker does of a plan: number `worker` among `plan.workers`.

    Connections come from `source_addresses` in turn; where there are none, the kernel chooses.
    """

    plan: Plan
    endpoint: Endpoint
    worker: int = 0
    source_addresses: tuple[str, ...] = ()

    def clients_of(self, group: Group) -> range:
        """Numbers within the group of this worker's clients: one block, even to one client."""
        workers = self.plan.workers
        return range(
            group.clients * self.worker // workers, group.clients * (self.worker + 1) // workers
        )

    @property
    def clients(self) -> int:
        """How many clients this worker has, over all groups."""
        return sum(len(self.clients_of(group)) for group in self.plan.groups)

    def randomness_of(self, group: Group) -> random.Random:
        """A source of random numbers that differs between groups, workers and seeds."""
        return random.Random(f"{self.plan.seed} {group.name} {self.worker}")
