"""A machine of a cluster, as the command sees it: lines to its agent, its clock, and if it is lost.

A machine is lost once its agent has not answered for 5 s, or has hung up; it does not come back.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import count
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, wait
from typing import Any

from loadgen.cluster.facts import Facts
from loadgen.cluster.offset import RECENT_PINGS, Offsets, Ping
from loadgen.cluster.wire import LOST_SECONDS, Address, connect
from loadgen.fleet.place import LoadError
from loadgen.fleet.worker import bound_reading

# Between two pings: enough of them to know the clock, and too few to be noticed.
PING_SECONDS = 0.25
CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0


class Machine:
    """A machine whose agent listens at `address`. `name` is what people call it."""

    def __init__(self, name: str, address: Address, key: bytes) -> None:
        self.name = name
        self.address = address
        self.clock = Offsets()
        self.lost: str | None = None
        """What became of it, as the rest of a sentence; None while it can be reached."""
        self.on_lost: Callable[[], None] = lambda: None
        self._key = key
        self._numbers = count()
        self._turn = threading.Lock()
        self._pulse = self.open("pulse")
        self._requests = self.open("requests")
        self._facts: Facts | None = None
        self._pinged = 0
        self._asked = 0
        self._next_ping = 0.0

    @property
    def host(self) -> str:
        return self.address[0]

    @property
    def facts(self) -> Facts:
        """What it says of itself. Raises LoadError where it does not answer."""
        if self._facts is None:
            self._facts = self.ask("facts", self.host)
        return self._facts

    def close(self) -> None:
        """Have the agent end with all that it has started."""
        self._pulse.close()
        self._requests.close()

    def open(self, kind: str, value: Any = None) -> Connection:
        """A new line to the agent, for what the word says. Raises LoadError."""
        try:
            line = connect(self.address, self._key, CONNECT_SECONDS)
            line.send((kind, value))
        except (OSError, EOFError, AuthenticationError) as error:
            raise LoadError(
                f"{self.name} cannot be reached at {self.address[0]}:{self.address[1]} "
                f"({error or type(error).__name__}): its agent listens there, and this command "
                "has to get to it"
            ) from None
        return line

    def open_worker(self) -> tuple[int, Connection]:
        """A new load worker's number here, and the line to it. Raises LoadError."""
        number = next(self._numbers)
        return number, self.open("work", number)

    def ask(self, kind: str, *value: Any) -> Any:
        """The agent's answer to a request. Raises what it raised, and LoadError if it is lost."""
        with self._turn:
            return exchange(self, self._requests, kind, value)

    # For the pulse, which alone calls these

    @property
    def pulse(self) -> Connection:
        return self._pulse

    def ping(self, now: float) -> None:
        """Ask what the clock reads, if it is time to; give the machine up if it is late."""
        if self.lost is not None:
            return
        if self._asked:
            if time.monotonic_ns() - self._asked > LOST_SECONDS * 1_000_000_000:
                self.lose(f"has not answered for {LOST_SECONDS} s")
        elif now >= self._next_ping:
            self._next_ping = now + (PING_SECONDS if self.clock.answers == RECENT_PINGS else 0.0)
            self._pinged += 1
            self._asked = time.monotonic_ns()
            try:
                self._pulse.send(self._pinged)
            except OSError:
                self.lose("cannot be reached any more")

    def hear(self) -> None:
        """Take in the answer."""
        try:
            number, theirs = self._pulse.recv()
        except (EOFError, OSError):
            self.lose("is gone, or its agent was ended")
            return
        if number == self._pinged:
            self.clock.note(Ping(self._asked, time.monotonic_ns(), theirs))
            self._asked = 0

    def lose(self, why: str) -> None:
        """Give it up; only the first reason counts."""
        if self.lost is None:
            self.lost = why
            self.on_lost()


def exchange(machine: Machine, line: Connection, kind: str, value: Any = ()) -> Any:
    """Say a word on a machine's line and return the answer to it, or raise what that is.

    Raises LoadError where none comes.
    """
    try:
        line.send((kind, value))
        return answer(machine, line, ANSWER_SECONDS)
    except OSError:
        raise LoadError(f"{machine.name} {machine.lost or 'cannot be reached any more'}") from None


def answer(machine: Machine, line: Connection, seconds: float) -> Any:
    """The next answer on a machine's line, or raise what that is. Raises LoadError, as above."""
    until = time.monotonic() + seconds
    try:
        while not line.poll(PING_SECONDS):
            if machine.lost is not None:
                raise LoadError(f"{machine.name} {machine.lost}")
            if time.monotonic() > until:
                # What came later would be taken for the answer to something else.
                machine.lose(f"has not answered a request for {seconds:g} s")
        bound_reading(line, LOST_SECONDS)
        right, found = line.recv()
    except (EOFError, OSError):
        raise LoadError(f"{machine.name} {machine.lost or 'has hung up'}") from None
    if not right:
        raise found
    return found


class Pulse:
    """Asks all machines what their clocks read, as a context manager, in a thread of its own."""

    def __init__(self, machines: Sequence[Machine]) -> None:
        self._machines = machines
        self._over = threading.Event()
        self._known = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def __enter__(self) -> "Pulse":
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._over.set()
        self._thread.join()

    def wait(self) -> None:
        """Wait until every clock is known, or its machine is lost."""
        self._known.wait()

    def _run(self) -> None:
        try:
            self._ask()
        finally:
            self._known.set()

    def _ask(self) -> None:
        while not self._over.is_set():
            now = time.monotonic()
            present: Mapping[Any, Machine] = {
                one.pulse: one for one in self._machines if one.lost is None
            }
            for machine in present.values():
                machine.ping(now)
            with suppress(OSError):
                for line in wait(list(present), PING_SECONDS / 5):
                    present[line].hear()
            if all(
                one.lost is not None or one.clock.answers == RECENT_PINGS for one in self._machines
            ):
                self._known.set()
            if not present:
                self._over.wait(PING_SECONDS)
