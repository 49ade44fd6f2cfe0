"""From what is asked for to saved runs: starts the server, puts the load on, watches the cost.

One server runs at a time. Trials of several models are interleaved in a random order, so that a
noisy minute does not hit one model alone. Whatever ends a run early, what was measured until then
is returned.
"""

import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from loadgen.fleet.conductor import (
    Event,
    LoadError,
    Stop,
    WindowClosed,
    WindowOpened,
    ignore,
    run_load,
    worker_cores,
)
from loadgen.judge.figures import figures
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.group import Group
from loadgen.plan.messages import Messages
from loadgen.plan.plan import Plan
from loadgen.record import environment, kernel
from loadgen.record.monitor import Monitor
from loadgen.record.result import Ceiling, Run
from loadgen.record.tally import Tally
from loadgen.servers import interpreters
from loadgen.servers.found import Found, converse
from loadgen.servers.interpreters import Interpreter
from loadgen.servers.problem import TargetError
from loadgen.servers.started import ServerProcess, model_command, place_for

# The ceiling's own run: long enough for the engine to reach its stride, short enough not to be
# waited for. More clients would mostly measure how long they take to connect.
CEILING_SECONDS = 1.0
CEILING_WARMUP_SECONDS = 0.3
CEILING_CLIENTS = 1000
# Below this share of a core the engine's busiest worker was plainly not the limit.
CEILING_NEEDED = 0.3


class Load(Protocol):
    """A way to put a load on: what an experiment has in place of the engine alone, or beside it."""

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
    """One run to do: a model of ours under a plan.

    `options` go to the server's command line; `command` starts another server in place of the
    model, which then only gives the name; `python` is the interpreter, None for ours. `shown` is
    what the progress display calls it. `open_files` is how many descriptors the server may have
    open, `load` what puts the load on, None for the engine.
    """

    model: str
    plan: Plan
    trial: int = 1
    label: str | None = None
    options: tuple[str, ...] = ()
    command: tuple[str, ...] | None = None
    python: Interpreter | None = None
    shown: str | None = None
    open_files: int | None = None
    load: Load | None = None


class Watcher(Protocol):
    """Who is told how the work goes on, such as a progress display."""

    def begin(self, name: str, plan: Plan) -> None: ...
    def event(self, event: Event) -> None: ...
    def end(self, run: Run) -> None: ...


def tasks(models: Sequence[str], plans: Sequence[Plan], trials: int, seed: int) -> list[Task]:
    """Every model under every plan once per trial, each trial in a random order of its own.

    The order follows from `seed`; so do the load's own random choices, differently in each trial.
    """
    shuffled = random.Random(seed)
    found = []
    for trial in range(1, trials + 1):
        order = [(model, plan) for plan in plans for model in models]
        shuffled.shuffle(order)
        found += [Task(model, replace(plan, seed=seed + trial), trial) for model, plan in order]
    return found


def measure_model(task: Task, watcher: Watcher, stop: Stop) -> Run:
    """Start the task's model, put the load on, stop it again.

    A server that does not start is a run with a `problem`; PlanError passes through.
    """
    python = task.python or interpreters.own()
    run = Run(
        model=task.model,
        plan=task.plan,
        trial=task.trial,
        label=task.label,
        python=python.version,
        gil=python.gil,
        began=now(),
    )
    watcher.begin(task.shown or task.label or task.model, task.plan)
    cores = server_cores(task.plan)
    try:
        with place_for(task.plan.family) as place:
            options = (*place, *task.options)
            command = task.command or model_command(task.model, options, python.executable)
            with ServerProcess(
                task.model, command, cores, task.open_files, python.library
            ) as server:
                run = replace(run, endpoint=server.endpoint)
                run = _measure(run, server.pid, None, watcher.event, stop, task.load)
                if not server.running:
                    run = _with_last_words(run, server)
            run = replace(run, connections_by_worker=server.connections_by_worker)
    except TargetError as error:
        run = replace(run, problem=str(error))
    except KeyboardInterrupt:
        if run.tally is None:
            raise
        stop.set()  # it came while the server was being stopped: the figures are there
    watcher.end(run)
    return run


def measure_found(
    found: Found,
    endpoint: Endpoint,
    plan: Plan,
    watcher: Watcher,
    stop: Stop,
    *,
    trial: int = 1,
    label: str | None = None,
) -> Run:
    """Put the load on a server that is there already, and watch it as far as it can be seen."""
    run = Run(model=found.name, plan=plan, trial=trial, label=label, endpoint=endpoint, began=now())
    watcher.begin(label or found.name, plan)
    run = _measure(run, found.pid, found.note, watcher.event, stop)
    if _nobody_served(run):
        run = replace(run, notes=(*run.notes, *_first_words(plan, endpoint)))
    watcher.end(run)
    return run


def ceiling_needed(runs: Sequence[Run]) -> bool:
    """Whether the engine was busy enough in some run for its ceiling to matter."""
    shares = [run.tally.busiest_worker_cpu for run in runs if run.tally is not None]
    return any(share is not None and share >= CEILING_NEEDED for share in shares)


def measure_ceiling(plan: Plan, stop: Stop) -> Ceiling | None:
    """What the engine makes of this plan's messages against a server that only echoes.

    Every client is in a closed loop without thinking; silent ones are left out. None when the
    server does not start or nothing was answered.
    """
    groups = tuple(_at_full_speed(group) for group in plan.groups if not group.silent)
    if not groups:
        return None
    load = replace(
        plan,
        groups=groups,
        framing="length",
        reply_prefix=b"",
        duration_seconds=CEILING_SECONDS,
        messages_per_client=None,
        warmup_seconds=CEILING_WARMUP_SECONDS,
        ramp_seconds=0.0,
        connect_rate=None,
        workers=min(plan.workers, sum(group.clients for group in groups)),
    )
    command = [
        sys.executable,
        "-P",
        "-m",
        "loadgen.servers.null_server",
        plan.family,
        plan.transport,
    ]
    command.append(plan.talk)
    try:
        with (
            place_for(plan.family) as place,
            ServerProcess("null server", [*command, *place], server_cores(plan)) as server,
        ):
            run = Run("null server", load, endpoint=server.endpoint)
            run = _measure(run, server.pid, None, ignore, stop)
    except TargetError:
        return None
    found = figures(run)
    if not found.messages_per_second or not found.engine.busiest_worker_cpu or stop.is_set():
        return None
    return Ceiling(
        found.messages_per_second,
        found.engine.busiest_worker_cpu,
        found.server.cpu_cores,
        load.workers,
    )


def server_cores(plan: Plan) -> list[int] | None:
    """The cores that a pinned plan leaves to the server, None when nothing is pinned."""
    if not plan.pin:
        return None
    taken = set(worker_cores(plan.workers))
    return sorted(set(environment.core_numbers()) - taken) or None


def now() -> str:
    """The wall clock, for people: ISO 8601 with the offset from UTC."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _at_full_speed(group: Group) -> Group:
    return Group(
        clients=min(group.clients, CEILING_CLIENTS),
        name=group.name,
        size_bytes=group.size_bytes if group.request is None else len(group.request),
        messages_per_connection=group.messages_per_connection,
    )


def _measure(
    run: Run,
    pid: int | None,
    note: str | None,
    tell: Callable[[Event], None],
    stop: Stop,
    load: Load | None = None,
) -> Run:
    assert run.endpoint is not None
    with Monitor(pid, note) as monitor:

        def on_event(event: Event) -> None:
            if isinstance(event, WindowOpened):
                monitor.window_opened()
            elif isinstance(event, WindowClosed):
                monitor.window_closed()
            tell(event)

        before = kernel.read()
        try:
            if load is None:
                tally = run_load(run.plan, run.endpoint, on_event=on_event, stop=stop)
                counted = None
            else:
                tally, counted = load.put_on(run.plan, run.endpoint, on_event=on_event, stop=stop)
        except LoadError as error:
            return replace(run, problem=str(error))
        moved = kernel.difference(before, kernel.read())
    return replace(run, tally=tally, server=monitor.cost(), kernel=moved, probe=counted)


def _with_last_words(run: Run, server: ServerProcess) -> Run:
    # Less the lines of a traceback that only point at a place in the line above.
    lines = [line.strip() for line in server.output if line.strip(" ^~")]
    said = "; ".join(lines[-3:]) or "nothing"
    note = f"the server ended during the run; the last it said: {said}"
    return replace(run, notes=(*run.notes, note))


def _nobody_served(run: Run) -> bool:
    if run.tally is None or run.tally.cut_short:
        return False
    groups = [
        count
        for count, group in zip(run.tally.groups, run.plan.groups, strict=True)
        if not group.silent
    ]
    return any(group.connected for group in groups) and not any(group.served for group in groups)


def _first_words(plan: Plan, endpoint: Endpoint) -> list[str]:
    """What the server answers to the first message of the plan, where that is not what it should.

    Asked after the run, so that the clients' own conversations stay as they were.
    """
    if endpoint.transport != "tcp":
        return []
    group = next(group for group in plan.groups if not group.silent)
    request, expected = Messages(group, plan).pairs[0]
    # A server that does no work sends the message back, which may be longer than the answer.
    room = len(expected) + (len(request) if group.work is not None else 0)
    got = converse(endpoint, request, room)
    if got is None:
        return []
    if got == expected:
        if plan.talk == "loop":
            return []
        return [f"the server answers and does not close: start it with --talk {plan.talk}"]
    if not got:
        when = "when it is sent a message" if request else "unasked: start it with --talk greet"
        return [f"the server hangs up, or says nothing, {when}"]
    said = [f"sent {shortened(request)}, expected {shortened(expected)}, got {shortened(got)}"]
    if group.work is not None and group.work.replace(":", " ").encode() in got:
        said.append("the server does not do the work: start it with --work")
    elif got == request:
        said.append("the server sends back what it gets: try --reply-prefix ''")
    elif got.startswith(b"HTTP/"):
        said.append("that is an HTTP server; --request and --reply can speak to it")
    return ["; ".join(said)]


def shortened(data: bytes) -> str:
    """Bytes as Python shows them, the middle left out when there are many."""
    return repr(data) if len(data) <= 40 else f"{data[:30]!r}... ({len(data):,} bytes)"
