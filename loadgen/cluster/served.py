"""A server on a machine of a cluster: started, watched and stopped there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any

from loadgen.cluster.machine import Machine, answer, exchange
from loadgen.cluster.serving import LastWords
from loadgen.fleet.clocks import trace_by_our_clock
from loadgen.fleet.place import LoadError
from loadgen.fleet.server import ModelServer, Running
from loadgen.plan.plan import Plan
from loadgen.record.monitor import ServerCost
from loadgen.record.result import Run
from loadgen.record.trace import ServerTrace
from loadgen.servers.interpreters import Interpreter
from loadgen.servers.problem import TargetError
from loadgen.servers.started import START_SECONDS, STOP_SECONDS

# Beyond what the server itself is given.
MARGIN_SECONDS = 10.0


@dataclass(frozen=True)
class RemoteServer:
    """A model of ours that a machine of a cluster starts, listening at its address there.

    `account` gives a run what is known of the machines that it ran on.
    """

    model: ModelServer
    machine: Machine
    account: Callable[[Run], Run]

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def python(self) -> Interpreter:
        return self.model.python

    @property
    def at_once(self) -> int | None:
        return self.model.at_once

    @contextmanager
    def running(self, plan: Plan) -> Iterator[Running]:
        """Have it started where the plan's family wants it, and stopped. Raises TargetError."""
        model, machine = self.model, self.machine
        listening = replace(model, options=(*model.options, "--host", machine.host))
        try:
            line = machine.open("serve", (listening, plan))
        except LoadError as error:
            raise TargetError(str(error)) from None
        with closing(line):
            try:
                told: Running = answer(machine, line, START_SECONDS + MARGIN_SECONDS)
            except LoadError as error:
                raise TargetError(f"the server {self.name} did not start: {error}") from None
            process = RemoteProcess(machine, line)
            known = {**vars(told), "process": process}
            yield RunningThere(**known, there=process, account=self.account)
            process.stop()


class RemoteProcess:
    """A server's process there, by the line that it lives with; as `servers.started` has it."""

    def __init__(self, machine: Machine, line: Connection) -> None:
        self.machine = machine
        self.trace: ServerTrace | None = None
        self.connections_by_worker: tuple[int, ...] | None = None
        self.unheard: str | None = None
        """Why nothing is known of how it stopped, as a sentence; None where it is."""
        self._line = line
        self._output: list[str] = []

    def ask(self, kind: str, *value: Any) -> Any:
        """The answer to a word about the server. Raises LoadError where its machine is lost."""
        return exchange(self.machine, self._line, kind, value)

    @property
    def running(self) -> bool:
        """Whether it does, or nobody knows; of a machine that is lost the run tells by itself."""
        try:
            runs, self._output = self.ask("process")
        except LoadError:
            return True
        return bool(runs)

    @property
    def output(self) -> list[str]:
        """What it said last, as of when it was last asked about."""
        return self._output

    def stop(self) -> None:
        """Have it stopped, and take in what it left behind, if its machine is there."""
        try:
            self._line.send(("stop", ()))
            words: LastWords = answer(self.machine, self._line, STOP_SECONDS + MARGIN_SECONDS)
        except (LoadError, OSError) as error:
            self.unheard = f"what the server said as it stopped is not known: {error}"
            return
        self._output, self.connections_by_worker = words.output, words.connections_by_worker
        if words.trace is not None:
            self.trace = trace_by_our_clock(words.trace, self.machine.clock)


@dataclass(frozen=True)
class RunningThere(Running):
    """A server that runs on a machine of a cluster. There is no process of ours to look at."""

    there: RemoteProcess | None = None
    account: Callable[[Run], Run] | None = None

    def told_of(self, run: Run) -> Run:
        assert self.account is not None
        assert self.there is not None
        unheard = self.there.unheard
        return self.account(run if unheard is None else replace(run, notes=(*run.notes, unheard)))

    def monitor(self) -> RemoteMonitor:
        assert self.there is not None
        return RemoteMonitor(self.there)

    def counters(self) -> dict[str, int] | None:
        """The kernel's counters there; None where it is lost, or has none."""
        assert self.there is not None
        try:
            found: dict[str, int] | None = self.there.ask("kernel")
        except LoadError:
            return None
        return found


class RemoteMonitor:
    """A `record.monitor.Monitor` at work on the server's machine.

    Where that is lost it leaves a note, as one does whose process has ended.
    """

    def __init__(self, process: RemoteProcess) -> None:
        self._process = process
        self._lost: str | None = None
        self._say("monitor")

    def __enter__(self) -> RemoteMonitor:
        self._say("watch")
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._say("unwatch")

    def window_opened(self) -> None:
        self._say("window_opened")

    def window_closed(self, turn: int | None = None, answered: int | None = None) -> None:
        self._say("window_closed", turn, answered)

    def load_taken_off(self) -> None:
        self._say("load_taken_off")

    def cost(self) -> ServerCost:
        cost = self._say("cost")
        return cost if isinstance(cost, ServerCost) else ServerCost(note=self._lost)

    def _say(self, kind: str, *value: Any) -> Any:
        if self._lost is not None:
            return None
        try:
            return self._process.ask(kind, *value)
        except LoadError as error:
            self._lost = f"the server could not be watched to the end: {error}"
            return None
