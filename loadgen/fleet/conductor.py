"""Worker processes with an event loop each: start together, measure together, add up.

The parent puts no load on. It tells every worker the same clock readings for the start and for each
window, passes on what they report, and always ends them. A worker whose parent is gone ends by
itself.
"""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any, Protocol, Self

from loadgen.engine.clock import MILLISECOND, NEVER, SECOND
from loadgen.engine.control import Window, WorkerSnapshot
from loadgen.engine.share import Share
from loadgen.fleet.events import Event, Snapshot, WindowClosed, WindowOpened
from loadgen.fleet.here import HERE
from loadgen.fleet.limits import source_addresses
from loadgen.fleet.place import LoadError, Place
from loadgen.fleet.worker import Worker
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.plan import Plan
from loadgen.plan.validation import PlanError
from loadgen.record.histogram import Histogram
from loadgen.record.tally import Tally, merge_tallies

# From the order to start until the start: for the slowest worker to have heard it.
START_MARGIN_NS = SECOND // 50
# The same before a turn, when the machine is quiet and the worker asleep in its poll.
TURN_MARGIN_NS = 5 * MILLISECOND
# From putting the load on to the opening of a turn's window: for caches and clocks to warm up and
# for the clients to fall out of step again, who all begin at once. Over 20 turns of 100 clients, a
# selectors server made 12 % fewer messages in the first tenth of a second than in the second, and
# from there on no fewer than later.
SETTLE_NS = SECOND // 10
REPORT_SECONDS = 0.25
LOOK_SECONDS = 0.1
# In the warm-up, workers are asked so often how many of their clients await their first reply.
ASK_SECONDS = 0.02
# A server that starts a process for each client, on a busy machine, takes seconds to start 100, and
# whom it gets to late would look badly served. Longer than this, it is the server's own doing.
LONGER_WARMUP_SECONDS = 5.0
# Those who wait are starved, and not about to be served, once nobody's wait has ended for so long:
# less than the usual warm-up, which they then do not prolong.
STARVED_SECONDS = 0.4
START_SECONDS = 60.0


class Stop(Protocol):
    """What ends a run early: a threading.Event or its like."""

    def is_set(self) -> bool: ...
    def set(self) -> None: ...


def run_load(
    plan: Plan,
    endpoint: Endpoint,
    *,
    on_event: Callable[[Event], None] | None = None,
    stop: Stop | None = None,
    place: Place = HERE,
    at_once: int | None = None,
) -> Tally:
    """Put the plan's load on the server at `endpoint` from `place` and return what happened.

    Blocks for the length of the run. `on_event` is called in this thread. A set `stop`, or Ctrl-C
    where this is the main thread, ends the run early: the tally is then marked `cut_short`. A
    second Ctrl-C gives up at once. `at_once` as for `Fleet`.

    Raises PlanError for a plan or an endpoint that makes no sense, and LoadError when no worker
    could measure. Where some workers could, their tally is returned and its `stopped_early` names
    what became of the others.
    """
    stop = stop or threading.Event()
    fleet = Fleet(plan, endpoint, on_event or ignore, stop, place, at_once)
    with interrupt_sets(stop), fleet:
        fleet.gather_ready()
        fleet.start()
        if plan.duration_seconds is not None:
            fleet.measure_once(fleet.warm_up())
        return fleet.finish()


def ignore(event: Event) -> None:
    """Take note of nothing."""


class Fleet:
    """The workers of one plan against one server, as a context manager that ends them.

    `on_event` is called in the thread that calls the methods. When `stop` is set the workers end
    early, whatever method is at work. `at_once` is how many clients the server serves at a time,
    None for as many as come: the warm-up does not wait for the others. Raises PlanError when it is
    made of a plan or an endpoint that makes no sense.
    """

    def __init__(
        self,
        plan: Plan,
        endpoint: Endpoint,
        on_event: Callable[[Event], None],
        stop: Stop,
        place: Place = HERE,
        at_once: int | None = None,
    ) -> None:
        plan.validate()
        endpoint.validate()
        plan.validate_against(endpoint)
        problem = place.problem(plan, endpoint)
        if problem:
            raise PlanError(problem)
        self._place = place
        self._plan = plan
        self._endpoint = endpoint.resolved()
        self._on_event = on_event
        self._stop = stop
        self._workers: list[Worker] = []
        self._stopping = False
        self._started = 0
        self._window: Window | None = None
        # When each window was to open, by its round.
        self._openings: dict[int, int] = {}
        self._starving = _starving(plan, at_once)
        self._asked_at = 0
        self._fewest_awaiting = math.inf
        self._fewer_at = 0
        self._announced_open = self._announced_close = False
        self._reported_at = 0.0
        self._reported_answered = 0

    def __enter__(self) -> Self:
        sources = source_addresses(self._plan, self._endpoint)
        try:
            for number in range(self._plan.workers):
                share = Share(self._plan, self._endpoint, number, sources)
                self._workers.append(Worker(share, self._place.start(share)))
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._end()

    def _end(self) -> None:
        with contextlib.ExitStack() as stack:
            for worker in self._workers:
                stack.callback(worker.end)

    @property
    def over(self) -> bool:
        """Whether nothing more will come from any worker."""
        return all(worker.done for worker in self._workers)

    # What a run is made of, in this order

    def gather_ready(self) -> None:
        """Wait until every worker is set up, so that all start together. Raises LoadError."""
        for worker in self._workers:
            if not worker.wait_for_word(START_SECONDS):
                raise LoadError(worker.failure or f"{worker.started.name} did not start")
            if worker.hear() != "ready":
                raise LoadError(worker.failure or f"{worker.started.name} did not start")

    def start(self) -> None:
        """Have the clients connect and begin to talk."""
        self._expect_words()
        self._started = time.monotonic_ns() + START_MARGIN_NS + self._reach_ns()
        self._tell_all("go", self._started)
        if self._plan.messages_per_client is not None:
            self._open(Window(self._started, NEVER))
        self._reported_at = self._started / SECOND

    def warm_up(self) -> int:
        """Wait until all clients of all workers are connected and warmed up.

        Returns when the warm-up is over, in ns of the clock: now, or soon.
        """
        while not self.over and not self._stopping:
            opens = self._warm()
            if opens is not None:
                return opens
            self._attend(ASK_SECONDS)
        return time.monotonic_ns()

    def measure_once(self, opens: int) -> None:
        """Have the one window of a run that takes no turns open then, and end the load with it."""
        opens = max(opens, time.monotonic_ns() + START_MARGIN_NS + self._reach_ns())
        assert self._plan.duration_seconds is not None
        window = self._open(Window(opens, opens + round(self._plan.duration_seconds * SECOND)))
        self._tell_all("window", window)
        self._tell_all("end")

    def hold(self, when: int) -> None:
        """At that time, in ns, take the load off; wait until no reply is on its way any more."""
        while not self.over and not self._stopping and (left := when - time.monotonic_ns()) > 0:
            self._attend(min(ASK_SECONDS, left / SECOND))
        self._wait_until_held("hold", None)

    def take_turn(self, number: int, seconds: float) -> int:
        """Put the load on for one turn and take it off again; wait until it is.

        The turn's window is so long. It opens a little after the load is on. Returns how many
        messages were answered from first to last, those outside of the window included.
        """
        begins = time.monotonic_ns() + TURN_MARGIN_NS + self._reach_ns()
        opens = begins + SETTLE_NS
        window = Window(opens, opens + round(seconds * SECOND), number, begins)
        self._announced_open = self._announced_close = False
        self._reported_at = begins / SECOND
        self._reported_answered = before = self._answered()
        self._wait_until_held("window", self._open(window))
        return self._answered() - before

    def finish(self) -> Tally:
        """Wait for the load to end, where it is off at once; return what happened.

        Raises LoadError when no worker could measure.
        """
        self._attend(0)
        if all(worker.held for worker in self._workers if not worker.done):
            self._expect_words()
            self._tell_all("end")
        while not self.over:
            self._attend(self._until_next_look())
        return self._add_up()

    # How

    def _open(self, window: Window) -> Window:
        """Take note of the window that the workers are to keep."""
        self._window = window
        self._openings[window.round] = window.opens
        return window

    def _reach_ns(self) -> int:
        """How long it takes a word to reach the farthest worker."""
        return max((one.started.clock.reach_ns for one in self._workers if not one.done), default=0)

    def _attend(self, seconds: float) -> None:
        """Hear the workers for so long at most, and pass on what there is to say."""
        lines = {worker.line: worker for worker in self._workers if not worker.done}
        for line in wait(list(lines), seconds):
            assert isinstance(line, Connection)
            lines[line].hear()
        for worker in self._workers:
            worker.check_time()
        if self._stop.is_set() and not self._stopping:
            self._stopping = True
            self._tell_all("stop")
        self._announce()

    def _wait_until_held(self, kind: str, value: Any) -> None:
        self._expect_words()
        self._tell_all(kind, value)
        while not all(worker.held or worker.done for worker in self._workers):
            self._attend(self._until_next_look())

    def _expect_words(self) -> None:
        """From now on every worker is to be heard of, until it says that it is held."""
        for worker in self._workers:
            worker.held, worker.heard_at = False, time.monotonic()

    def _until_next_look(self) -> float:
        """Seconds to listen at most.

        The window's ends are announced on time, for the caller reads the server's CPU then: 0.1 s
        late would be 3 % of a window of 3 s.
        """
        if self._window is None or self._announced_close:
            return LOOK_SECONDS
        edge = self._window.closes if self._announced_open else self._window.opens
        return min(LOOK_SECONDS, max(0.0, edge / SECOND - time.monotonic()))

    def _tell_all(self, kind: str, value: Any = None) -> None:
        for worker in self._workers:
            if not worker.done:
                worker.tell(kind, value)

    def _warm(self) -> int | None:
        """When the warm-up is over, once that is known: soon, or just now.

        It goes on while clients await their first reply and some still get it. Those of an open
        loop are not waited for, since their messages come by the clock.
        """
        present = [worker for worker in self._workers if not worker.done]
        connected = [worker.connected_at for worker in present if worker.connected_at is not None]
        if not present or len(connected) < len(present):
            return None
        opens = max(connected) + round(self._plan.warmup_seconds * SECOND)
        if not self._plan.warmup_seconds:
            return opens
        now = time.monotonic_ns()
        known = [worker.awaiting for worker in present if worker.awaiting is not None]
        if len(known) == len(present):
            awaiting = sum(known)
            if awaiting <= self._starving:
                return opens
            if awaiting < self._fewest_awaiting:
                self._fewest_awaiting, self._fewer_at = awaiting, now
        if not self._asked_at:
            self._fewer_at = now
        if now >= opens - START_MARGIN_NS:
            starved = now >= self._fewer_at + STARVED_SECONDS * SECOND
            if starved or now >= opens + LONGER_WARMUP_SECONDS * SECOND:
                return opens
        if now >= self._asked_at + ASK_SECONDS * SECOND:
            self._asked_at = now
            self._tell_all("ask")
        return None

    def _announce(self) -> None:
        """Tell the caller what has come to pass since the last time."""
        now = time.monotonic()
        opens = self._window.opens / SECOND if self._window is not None else math.inf
        if now >= opens and not self._announced_open:
            self._announced_open = True
            self._on_event(WindowOpened(opens))
        if self._announced_open and not self._announced_close and self._closed(now):
            self._announced_close = True
            self._on_event(WindowClosed(now))
        if now >= self._reported_at + REPORT_SECONDS:
            snapshots = [worker.snapshot for worker in self._workers if worker.snapshot]
            if snapshots:
                self._report(now, snapshots)

    def _closed(self, now: float) -> bool:
        assert self._window is not None
        return self._stopping or self.over or now >= self._window.closes / SECOND

    def _report(self, now: float, snapshots: Sequence[WorkerSnapshot]) -> None:
        answered = self._answered()
        rate = (answered - self._reported_answered) / (now - self._reported_at)
        self._reported_at, self._reported_answered = now, answered
        self._on_event(
            Snapshot(
                seconds=now - self._started / SECOND,
                answered=answered,
                rate=rate,
                p99=Histogram.merged(snapshot.response for snapshot in snapshots).percentile(99),
                connected=sum(snapshot.connected for snapshot in snapshots),
                served=sum(snapshot.served for snapshot in snapshots),
            )
        )

    def _answered(self) -> int:
        return sum(worker.snapshot.answered for worker in self._workers if worker.snapshot)

    def _add_up(self) -> Tally:
        failures = [worker.failure for worker in self._workers if worker.failure]
        tallies = [worker.tally for worker in self._workers if worker.tally]
        if not tallies:
            raise LoadError(failures[0])
        handed_in = [(worker.started, worker.tally) for worker in self._workers if worker.tally]
        machines = self._place.by_machine(handed_in, self._openings)
        tally = merge_tallies(tallies)
        tally.machines = machines
        if failures:
            tally.stopped_early = f"{failures[0]}; its clients are missing from the figures"
        return tally


def _starving(plan: Plan, at_once: int | None) -> int:
    """How many clients of closed loops wait for as long as others stay, where so many are served.

    Nobody for certain where clients come and go.
    """
    if at_once is None or any(group.messages_per_connection for group in plan.groups):
        return 0
    closed = (one for one in plan.groups if not (one.silent or one.open_loop))
    return max(0, sum(group.clients for group in closed) - at_once)


@contextlib.contextmanager
def interrupt_sets(stop: Stop) -> Iterator[None]:
    """While this lasts, the first Ctrl-C sets `stop`; the second one is a KeyboardInterrupt."""
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield
        return

    def handle(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
