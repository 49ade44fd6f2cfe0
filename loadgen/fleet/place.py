"""Where load workers run: what a place has to give, be it this machine or those of a cluster.

A place starts worker processes and hands out a line to each. What goes over a line, and what is
made of it, is the same everywhere; clocks are not, and so each process comes with its own.
"""

from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Protocol

from loadgen.engine.share import Share
from loadgen.fleet.clocks import Clock
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.plan import Plan
from loadgen.record.machine import MachineTally
from loadgen.record.tally import Tally


class LoadError(Exception):
    """The load could not be put on; its text is a sentence for a person."""


class Started(Protocol):
    """A worker process that was started, and the line to it.

    `name` is what a person is told: "load worker 2". `clock` is its machine's.
    """

    @property
    def name(self) -> str: ...
    @property
    def line(self) -> Connection: ...
    @property
    def clock(self) -> Clock: ...

    def lost(self) -> str | None:
        """What became of its machine, as the rest of a sentence; None while that can be reached."""
        ...

    def how_it_ended(self) -> str:
        """The same of the process, whose line has ended. Waits for that, but not for ever."""
        ...

    def end(self) -> None:
        """Close the line, and see to it that the process ends, if it has not ended."""
        ...


class Place(Protocol):
    """Where worker processes are started."""

    def problem(self, plan: Plan, endpoint: Endpoint) -> str | None:
        """Why what the place can give does not allow the plan and what to do about it, or None."""
        ...

    def start(self, share: Share) -> Started:
        """Start a process for a share of the load, which it is yet to be told. Raises LoadError."""
        ...

    def by_machine(
        self, tallies: Sequence[tuple[Started, Tally]], openings: Mapping[int, int]
    ) -> list[MachineTally]:
        """What each machine did of the load; nothing where it is one and our own.

        The tallies are those of single workers, by our clock. `openings` says when each window was
        to open, in ns of our clock, by its round.
        """
        ...
