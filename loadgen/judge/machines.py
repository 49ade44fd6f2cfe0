"""What each machine of a cluster did in a result, over all of its runs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from loadgen.judge.rows import Row
from loadgen.record.machine import MachineTally
from loadgen.record.result import Run


@dataclass(frozen=True)
class MachineFigures:
    """A machine over all runs. None stands for what was not measured.

    `messages_per_second` and `cpu_cores` are means over all windows: of the load that it put on and
    of its load workers, or of the server's processes where it serves. `busiest_worker_cpu`,
    `uncertainty_seconds` and `opened_late_seconds` are the worst of any run, `round_trip_seconds`
    the best, `offset_seconds` and `drift` the last.
    """

    name: str
    serves: bool
    workers: int
    messages_per_second: float | None
    cpu_cores: float | None
    busiest_worker_cpu: float | None
    round_trip_seconds: float | None
    offset_seconds: float | None
    uncertainty_seconds: float | None
    drift: float | None
    opened_late_seconds: float | None


def machines(found: Sequence[Row]) -> list[MachineFigures]:
    """The machines of all rows, the server's first; none where our own put the load on."""
    runs = [trial.run for row in found for trial in row.trials]
    every = [one for run in runs if run.tally is not None for one in run.tally.machines]
    names = sorted(
        dict.fromkeys(one.name for one in every), key=lambda name: not _serves(name, every)
    )
    return [_figures(name, runs) for name in names]


def _serves(name: str, every: Sequence[MachineTally]) -> bool:
    return any(one.serves for one in every if one.name == name)


def _figures(name: str, runs: Sequence[Run]) -> MachineFigures:
    own: list[MachineTally] = []
    seconds = cpu = 0.0
    for run in runs:
        for one in run.tally.machines if run.tally is not None else ():
            if one.name != name:
                continue
            assert run.tally is not None
            own.append(one)
            seconds += run.tally.window_seconds
            cpu += one.engine_cpu_seconds or 0.0
            if one.serves:
                cpu += run.server.cpu_seconds or 0.0
    workers = max(one.workers for one in own)
    late = [one.opened_late_seconds for one in own if one.opened_late_seconds is not None]
    return MachineFigures(
        name,
        _serves(name, own),
        workers,
        sum(one.messages for one in own) / seconds if seconds and workers else None,
        cpu / seconds if seconds else None,
        _most(one.busiest_worker_cpu for one in own),
        min((t for one in own if (t := one.round_trip_seconds) is not None), default=None),
        own[-1].offset_seconds,
        _most(one.uncertainty_seconds for one in own),
        own[-1].drift,
        max(late, key=abs, default=None),
    )


def _most(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
