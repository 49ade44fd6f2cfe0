"""The table of the machines of a cluster: what each did, and how well its clock is known."""

from collections.abc import Sequence
from typing import Final

from loadgen.judge import units
from loadgen.judge.machines import MachineFigures, machines
from loadgen.judge.rows import Row
from loadgen.judge.units import NOT_MEASURED
from loadgen.show.table import Table

OF_CPU: Final = (
    "CPU: cores busy in the windows, of the server's processes or of the load workers; busiest "
    "core: the share that the busiest worker used of its own."
)
OF_CLOCKS: Final = (
    "clock offset: what its clock reads more than ours, known to within +/-; only when windows "
    "open rests on it. opened late: by how much they did so, at the worst."
)


def machine_table(found: Sequence[Row]) -> Table | None:
    """A line for each machine, over all servers; None where our own put the load on."""
    every = machines(found)
    if not every:
        return None
    headers = (
        "machine", "part", "messages\n/s", "CPU", "busiest\ncore", "round\ntrip", "clock\noffset",
        "+/-", "opened\nlate",
    )  # fmt: skip
    return Table(
        "Machines",
        headers,
        tuple(map(_line, every)),
        words=(0, 1),
        spare=(4,),
        legend=(OF_CPU, OF_CLOCKS),
    )


def _line(one: MachineFigures) -> tuple[str, ...]:
    parts = ["serves"] if one.serves else []
    if one.workers:
        parts.append(f"{one.workers} worker{'s' if one.workers > 1 else ''}")
    return (
        one.name,
        ", ".join(parts) or NOT_MEASURED,
        units.rate(one.messages_per_second),
        units.number(one.cpu_cores),
        units.share(one.busiest_worker_cpu),
        units.seconds(one.round_trip_seconds),
        NOT_MEASURED if one.offset_seconds is None else f"{one.offset_seconds:+,.4f} s",
        units.seconds(one.uncertainty_seconds),
        _signed(one.opened_late_seconds),
    )


def _signed(seconds: float | None) -> str:
    if seconds is None:
        return NOT_MEASURED
    return f"{'-' if seconds < 0 else ''}{units.seconds(abs(seconds))}"
