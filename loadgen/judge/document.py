"""A whole result as JSON: the record, with everything that follows from it beside it."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from loadgen.judge.analysis import Analysis
from loadgen.judge.figures import Percentiles
from loadgen.judge.intervals import Estimate
from loadgen.judge.ranks import headline
from loadgen.judge.registry import (
    CONNECTIONS,
    CPU_PER_MESSAGE,
    LATENCY_P99,
    MEMORY,
    MESSAGES,
    RESPONSE_P99,
)
from loadgen.judge.rows import Row
from loadgen.judge.speeds import TwoSpeeds, Wandering

ESTIMATED: Final = (
    MESSAGES, CONNECTIONS, RESPONSE_P99, LATENCY_P99, CPU_PER_MESSAGE, MEMORY,
)  # fmt: skip
"""The figures that a summary has intervals of."""

_CLOCKS: Final = ("connect_seconds", "first_reply_seconds", "latency_seconds", "response_seconds")


def document(analysis: Analysis) -> dict[str, Any]:
    """The whole saved result.

    `curves` are only there where several loads make some, `rates` where they were searched for.
    """
    result = analysis.result
    judged = {id(trial.run): trial for row in analysis.rows for trial in row.trials}
    data = result.to_json()
    runs = []
    for run, plain in zip(result.runs, data["runs"], strict=True):
        trial = judged[id(run)]
        runs.append(
            {
                **{key: plain[key] for key in plain if key not in ("server", "kernel", "tally")},
                "figures": trial.figures.to_json(),
                "audit": {
                    "valid": trial.audit.valid,
                    "checks": [asdict(check) for check in trial.audit.checks],
                },
                "verdict": asdict(trial.verdict),
                **{key: plain[key] for key in ("server", "kernel", "tally")},
            }
        )
    derived: dict[str, Any] = {
        "summary": summary(analysis.rows),
        "warnings": list(analysis.cautions),
    }
    if analysis.curves:
        derived["curves"] = [curve.to_json() for curve in analysis.curves]
    if analysis.rates:
        derived["rates"] = [one.to_json() for one in analysis.rates]
    return {**data, "runs": runs, **derived}


def summary(found: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows as JSON: an entry per row, with intervals as objects of mean, low, high, trials."""
    return [
        {
            "name": row.name,
            "model": row.run.model,
            "label": row.run.label,
            "python": row.run.python,
            "gil": row.run.gil,
            "clients": row.run.clients,
            "trials": len(row.trials),
            "valid": row.valid,
            "rank": row.rank,
            "unranked": row.unranked,
            "ranked_by": headline(row.plan).path,
            "no_clear_difference_from": list(row.ties),
            "bound": row.bound.bound,
            "two_speeds": _json(row.speeds) if isinstance(row.speeds, TwoSpeeds) else None,
            "wandering": _json(row.speeds) if isinstance(row.speeds, Wandering) else None,
            "estimates": {path: _json(row.estimate(path)) for path in ESTIMATED},
            **{clock: _json(row.percentiles(clock)) for clock in _CLOCKS},
        }
        for row in found
    ]


def _json(found: Estimate | Percentiles | TwoSpeeds | Wandering | None) -> dict[str, Any] | None:
    return None if found is None else asdict(found)
