"""What one result means, worked out once for all who tell it: tables, JSON, report, experiments."""

from dataclasses import dataclass

from loadgen.judge.cautions import cautions
from loadgen.judge.curves import P99_BOUND_SECONDS, Curve, curves
from loadgen.judge.ranks import ranked
from loadgen.judge.rates import FoundRate, found_rates
from loadgen.judge.rows import Row, rows_by_load
from loadgen.record.result import Result


@dataclass(frozen=True)
class Analysis:
    """A result with what follows from it.

    `rows` has one for each server and load, with its trials, their audits and verdicts: the best
    first within a load, unsound ones after them, smaller loads first. `cautions` say what not to
    rely on, a sentence each, the gravest first. `rates` is what a search for the highest rate
    found; empty where there was none.
    """

    result: Result
    rows: tuple[Row, ...]
    curves: tuple[Curve, ...]
    cautions: tuple[str, ...]
    rates: tuple[FoundRate, ...] = ()


def analyse(result: Result) -> Analysis:
    """Judge a result, be it measured just now or saved by an older version.

    Raises RecordError for a search whose bounds cannot be read.
    """
    bound = P99_BOUND_SECONDS if result.p99_bound_seconds is None else result.p99_bound_seconds
    rows = tuple(row for same in rows_by_load(result) for row in ranked(same))
    return Analysis(
        result,
        rows,
        tuple(curves(rows, bound)),
        tuple(cautions(result, rows)),
        tuple(found_rates(result, rows)),
    )
