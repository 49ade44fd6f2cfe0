"""A server as people start it, `python -m concurrency_models.run` in a process of its own.

Each runs in a session of its own, so that every process it started is found, judged and ended with
it. Whatever a test does to a server: no traceback, no process left behind.
"""

import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import psutil

from concurrency_models.backends import MODELS, Model
from loadgen.servers import interpreters

WAIT_SECONDS: Final = 20.0
"""How long a test waits for what should come at once; only a test that fails waits so long."""

ROOT: Final = Path(__file__).parent.parent

PYTHON: Final = (
    interpreters.ask(os.environ["SERVER_PYTHON"])
    if "SERVER_PYTHON" in os.environ
    else interpreters.own()
)
"""The interpreter that servers run under: ours, or the one that this variable names."""

CPYTHON_OUT_OF_MEMORY: Final = "SystemError: deallocated bytearray object has exported buffers"
"""What the interpreter itself may print where `data[:n]` of a bytearray, as in asyncio's streams,
finds no memory: PyByteArray_FromStringAndSize destroys an object of which it has not set
`ob_exports` yet (seen with CPython 3.11 and 3.13). The MemoryError follows, and is ours to tell."""

Address = tuple[str, int] | str


@dataclass(frozen=True)
class Subject:
    """A model as a scenario runs it, with the options that make it so."""

    model: Model
    options: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "-".join([self.model.name, *(o for o in self.options if not o.startswith("--"))])

    @property
    def helpers(self) -> int:
        """How many processes `multiprocessing` starts with the first client, and keeps.

        Its resource tracker is there before, see `lifeline`.
        """
        return int("forkserver" in self.options)

    @property
    def arguments(self) -> tuple[str, ...]:
        return ("--model", self.model.name, *self.options)


SUBJECTS: Final = [Subject(model) for name, model in MODELS.items() if not PYTHON.missing[name]]
"""Every model that can run there: one is tested the moment it is registered."""

CONCURRENT: Final = [subject for subject in SUBJECTS if subject.model.at_once is None]
"""Those of them that serve as many clients at a time as come."""

START_METHODS: Final = [
    Subject(MODELS["process"], ("--start-method", method)) for method in ("forkserver", "spawn")
]
"""The ways to start a process that are not the default."""


class Output:
    """What a process prints on one of its pipes, gathered line by line as it comes."""

    def __init__(self, pipe: IO[str]) -> None:
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, args=(pipe,), daemon=True)
        self._reader.start()

    def _read(self, pipe: IO[str]) -> None:
        # `with Popen(...)` closes it at the end of its block, whoever still reads.
        with pipe, suppress(ValueError):
            for line in pipe:
                with self._changed:
                    self.lines.append(line.rstrip("\n"))
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait_for(self, pattern: str, count: int = 1) -> str:
        """Return the `count`-th line that `pattern` is found in, as soon as it is printed."""

        def found() -> list[str]:
            return [line for line in self.lines if re.search(pattern, line)]

        with self._changed:
            self._changed.wait_for(lambda: len(found()) >= count or self._ended, WAIT_SECONDS)
            assert len(found()) >= count, f"no line with {pattern!r} in {self.lines}"
            return found()[count - 1]

    def wait_for_end(self) -> None:
        """Return once everybody who could print has ended."""
        self._reader.join(WAIT_SECONDS)
        assert self._ended, "somebody still holds the pipe open"


class ServerProcess:
    """A server that listens, with all the processes it has started."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self.process = process
        self.out = Output(process.stdout)
        self.err = Output(process.stderr)
        self.address: Address = ""

    # What it costs

    def processes(self) -> list[psutil.Process]:
        """Return the processes of the server that are there now, zombies included."""
        found = []
        for pid in psutil.pids():
            with suppress(ProcessLookupError, psutil.NoSuchProcess):
                if os.getsid(pid) == self.process.pid:
                    found.append(psutil.Process(pid))
        return found

    def total(self, cost: Callable[[psutil.Process], float]) -> float:
        """Return the sum of what each of its processes costs."""
        total = 0.0
        for process in self.processes():
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                total += cost(process)
        return total

    def cpu_seconds(self) -> float:
        return self.total(lambda process: sum(process.cpu_times()[:2]))

    def memory_bytes(self) -> float:
        return self.total(lambda process: process.memory_full_info().uss)

    def descriptors(self) -> float:
        return self.total(lambda process: process.num_fds())

    def zombies(self) -> list[psutil.Process]:
        found = []
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                if process.status() == psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def busy_share(self, seconds: float) -> float:
        """Return which share of a core the server takes over the next `seconds`."""
        before, start = self.cpu_seconds(), time.monotonic()
        time.sleep(seconds)  # not a wait for something: the interval that is measured
        return (self.cpu_seconds() - before) / (time.monotonic() - start)

    # Its end

    def signal_all(self, number: signal.Signals) -> None:
        """Signal all its processes at once, as Ctrl-C in a terminal does."""
        os.killpg(self.process.pid, number)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Keep the server from running meanwhile: it finds all that happens here at once."""
        self.signal_all(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal_all(signal.SIGCONT)

    def exit_status(self) -> int:
        """Wait for the server to end of its own accord and return its exit status."""
        return self.process.wait(WAIT_SECONDS)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask the server to stop, and return its exit status."""
        self.process.send_signal(number)
        return self.exit_status()

    def check_nobody_is_left(self) -> None:
        """Wait for every process of the server to be gone."""
        self.exit_status()
        eventually(lambda: not self.processes(), "a process of the server outlived it")
        self.out.wait_for_end()
        self.err.wait_for_end()


@contextmanager
def serving(
    *arguments: str,
    expect: int = 0,
    warns: bool = False,
    wrapper: Sequence[str] = (),
    python: str = PYTHON.executable,
) -> Iterator[ServerProcess]:
    """Run a server for the length of a block, on a free port, and judge how it ended.

    arguments: of the command line. expect: its exit status; it is asked to stop where the block has
    left it running. warns: whether it may print warnings. wrapper: a command to run it under.
    python: the interpreter.
    """
    command = [python, "-m", "concurrency_models.run", "--port", "0", *arguments]
    process = subprocess.Popen(
        [*wrapper, *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    )
    server = ServerProcess(process)
    try:
        line = server.out.wait_for("listening on ")
        server.address = parse_address(line.partition("listening on ")[2].split()[0])
        yield server
        status = server.stop() if process.poll() is None else process.returncode
        server.check_nobody_is_left()
        assert status == expect, server.err.lines
        if not warns:
            assert server.err.lines == [], server.err.lines
        for line in server.err.lines:
            ours = line.startswith("concurrency_models: ")
            assert ours or line == CPYTHON_OUT_OF_MEMORY, server.err.lines
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def parse_address(text: str) -> Address:
    """Return the socket address that a server has printed."""
    if text.startswith("unix:"):
        return text.removeprefix("unix:")
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def eventually(
    condition: Callable[[], bool], otherwise: str, seconds: float = WAIT_SECONDS
) -> None:
    """Wait for something that sends no signal, such as a descriptor being closed."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, otherwise
        time.sleep(0.01)


def family_of(address: Address) -> socket.AddressFamily:
    if isinstance(address, str):
        return socket.AF_UNIX
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET
