"""A server on this machine for somebody on another: run, watched, and stopped with the line.

The words that come over the line, each of which has an answer: `monitor` makes a new Monitor, which
samples from `watch` to `unwatch`, and its methods go by their names; `kernel` reads its counters;
`process` says whether the server runs and what it said; and, last of all, there is `stop`.
"""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any

from loadgen.fleet.server import ModelServer
from loadgen.plan.plan import Plan
from loadgen.record import kernel
from loadgen.record.monitor import Monitor
from loadgen.record.trace import ServerTrace
from loadgen.servers.problem import TargetError


@dataclass(frozen=True)
class LastWords:
    """What a server left behind, as `ServerProcess` has it."""

    output: list[str]
    connections_by_worker: tuple[int, ...] | None
    trace: ServerTrace | None


def serve(line: Connection, server: ModelServer, plan: Plan) -> None:
    """Have the server run until `stop`, or until the line ends.

    The first answer is a Running without its process, or the TargetError why there is none. Raises
    EOFError or OSError when the line ends.
    """
    with ExitStack() as stack:
        try:
            running = stack.enter_context(server.running(plan))
        except TargetError as error:
            line.send((False, error))
            return
        process = running.process
        assert process is not None
        line.send((True, replace(running, pid=None, process=None)))
        monitor = Monitor(None)
        while True:
            kind, value = line.recv()
            if kind == "stop":
                break
            answer: Any = None
            if kind == "monitor":
                monitor = Monitor(running.pid, running.note)
                stack.callback(monitor.__exit__)
            elif kind == "watch":
                monitor.__enter__()
            elif kind == "unwatch":
                monitor.__exit__()
            elif kind in ("window_opened", "window_closed", "load_taken_off", "cost"):
                answer = getattr(monitor, kind)(*value)
            elif kind == "kernel":
                answer = kernel.read()
            elif kind == "process":
                answer = process.running, process.output
            line.send((True, answer))
    words = LastWords(process.output, process.connections_by_worker, process.trace)
    line.send((True, words))
