"""What one machine of a cluster did in a run, and how well its clock is known."""

from __future__ import annotations

from dataclasses import dataclass

from loadgen.record import number


@dataclass(frozen=True, slots=True)
class MachineTally:
    """One machine's part of a run. None stands for what was not measured.

    `name` is what the cluster calls it; `serves` says that the server ran there. Of the load it put
    on: `workers`, `messages` and `payload_bytes` in the window, CPU of its workers in the window
    and the share of a core that the busiest used (0 to 1). `round_trip_seconds` is the quickest
    that was seen from here to there and back. `offset_seconds` is what its clock read more than
    ours as the run ended, `uncertainty_seconds` by how much that may be wrong at any moment of the
    run, either way, and `drift` by how
    much faster it ran. `opened_late_seconds` is by how much its windows opened after they were to,
    at the worst, negative for too early: by our clock. `link_bits_per_second` is the speed of its
    link to the network, `cores` how many cores' worth of time it has to use. `beside_server` says
    that it is the server's own hardware, `lost` what became of it where it was lost.
    """

    name: str
    serves: bool = False
    workers: number.Count = 0
    messages: number.Count = 0
    payload_bytes: number.Count = 0
    engine_cpu_seconds: float | None = None
    busiest_worker_cpu: float | None = None
    round_trip_seconds: float | None = None
    offset_seconds: float | None = None
    uncertainty_seconds: float | None = None
    drift: float | None = None
    opened_late_seconds: float | None = None
    link_bits_per_second: float | None = None
    cores: float | None = None
    beside_server: bool = False
    lost: str | None = None
