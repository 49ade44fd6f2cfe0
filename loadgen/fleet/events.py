"""What the caller of a run is told while it goes on."""

from dataclasses import dataclass


@dataclass(frozen=True)
class WindowOpened:
    """The measured window is open. `monotonic` is its time.monotonic()."""

    monotonic: float


@dataclass(frozen=True)
class WindowClosed:
    """The measured window is over. `monotonic` is its time.monotonic()."""

    monotonic: float


@dataclass(frozen=True)
class Snapshot:
    """How the run is doing.

    `seconds` since the load started; `answered`, `connected` and `served` since then; `rate` in
    messages/s since the snapshot before; `p99` of the response time in seconds, of the window so
    far (of the warm-up before it), or None.
    """

    seconds: float
    answered: int
    rate: float
    p99: float | None
    connected: int
    served: int


Event = WindowOpened | WindowClosed | Snapshot
