"""The registry of models: what there is, what each needs, and where its one file stands.

No backend is imported before it is used, so that listing them costs nothing and a missing package
hurts only the models that need it.
"""

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from concurrency_models.settings import FAMILIES, POOL_PROCESSES, POOL_THREADS

if TYPE_CHECKING:
    from concurrency_models.server import Server


@dataclass(frozen=True)
class Model:
    """One way to serve many clients.

    name: as `--model` takes it. summary: how it serves, in a few words. group: `core` (the course),
    `stdlib` (the rest that needs nothing installed) or `extra`. requires: packages to install.
    transports, families: which it serves; UDP means something only to some. at_once: how many
    clients it serves at a time, as it is by default; None for as many as come. pool: how many
    workers serve those, unless `--workers` says otherwise; None where that changes nothing.
    spreads: whether its clients are spread over processes, as many as `--workers` says, of which
    each takes any number.
    takes: which keys of `EFFECTS` mean something to it.
    share_port: whether it has several listeners at its port. python: the oldest version that it
    runs under. lacking: what a system, as `sys.platform` names it, does not give that the model
    needs. file: its file's name, where the model's own name would hide a module of that name from
    whatever runs in this folder.
    """

    name: str
    summary: str
    group: str = "stdlib"
    requires: tuple[str, ...] = ()
    transports: tuple[str, ...] = ("tcp",)
    families: tuple[str, ...] = tuple(FAMILIES)
    at_once: int | None = None
    pool: int | None = None
    spreads: bool = False
    takes: tuple[str, ...] = ()
    share_port: bool = False
    python: tuple[int, int] = (3, 11)
    lacking: Mapping[str, str] = field(default_factory=dict, hash=False)
    file: str | None = None

    @property
    def module(self) -> str:
        """The name of the module that serves this way, within this package."""
        return self.file or self.name.replace("-", "_")

    def serves(self, workers: int | None = None, max_clients: int | None = None) -> int | None:
        """How many clients it serves at a time with those settings; None for as many as come."""
        most = self.at_once
        if most is not None and self.pool is not None and workers is not None:
            most = most * workers // self.pool
        return min((one for one in (most, max_clients) if one is not None), default=None)

    def unavailable(self) -> str | None:
        """Return what is missing and what to do about it, or None when the model can run."""
        if sys.version_info < self.python:
            here = sys.version.partition(" ")[0]
            return f"needs Python {'.'.join(map(str, self.python))} or later, and this is {here}"
        if sys.platform in self.lacking:
            import platform  # noqa: PLC0415 - for this sentence alone

            return f"not on {platform.system()}: {self.lacking[sys.platform]}"
        missing = [name for name in self.requires if importlib.util.find_spec(name) is None]
        return f"pip install {' '.join(missing)}" if missing else None

    def import_serve(self, transport: str = "tcp") -> "Callable[[Server], None]":
        """Import the model's file and return its `serve`, or `serve_datagrams` for "udp".

        Raises ImportError when unavailable, RegistryError when file and row do not match.
        """
        if importlib.util.find_spec(f"{__name__}.{self.module}") is None:
            raise RegistryError(
                f"the model {self.name!r} has a row in the registry and no file; "
                f"write {FOLDER}/{self.module}.py, or take the row out of {FOLDER}/__init__.py"
            )
        name = "serve_datagrams" if transport == "udp" else "serve"
        serve = getattr(importlib.import_module(f"{__name__}.{self.module}"), name, None)
        if serve is None:
            raise RegistryError(
                f"{FOLDER}/{self.module}.py has no function {name}(server), which serves "
                f"{transport} for the model {self.name!r}"
            )
        return cast("Callable[[Server], None]", serve)


class RegistryError(Exception):
    """A row of the registry that does not match the files; its text says what to do."""


FOLDER: Final = __name__.rpartition(".")[2]

TCP_AND_UDP: Final = ("tcp", "udp")

EFFECTS: Final = {
    "--workers": "has a pool of workers",
    "--start-method": "has multiprocessing start processes",
}
"""Options that mean nothing to many models, each with what it takes for them to mean something."""

THREADS: Final = ("--workers",)
PROCESSES: Final = ("--workers", "--start-method")
"""What pools take."""

MODELS: Final[dict[str, Model]] = {
    model.name: model
    for model in (
        Model(
            "iterative",
            "one client at a time, the others wait",
            "core",
            transports=TCP_AND_UDP,
            at_once=1,
        ),
        Model(
            "process",
            "a process per client (multiprocessing.Process)",
            "core",
            takes=("--start-method",),
        ),
        Model("fork", "a process per client (socketserver.ForkingTCPServer)"),
        Model(
            "prefork",
            "a pool of processes that accept on one listener",
            at_once=POOL_PROCESSES,
            pool=POOL_PROCESSES,
            takes=PROCESSES,
        ),
        Model("thread", "a thread per client (threading.Thread)", "core", transports=TCP_AND_UDP),
        Model(
            "thread-pool",
            "a pool of threads, the others wait",
            at_once=POOL_THREADS,
            pool=POOL_THREADS,
            takes=THREADS,
        ),
        Model(
            "executor-threads",
            "a pool of threads (concurrent.futures.ThreadPoolExecutor)",
            at_once=POOL_THREADS,
            pool=POOL_THREADS,
            takes=THREADS,
        ),
        Model(
            "accept-threads",
            "a pool of threads that each accept",
            at_once=POOL_THREADS,
            pool=POOL_THREADS,
            takes=THREADS,
        ),
        Model(
            "socketserver",
            "a thread per client (socketserver.ThreadingTCPServer)",
            "core",
            transports=TCP_AND_UDP,
            file="socketserver_threads",
        ),
        Model(
            "selectors",
            "one thread, non-blocking sockets (selectors)",
            "core",
            transports=TCP_AND_UDP,
            file="selectors_loop",
        ),
        Model("selectors-pool", "an event loop, and a pool of threads that answer", takes=THREADS),
        Model(
            "process-threads",
            "a pool of processes, each with a pool of threads (gunicorn's gthread)",
            at_once=POOL_PROCESSES * POOL_THREADS,
            pool=POOL_PROCESSES,
            takes=PROCESSES,
        ),
        Model(
            "executor-processes",
            "a pool of processes (concurrent.futures.ProcessPoolExecutor)",
            at_once=POOL_PROCESSES,
            pool=POOL_PROCESSES,
            takes=PROCESSES,
        ),
        Model(
            "reuseport",
            "an event loop per core, each with its own listener (SO_REUSEPORT)",
            families=("inet", "inet6"),
            spreads=True,
            takes=PROCESSES,
            share_port=True,
            lacking={"darwin": "its SO_REUSEPORT gives all clients to one of the listeners"},
        ),
        Model(
            "fd-passing",
            "one process accepts, others get the sockets (socket.send_fds)",
            spreads=True,
            takes=PROCESSES,
            lacking={"darwin": "a socket that is sent and closed at once may be lost on its way"},
        ),
        Model(
            "subinterpreters",
            "an event loop per core in one process (concurrent.interpreters)",
            takes=THREADS,
            python=(3, 14),
        ),
        Model("asyncio-server", "a coroutine per client (asyncio.start_server)"),
        Model("asyncio-streams", "a coroutine per client (asyncio's streams)"),
        Model(
            "asyncio-protocol",
            "callbacks on asyncio's event loop (asyncio.Protocol)",
            transports=TCP_AND_UDP,
        ),
        Model(
            "uvloop",
            "asyncio-protocol on the event loop of uvloop",
            "extra",
            ("uvloop",),
            transports=TCP_AND_UDP,
            file="uvloop_protocol",
        ),
        Model(
            "gevent",
            "a greenlet per client (gevent)",
            "extra",
            ("gevent",),
            file="gevent_greenlets",
        ),
        Model(
            "trio",
            "a task per client, in a nursery (trio)",
            "extra",
            ("trio",),
            file="trio_tasks",
        ),
    )
}
"""Every model by name, in the order in which a course meets them."""


def forgotten_row(name: str) -> str | None:
    """Return what to do about a model's name that has a file and no row, or None for any other."""
    if name.replace("-", "_") not in without_row():
        return None
    return (
        f"{name!r} has a file and no row in the registry: add "
        f'Model("{name}", "how it serves") to MODELS in {FOLDER}/__init__.py'
    )


def without_row() -> list[str]:
    """Return the names of the files in this folder that no row of the registry knows."""
    known = {"concurrency_models", *(model.module for model in MODELS.values())}
    return sorted({found.name for found in pkgutil.iter_modules(__path__)} - known)
