"""The servers that can be measured: a model of ours, another program, one that is there already.

Each has a `name`, which is what the record says served; a `python`, its interpreter where that is
known; and `running(plan)`, a context manager that has it run and gives a `Running`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Protocol

from concurrency_models.backends import MODELS
from loadgen.fleet.cores import core_numbers, server_cores
from loadgen.fleet.limits import ServerRoom, server_room
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.plan import Plan
from loadgen.record import kernel
from loadgen.record.monitor import Monitor, ServerCost
from loadgen.record.result import Run
from loadgen.record.trace import ServerTrace
from loadgen.record.trace_file import read_trace
from loadgen.servers import interpreters
from loadgen.servers.found import Found
from loadgen.servers.interpreters import Interpreter
from loadgen.servers.started import ServerProcess, model_command, place_for

# What of a model's options says how many it serves at a time; the server reads the rest as well.
_SIZES: Final = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
_SIZES.add_argument("--workers")
_SIZES.add_argument("--max-clients")


class Process(Protocol):
    """A server's process that was started by us: see `ServerProcess`, which is one."""

    @property
    def running(self) -> bool: ...
    @property
    def output(self) -> list[str]: ...
    @property
    def connections_by_worker(self) -> tuple[int, ...] | None: ...
    @property
    def trace(self) -> ServerTrace | None: ...


class Watch(Protocol):
    """What watches a server: see `Monitor`, which does."""

    def __enter__(self) -> Watch: ...
    def __exit__(self, *exc_info: object) -> None: ...
    def window_opened(self) -> None: ...
    def window_closed(self, turn: int | None = None, answered: int | None = None) -> None: ...
    def load_taken_off(self) -> None: ...
    def cost(self) -> ServerCost: ...


@dataclass(frozen=True)
class Running:
    """A server that runs, and where.

    `pid` is the root of its process tree; None where it cannot be watched, and `note` says why.
    `process` is None unless it was started by us. `notes` are for whoever reads the run.
    """

    endpoint: Endpoint
    pid: int | None
    note: str | None = None
    process: Process | None = None
    notes: tuple[str, ...] = ()

    def monitor(self) -> Watch:
        """What watches it, where it runs; a context manager, of which nothing has begun yet."""
        return Monitor(self.pid, self.note)

    def told_of(self, run: Run) -> Run:
        """A run of this server that is over, with what is known of where it ran."""
        return run

    def counters(self) -> dict[str, int] | None:
        """What the kernel has counted where it runs, or None where it does not count."""
        return kernel.read()


@dataclass(frozen=True)
class ModelServer:
    """A model of ours to start, by its name, with more options for its command line.

    `open_files` is how many descriptors it may have open, None for as many as we may; `cores` are
    those that it may run on, None for what the plan leaves.
    """

    name: str
    options: tuple[str, ...] = ()
    python: Interpreter = field(default_factory=interpreters.own)
    open_files: int | None = None
    cores: Sequence[int] | None = None

    @property
    def at_once(self) -> int | None:
        """How many clients it serves at a time with its options; None for as many as come."""
        told, _ = _SIZES.parse_known_args(self.options)
        sizes = (
            int(size) if size is not None and size.isdecimal() else None
            for size in (told.workers, told.max_clients)
        )
        return MODELS[self.name].serves(*sizes) if self.name in MODELS else None

    def _room(self, plan: Plan) -> tuple[ServerRoom, list[str]]:
        """What its processes need to hold all clients, and how the server is told.

        Nothing, where it has as many workers or descriptors as it was given, or lets clients wait.
        """
        if self.open_files is not None or self.at_once is not None or plan.transport == "udp":
            return ServerRoom(), []
        if self.name not in MODELS or not MODELS[self.name].spreads:
            return server_room(plan.clients, None), []
        told, _ = _SIZES.parse_known_args(self.options)
        fixed = told.workers is not None and told.workers.isdecimal()
        cores = self.cores or server_cores(plan) or core_numbers()
        processes = int(told.workers) if fixed else len(cores) or 1
        room = server_room(plan.clients, processes, fixed)
        return room, [] if room.workers is None else ["--workers", str(room.workers)]

    @contextmanager
    def running(self, plan: Plan) -> Iterator[Running]:
        """Start it where the plan's family wants it, stop it again. Raises TargetError.

        Of clients that the plan has traced, it is to write its half; that is read in the end.
        """
        with place_for(plan.family) as place, ExitStack() as stack:
            room, said = self._room(plan)
            options = [*place, *said, *self.options]
            if plan.trace_clients:
                folder = stack.enter_context(TemporaryDirectory(prefix="loadgen-"))
                options += ["--trace", str(Path(folder, "trace"))]
            command = model_command(self.name, options, self.python.executable)
            cores = self.cores or server_cores(plan)
            with ServerProcess(
                self.name, command, cores, self.open_files or room.open_files, self.python.library
            ) as process:
                notes = () if room.note is None else (room.note,)
                yield Running(process.endpoint, process.pid, process=process, notes=notes)
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

    @property
    def at_once(self) -> None:
        """Nothing is known of how many clients it serves at a time."""

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

    @property
    def at_once(self) -> None:
        """Nor of how many clients it serves at a time."""

    @contextmanager
    def running(self, plan: Plan) -> Iterator[Running]:  # noqa: ARG002 - it is as it is
        """It does."""
        yield Running(self.endpoint, self.found.pid, self.found.note)


class Server(Protocol):
    """What has a `name`, may know its interpreter and how many it serves at a time, and can run."""

    @property
    def name(self) -> str: ...
    @property
    def python(self) -> Interpreter | None: ...
    @property
    def at_once(self) -> int | None: ...
    def running(self, plan: Plan) -> AbstractContextManager[Running]: ...
