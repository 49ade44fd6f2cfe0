"""One life of servers that take turns: all are up, and one at a time has its load.

They start together, from nothing, and the clients of each connect and warm up while the others
wait. Then come rounds; in each, every server has one turn, in random order. So the servers share
the machine's good and bad moments, and what differs within a round is theirs. Those that wait hold
their connections and cost nothing, which is measured. One server alone has all the turns: nothing
can be paired, and its lives still say how it differs from start to start.

Sources: Abedi and Brecht, "Conducting Repeatable Experiments in Highly Variable Cloud Computing
Environments" (ICPE 2017); Bulej et al., "Duet Benchmarking" (ICPE 2020).
"""

import random
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from loadgen.fleet import diagnosis
from loadgen.fleet.conductor import Fleet, Stop, interrupt_sets
from loadgen.fleet.host import Host
from loadgen.fleet.measure import Watcher, begun, with_last_words
from loadgen.fleet.place import LoadError
from loadgen.fleet.server import Running, Watch
from loadgen.fleet.task import Task
from loadgen.record import kernel
from loadgen.record.monitor import Monitor
from loadgen.record.result import Run
from loadgen.servers.problem import TargetError

# Connections that may stand at once, over all servers: beyond, those that wait would be no matter
# of course any more, for the memory of a process or a thread each and for the scheduler.
MOST_CONNECTIONS = 10_000


def whole_trials_because(tasks: Sequence[Task]) -> str | None:
    """Why these servers cannot take turns, and are measured one after the other; None if they can.

    The reason is a part of a sentence.
    """
    if any(task.driver is not None for task in tasks):
        return "the load is not the engine's alone"
    plans = [task.plan for task in tasks]
    if any(plan.messages_per_client is not None for plan in plans):
        return "a number of messages is sent in one go"
    if any(plan.ramp_seconds or plan.connect_rate is not None for plan in plans):
        return "connecting at a pace is part of what is measured"
    connections = sum(plan.clients for plan in plans)
    if connections > MOST_CONNECTIONS:
        return f"{connections:,} connections at once are more than {MOST_CONNECTIONS:,}"
    return None


def measure_in_turns(tasks: Sequence[Task], seed: int, watcher: Watcher, stop: Stop) -> list[Run]:
    """Start the servers of all tasks, give them turns as their plans say, stop them.

    Returns a run for each task, in their order; tasks of one life have one `trial`. `seed` gives
    the order within each round. A server that does not start is a run with a `problem`, one that
    dies is found out by its clients, and the others go on. When `stop` is set, or with the first
    Ctrl-C where this is the main thread, what was measured until then is returned, cut short; a
    second Ctrl-C gives up.

    Raises PlanError for a plan that makes no sense.
    """
    order = random.Random(seed)
    with interrupt_sets(stop), ExitStack() as stack:
        members = [_Member(task, watcher, stop) for task in tasks]
        for member in members:
            stack.enter_context(member.host)
        for member in members:
            # All of these are called before the first host is left: servers stop side by side.
            stack.callback(member.host.release)
        for member in members:
            member.get_ready(stack)
        for member in order.sample(members, len(members)):
            if not stop.is_set():
                member.connect()
        rounds = max(task.plan.turns or 0 for task in tasks)
        for number in range(1, rounds + 1):
            for member in order.sample(members, len(members)):
                if not stop.is_set():
                    member.take_turn(number)
        for member in members:
            member.finish()
    for member in members:
        member.note_what_it_said()
    kept = [member for member in members if member.says_something]
    for member in kept:
        watcher.end(member.task.name, member.run)
    return [member.run for member in kept]


class _Member:
    """One of the servers that take turns, with its clients."""

    def __init__(self, task: Task, watcher: Watcher, stop: Stop) -> None:
        self.task = task
        self.run = begun(task)
        self.host = Host(task.server, task.plan)
        self._watcher = watcher
        self._stop = stop
        self._server: Running | None = None
        self._fleet: Fleet | None = None
        self._monitor: Watch = Monitor(None)
        self._kernel: dict[str, int] | None = None
        # Were its clients told to connect?
        self._connecting = False

    @property
    def says_something(self) -> bool:
        """Whether the run is worth keeping after a Ctrl-C: from a turn on, or in the first life.

        There it may be all that is known of how clients connect.
        """
        tally = self.run.tally
        if tally is None or not tally.cut_short or tally.window_started is not None:
            return True
        return self._connecting and self.task.trial == 1

    def get_ready(self, stack: ExitStack) -> None:
        """Wait for the server, and start the workers; `stack` ends them."""
        self._watcher.begin(self.task.name, self.run.plan)
        try:
            self._server = server = self.host.running()
            self.run = replace(self.run, endpoint=server.endpoint)
            self._monitor = server.monitor()
            fleet = Fleet(
                self.run.plan,
                server.endpoint,
                self._watcher.event,
                self._stop,
                self.task.place,
                self.task.server.at_once,
            )
            self._fleet = stack.enter_context(fleet)
        except (TargetError, LoadError) as error:
            self._give_up(error)

    def connect(self) -> None:
        """Have the clients connect and warm up, and hold."""
        fleet = self._fleet
        if fleet is None:
            return
        self._watcher.begin(self.task.name, self.run.plan)
        self._connecting = True
        before = self._counters()
        try:
            fleet.gather_ready()
            fleet.start()
            fleet.hold(fleet.warm_up())
        except LoadError as error:
            self._give_up(error)
        self._moved_since(before)
        self._monitor.load_taken_off()

    def take_turn(self, number: int) -> None:
        """Have the turn of that round, if there is anybody left to take it."""
        plan, fleet = self.run.plan, self._fleet
        if fleet is None or fleet.over or number > (plan.turns or 0):
            return
        self._watcher.turn(self.task.name, self.task.trial, number)
        before = self._counters()
        self._monitor.window_opened()
        answered = fleet.take_turn(number, plan.turn_seconds)
        self._monitor.window_closed(number, answered)
        self._moved_since(before)

    def finish(self) -> None:
        """Close the connections and put the run together."""
        if self._fleet is None or self._server is None:
            return
        try:
            tally = self._fleet.finish()
        except LoadError as error:
            self._give_up(error)
            return
        self.run = replace(self.run, tally=tally, server=self._monitor.cost(), kernel=self._kernel)
        notes = diagnosis.notes(self.run, self._server)
        self.run = replace(self.run, notes=(*self.run.notes, *notes))

    def note_what_it_said(self) -> None:
        """Take note of what the server said as it stopped."""
        if self._server is not None:
            self.run = with_last_words(self.run, self._server)

    def _give_up(self, error: Exception) -> None:
        self._fleet = None
        self.run = replace(self.run, problem=str(error))

    def _counters(self) -> dict[str, int] | None:
        return None if self._server is None else self._server.counters()

    def _moved_since(self, before: dict[str, int] | None) -> None:
        """Add how far the kernel's counters moved while this server had its load."""
        moved = kernel.difference(before, self._counters())
        if moved is not None:
            sums = self._kernel or {}
            self._kernel = {name: sums.get(name, 0) + by for name, by in moved.items()}
