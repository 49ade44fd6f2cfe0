"""The two sides of a benchmark: servers to start and stop, clients that return a rate.

The server is pinned to the first core that this process may use and the client to the last, so that
what is compared is what a core can do.
"""

import contextlib
import csv
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import psutil

from loadgen.fleet.conductor import run_load
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record.tally import Tally

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CLIENTS = 100
SIZE = 64
WARMUP_SECONDS = 0.3


class MissingError(Exception):
    """What a benchmark needs is not here, or not as it should be; the text says what to do."""


@cache
def compiled(name: str) -> Path:
    """The C program of that name, compiled once per run."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise MissingError("no C compiler: install gcc (Debian: apt install gcc libc6-dev)")
    binary = _scratch() / name
    source = HERE / f"{name}.c"
    command = [compiler, "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(binary), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MissingError(f"{source.name} does not compile here: {done.stderr.strip()}")
    return binary


_kept: list[tempfile.TemporaryDirectory[str]] = []


def _scratch() -> Path:
    """A directory that goes when the process does."""
    if not _kept:
        _kept.append(tempfile.TemporaryDirectory(prefix="benchmarks-"))
    return Path(_kept[0].name)


def cores() -> tuple[set[int], set[int]]:
    """The server's core and the client's."""
    allowed = sorted(os.sched_getaffinity(0))
    return {allowed[0]}, {allowed[-1]}


@contextlib.contextmanager
def starting_on(chosen: set[int]) -> Iterator[None]:
    """What this thread starts meanwhile runs on the chosen cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, chosen)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True)
class Server:
    """A server to start: its command, which prints its port, alone or as HOST:PORT."""

    name: str
    command: tuple[str, ...]
    prefix: str = ""

    @contextlib.contextmanager
    def running(self) -> Iterator["Running"]:
        """Have it run on its core while this lasts."""
        with starting_on(cores()[0]):
            process = subprocess.Popen(
                self.command,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                cwd=ROOT,
            )
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            found = re.search(r"(?:^|[^ ]:)(\d+)", line)
            if found is None:
                raise MissingError(f"{self.name} did not start: it printed {line!r}")
            yield Running(self, int(found[1]), process.pid)
        finally:
            children = psutil.Process(process.pid).children(recursive=True)
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            _, alive = psutil.wait_procs(children, timeout=2)
            for child in alive:
                child.kill()
            process.stdout.close()


@dataclass(frozen=True)
class Running:
    """A server that runs."""

    server: Server
    port: int
    pid: int

    @property
    def endpoint(self) -> Endpoint:
        """Where the engine finds it."""
        return Endpoint("inet", "127.0.0.1", self.port)


def c_server(prefix: str = "") -> Server:
    """The C epoll echo server."""
    return Server("C epoll", (str(compiled("echo_server")), prefix), prefix)


def null_server() -> Server:
    """What the engine's own ceiling is measured against."""
    command = (sys.executable, "-m", "loadgen.servers.null_server", "inet", "tcp", "loop")
    return Server("null server", command)


def bare_server(name: str) -> Server:
    """A model's bare counterpart."""
    command = (sys.executable, "-m", "concurrency_models.bare", name, "--port", "0")
    return Server(f"bare {name}", command)


def lean_server(name: str) -> Server:
    """A model's counterpart that copies nothing, for messages of any size."""
    command = (sys.executable, "-m", "tests.benchmarks.lean_servers", name)
    return Server(f"lean {name}", command, "received: ")


def model_server(name: str, *options: str) -> Server:
    """One of the kit's models, under length framing, with room in its queue for every client."""
    command = (sys.executable, "-m", "concurrency_models.run", "--model", name, "--port", "0")
    return Server(name, (*command, "--backlog", "4096", *options), "received: ")


def traced_server(name: str) -> Server:
    """The same model, which notes each message."""
    return model_server(name, "--trace", str(_scratch() / f"{name}.trace"))


@dataclass(frozen=True)
class Reached:
    """What a client did within its window: rates per second, and its own CPU seconds in it."""

    messages: float
    connections: float
    cpu_seconds_per_message: float


def c_run(
    running: Running, seconds: float, clients: int = CLIENTS, churn: int = 0, size: int = SIZE
) -> Reached:
    """A run of the C client; with `churn`, so many messages per connection."""
    numbers = _output(
        str(compiled("load_client")),
        *(str(value) for value in (running.port, clients, seconds, size)),
        running.server.prefix,
        "length",
        str(churn),
    ).split()
    messages, connections, measured, wrong, _, cpu = (float(number) for number in numbers)
    if wrong:
        raise MissingError(f"{running.server.name} gave the C client {wrong:.0f} wrong replies")
    if not messages:
        raise MissingError(f"{running.server.name} did not answer the C client in {seconds:g} s")
    return Reached(messages / measured, connections / measured, cpu / messages)


def c_client(running: Running, seconds: float) -> float:
    """Messages per second of the C client."""
    return c_run(running, seconds).messages


def c_churn(running: Running, seconds: float) -> float:
    """Connections per second of ten C clients that connect, send one message, and close."""
    return c_run(running, seconds, clients=10, churn=1).connections


def c_client_of(size: int, clients: int) -> Callable[[Running, float], float]:
    """Messages per second of so many C clients whose messages have so many bytes."""
    return lambda running, seconds: c_run(running, seconds, clients=clients, size=size).messages


def page_faults_per_message(running: Running, size: int, clients: int, seconds: float) -> float:
    """Page faults of the server and its children for each message, while messages go round."""
    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(c_run, running, seconds, clients=clients, size=size)
        time.sleep(WARMUP_SECONDS + seconds / 3)  # connected, and warm
        before, start = _page_faults(running.pid), time.monotonic()
        time.sleep(seconds / 3)
        faults, passed = _page_faults(running.pid) - before, time.monotonic() - start
        return faults / (passed * load.result().messages)


def _page_faults(pid: int) -> int:
    """Minor page faults so far of a process and its children, proc(5)."""
    server = psutil.Process(pid)
    total = 0
    for process in (server, *server.children(recursive=True)):
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[7])
    return total


def c_messages_per_cpu_second(running: Running, seconds: float) -> float:
    """Messages of the C client per second of its own CPU."""
    return 1 / c_run(running, seconds).cpu_seconds_per_message


def engine_client(running: Running, seconds: float) -> float:
    """Messages per second of one engine worker."""
    return engine_client_of(SIZE, CLIENTS)(running, seconds)


def engine_client_of(size: int, clients: int) -> Callable[[Running, float], float]:
    """Messages per second of one engine worker with so many clients and so many bytes a message."""

    def rate(running: Running, seconds: float) -> float:
        tally = engine_tally(running, Plan((Group(clients, size_bytes=size),)), seconds)
        return tally.groups[0].answered_in_window / tally.window_seconds

    return rate


def engine_messages_per_cpu_second(running: Running, seconds: float) -> float:
    """Messages of one engine worker per second of its own CPU."""
    tally = engine_tally(running, Plan((Group(CLIENTS, size_bytes=SIZE),)), seconds)
    if not tally.engine_cpu_seconds:
        raise MissingError("the engine's window never opened")
    return tally.groups[0].answered_in_window / tally.engine_cpu_seconds


def engine_tally(running: Running, plan: Plan, seconds: float) -> Tally:
    """What the engine counted, on the client's core."""
    plan = replace(
        plan,
        reply_prefix=running.server.prefix.encode(),
        duration_seconds=seconds,
        warmup_seconds=WARMUP_SECONDS,
        pin=True,
    )
    return run_load(plan, running.endpoint)


def blocking_client(running: Running, seconds: float) -> float:
    """Messages per second of a blocking Python client per process."""
    program = "tests.benchmarks.blocking_clients"
    arguments = (str(running.port), str(CLIENTS), str(seconds))
    return float(_output(sys.executable, "-m", program, *arguments))


def locust_client(running: Running, seconds: float) -> float:
    """Messages per second of locust with a raw socket user, over its own measured time."""
    locust = shutil.which("locust")
    if locust is None:
        raise MissingError("locust is not installed: pip install locust")
    stats = _scratch() / "locust"
    # Beside the window, locust takes a second to bring its users up.
    _output(
        *(locust, "-f", str(HERE / "locust_user.py"), "--headless", "--only-summary"),
        *("-u", str(CLIENTS), "-r", str(CLIENTS), "-t", f"{round(seconds + 2)}s"),
        *("--csv", str(stats), "--loglevel", "ERROR"),
        ECHO_PORT=str(running.port),
    )
    with Path(f"{stats}_stats.csv").open(newline="") as file:
        total = next(row for row in csv.DictReader(file) if row["Name"] == "Aggregated")
    if int(total["Failure Count"]):
        raise MissingError(f"locust counted {total['Failure Count']} failures")
    return float(total["Requests/s"])


def _output(*command: str, **environment: str) -> str:
    """What a client prints, run on the client's core."""
    with starting_on(cores()[1]):
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env={**os.environ, **environment},
        )
    if done.returncode:
        problem = (done.stderr or done.stdout).strip()[-300:]
        raise MissingError(f"{Path(command[0]).name} failed: {problem}")
    return done.stdout
