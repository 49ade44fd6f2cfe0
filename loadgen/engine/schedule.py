"""When the messages of an open loop fall due, and for whom: by the clock, whatever the server does.

Constant arrivals go round the clients. Poisson arrivals pick one at random, which gives each client
a Poisson process of its own (splitting, e.g. Ross, Introduction to Probability Models, 5.3).
"""

from loadgen.engine.clock import NEVER, SECOND
from loadgen.engine.share import Share
from loadgen.plan.group import Group


class Schedule:
    """The due times of one group's messages in one worker, which has at least one of its clients.

    `next_due` is the time of the next message in ns; NEVER before the start and while the load is
    off.
    """

    def __init__(self, group: Group, share: Share) -> None:
        assert group.rate_per_second is not None
        self._clients = len(share.clients_of(group))
        # The group's rate is shared among its workers as its clients are.
        self._due_every = SECOND / (group.rate_per_second * self._clients / group.clients)
        # Workers are offset evenly from each other.
        self._offset = self._due_every * share.worker / share.plan.workers
        self._randomness = share.randomness_of(group)
        self._poisson = group.arrivals == "poisson"
        self._exact_due = 0.0
        self._place = 0
        self.next_due = NEVER

    def start(self, now: int) -> None:
        """Set when the first message is due."""
        wait = self._random_wait() if self._poisson else self._offset
        self._exact_due = now + wait
        self.next_due = round(self._exact_due)

    def take(self) -> tuple[int, int]:
        """The client, by its place in the worker's share, and the due time of the next message.

        That one is then taken, and `next_due` is the one after it.
        """
        due = self.next_due
        if self._poisson:
            place = int(self._randomness.random() * self._clients)
            self._exact_due += self._random_wait()
        else:
            place = self._place
            self._place = (place + 1) % self._clients
            self._exact_due += self._due_every
        self.next_due = round(self._exact_due)
        return place, due

    def hold(self) -> None:
        """Nothing falls due until the load is on again."""
        self.next_due = NEVER

    def resume(self, held: int) -> None:
        """Go on where it stopped `held` ns ago, as if no time had passed."""
        self._exact_due += held
        self.next_due = round(self._exact_due)

    def _random_wait(self) -> float:
        return self._randomness.expovariate(1 / self._due_every)
