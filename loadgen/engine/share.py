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
        """Numbers within the group of this worker's clients: one block, even to one client.

        What does not divide is dealt to the workers in turn, from group to group, those that talk
        first: so all groups together are even to one client as well, and so are those that talk.
        """
        workers, groups = self.plan.workers, self.plan.groups
        order = [one for one in groups if not one.silent] + [one for one in groups if one.silent]
        dealt = sum(one.clients for one in order[: order.index(group)])
        each, left = divmod(group.clients, workers)
        extra = [(worker - dealt) % workers < left for worker in range(self.worker + 1)]
        start = each * self.worker + sum(extra[:-1])
        return range(start, start + each + extra[-1])

    @property
    def clients(self) -> int:
        """How many clients this worker has, over all groups."""
        return sum(len(self.clients_of(group)) for group in self.plan.groups)

    def randomness_of(self, group: Group) -> random.Random:
        """A source of random numbers that differs between groups, workers and seeds."""
        return random.Random(f"{self.plan.seed} {group.name} {self.worker}")
