"""From a task to its run: has the server run, puts the load on, watches what both cost.

One server runs at a time; in `turns` there are several. Whatever ends a run early, what was
measured until then is returned.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from loadgen.fleet import diagnosis
from loadgen.fleet.conductor import Stop, run_load
from loadgen.fleet.events import Event, WindowClosed, WindowOpened
from loadgen.fleet.here import HERE
from loadgen.fleet.place import LoadError, Place
from loadgen.fleet.server import Running
from loadgen.fleet.task import Driver, Task
from loadgen.plan.plan import Plan
from loadgen.record import kernel
from loadgen.record.result import Run
from loadgen.servers.problem import TargetError


class Watcher(Protocol):
    """Who is told how the work goes on, such as a progress display.

    `event` belongs to the server that was named last. Of servers that take turns, `begin` is called
    as each is started and again as its clients connect, and `end` once for each after all turns.
    """

    def begin(self, name: str, plan: Plan) -> None: ...
    def turn(self, name: str, life: int, number: int) -> None: ...
    def event(self, event: Event) -> None: ...
    def end(self, name: str, run: Run) -> None: ...


class Silent:
    """A watcher that tells nobody."""

    def begin(self, name: str, plan: Plan) -> None: ...
    def turn(self, name: str, life: int, number: int) -> None: ...
    def event(self, event: Event) -> None: ...
    def end(self, name: str, run: Run) -> None: ...


class Keeper:
    """A watcher that keeps each run the moment it has ended, before `watcher` is told of it.

    `runs` has all of them in the order in which they ended, `by_name` those of each server. `heed`
    is called with the name and the run last of all.
    """

    def __init__(
        self,
        watcher: Watcher,
        runs: list[Run] | None = None,
        heed: Callable[[str, Run], None] | None = None,
    ) -> None:
        self.runs: list[Run] = [] if runs is None else runs
        self.by_name: dict[str, list[Run]] = {}
        self._watcher = watcher
        self._heed = heed
        self.begin, self.turn, self.event = watcher.begin, watcher.turn, watcher.event

    def end(self, name: str, run: Run) -> None:
        self.runs.append(run)
        self.by_name.setdefault(name, []).append(run)
        self._watcher.end(name, run)
        if self._heed is not None:
            self._heed(name, run)


def measure(task: Task, watcher: Watcher, stop: Stop) -> Run:
    """Do one task: its server runs for as long as the load is on.

    A server that does not start is a run with a `problem`; PlanError passes through, and so does
    KeyboardInterrupt where nothing was measured yet. A `stop` that is set before the load is on is
    one as well: have Ctrl-C set it (`interrupt_sets`), since as an exception it would be lost in
    one of the callbacks by which threads and processes go.
    """
    run = begun(task)
    watcher.begin(task.name, task.plan)
    try:
        with task.server.running(task.plan) as server:
            if stop.is_set():
                raise KeyboardInterrupt
            run = observe(run, server, watcher.event, stop, task.driver, task.place)
            run = replace(run, notes=(*run.notes, *diagnosis.notes(run, server)))
        run = with_last_words(run, server)
    except TargetError as error:
        run = replace(run, problem=str(error))
    except KeyboardInterrupt:
        if run.tally is None:
            raise
        stop.set()  # it came while the server was being stopped: the figures are there
    watcher.end(task.name, run)
    return run


def with_last_words(run: Run, server: Running) -> Run:
    """The run with what its server said as it stopped, where we have started it."""
    process, run = server.process, server.told_of(run)
    if process is None:
        return run
    trace, tally = process.trace, run.tally
    if trace is not None and tally is not None:
        traced = (one for group in tally.groups for one in group.traces)
        trace = trace.only(address for one in traced for address in one.addresses)
    return replace(run, connections_by_worker=process.connections_by_worker, trace=trace)


def begun(task: Task) -> Run:
    """The task's run as it begins: what is known before anything has happened."""
    python = task.server.python
    return Run(
        model=task.server.name,
        plan=task.plan,
        trial=task.trial,
        label=task.label,
        python=None if python is None else python.version,
        gil=None if python is None else python.gil,
        at_once=task.server.at_once,
        began=now(),
    )


def observe(
    run: Run,
    server: Running,
    tell: Callable[[Event], None],
    stop: Stop,
    driver: Driver | None = None,
    place: Place = HERE,
) -> Run:
    """Put the run's load on a server that runs; return the run with all that was measured.

    A load that could not be put on is a `problem`; PlanError passes through.
    """
    run = replace(run, endpoint=server.endpoint)
    with server.monitor() as monitor:

        def on_event(event: Event) -> None:
            if isinstance(event, WindowOpened):
                monitor.window_opened()
            elif isinstance(event, WindowClosed):
                monitor.window_closed()
            tell(event)

        counted = None
        before = server.counters()
        try:
            if driver is None:
                tally = run_load(
                    run.plan,
                    server.endpoint,
                    on_event=on_event,
                    stop=stop,
                    place=place,
                    at_once=run.at_once,
                )
            else:
                tally, counted = driver.put_on(
                    run.plan, server.endpoint, on_event=on_event, stop=stop
                )
        except LoadError as error:
            return replace(run, problem=str(error))
        moved = kernel.difference(before, server.counters())
    return replace(run, tally=tally, server=monitor.cost(), kernel=moved, probe=counted)


def now() -> str:
    """The wall clock, for people: ISO 8601 with the offset from UTC."""
    return datetime.now().astimezone().isoformat(timespec="seconds")
