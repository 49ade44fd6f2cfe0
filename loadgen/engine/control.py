"""The line between a worker and whoever started it, and what a worker says over it meanwhile."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from loadgen.engine.clock import NEVER
from loadgen.record.histogram import Histogram


class Control(Protocol):
    """The line to whoever started the worker: in use, a multiprocessing Connection."""

    def fileno(self) -> int: ...
    def send(self, obj: Any) -> None: ...
    def recv(self) -> Any: ...


class ParentGoneError(Exception):
    """The other end of the control line is gone; nobody wants the result."""


@dataclass(frozen=True)
class Window:
    """When a worker measures, in ns of its clock: what is answered from `opens` to `closes`.

    `begins` is when the load is put on again after it was off. `round` is a turn's, counted from 1;
    0 where the window is the only one of its run.
    """

    opens: int
    closes: int
    round: int = 0
    begins: int = NEVER


@dataclass(frozen=True)
class WorkerSnapshot:
    """How one worker is doing: counts of the whole run, and response times of the window so far."""

    answered: int
    connected: int
    served: int
    response: Histogram


class ControlLine:
    """The worker's end of the line: words of a kind and a value.

    It stands in the clients' poller, so that it costs the hot loop nothing; `obey` is called with
    each word that comes that way. Every method raises ParentGoneError when the line is broken.
    """

    steady = False

    def __init__(self, control: Control, obey: Callable[[str, Any], None]) -> None:
        self._control = control
        self._obey = obey

    def fileno(self) -> int:
        return self._control.fileno()

    def tell(self, kind: str, value: Any) -> None:
        """Say a word to the parent."""
        try:
            self._control.send((kind, value))
        except OSError as error:
            raise ParentGoneError from error

    def hear(self) -> tuple[str, Any]:
        """Wait for the parent's next word."""
        try:
            kind, value = self._control.recv()
        except (EOFError, OSError) as error:
            raise ParentGoneError from error
        return kind, value

    def ready(self, _event: int) -> None:
        """The parent said something, or is gone."""
        self._obey(*self.hear())
