"""The servers that can be measured: a model of ours, another program, one that is there already.

Each has a `name`, which is what the record says served; a `python`, its interpreter where that is
known; and `running(plan)`, a context manager that has it run and gives a `Running`.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from loadgen.fleet.cores import server_cores
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.plan import Plan
from loadgen.record.trace import read_trace
from loadgen.servers import interpreters
from loadgen.servers.found import Found
from loadgen.servers.interpreters import Interpreter
from loadgen.servers.started import ServerProcess, model_command, place_for


@dataclass(frozen=True)
class Running:
    """A server that runs, and where.

    `pid` is the root of its process tree; None where it cannot be watched, and `note` says why.
    `process` is None unless it was started by us.
    """

    endpoint: Endpoint
    pid: int | None
    note: str | None = None
    process: ServerProcess | None = None


@dataclass(frozen=True)
class ModelServer:
    """A model of ours to start, by its name, with more options for its command line.

    `open_files` is how many descriptors it may have open, None for as many as we may.
    """

    name: str
    options: tuple[str, ...] = ()
    python: Interpreter = field(default_factory=interpreters.own)
    open_files: int | None = None

    @contextmanager
    def running(self, plan: Plan) -> Iterator[Running]:
        """Start it where the plan's family wants it, stop it again. Raises TargetError.

        Of clients that the plan has traced, it is to write its half; that is read in the end.
        """
        with place_for(plan.family) as place, ExitStack() as stack:
            options = [*place, *self.options]
            if plan.trace_clients:
                folder = stack.enter_context(TemporaryDirectory(prefix="loadgen-"))
                options += ["--trace", str(Path(folder, "trace"))]
            command = model_command(self.name, options, self.python.executable)
            with ServerProcess(
                self.name, command, server_cores(plan), self.open_files, self.python.library
            ) as process:
                yield Running(process.endpoint, process.pid, process=process)
            if plan.trace_clients:
                process.trace = read_trace(Path(folder, "trace"))


@dataclass(frozen=True)
class ProgramServer:
    """A program to start by its `command`; it has to print where it listens.

    `open_files` is how many descriptors it may have open, None for as many as we may.
    """

    name: str
    command: tuple[str, ...]
    python: Interpreter | None = None
    open_files: int | None = None

    @contextmanager
    def running(self, plan: Plan) -> Iterator[Running]:
        """Start it on the cores that the plan leaves, stop it again. Raises TargetError."""
        with ServerProcess(self.name, self.command, server_cores(plan), self.open_files) as process:
            yield Running(process.endpoint, process.pid, process=process)


@dataclass(frozen=True)
class FoundServer:
    """A server that was there already: it is neither started nor stopped."""

    found: Found
    endpoint: Endpoint

    @property
    def name(self) -> str:
        return self.found.name

    @property
    def python(self) -> None:
        """Nothing is known of the interpreter that runs it, if one does."""

    @contextmanager
    def running(self, plan: Plan) -> Iterator[Running]:  # noqa: ARG002 - it is as it is
        """It does."""
        yield Running(self.endpoint, self.found.pid, self.found.note)


Server = ModelServer | ProgramServer | FoundServer
