"""A server that runs in a thread of its own, so that several start, and stop, side by side."""

import threading
from types import TracebackType
from typing import Self

from loadgen.fleet.server import Running, Server
from loadgen.plan.plan import Plan


class Host:
    """Has a server run from the start of a block to its end, as a context manager.

    Entering does not wait for it: `running` does. A thread starts the server, stays, and stops it,
    since the kernel ends a server with the thread that started it (PR_SET_PDEATHSIG of prctl(2)).
    `release` begins the stopping; leaving the block waits until it has stopped.
    """

    def __init__(self, server: Server, plan: Plan) -> None:
        self._server = server
        self._plan = plan
        self._running: Running | None = None
        self._error: Exception | None = None
        self._settled = threading.Event()
        self._released = threading.Event()
        # A daemon: whoever gives up with a second Ctrl-C is not kept waiting, and the server then
        # ends with this program.
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
        self._thread.join()

    def release(self) -> None:
        """Have the server stopped, without waiting for it."""
        self._released.set()

    def running(self) -> Running:
        """Wait until it runs. Raises TargetError when it does not start."""
        self._settled.wait()
        if self._running is None:
            assert self._error is not None
            raise self._error
        return self._running

    def _run(self) -> None:
        try:
            with self._server.running(self._plan) as self._running:
                self._settled.set()
                self._released.wait()
        except Exception as error:  # noqa: BLE001 - whoever waits for the server gets it
            self._error = error
        finally:
            self._settled.set()
