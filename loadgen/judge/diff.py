"""Two results side by side, figure by figure, as far as they measured the same."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from loadgen.judge.analysis import Analysis
from loadgen.judge.intervals import CONFIDENCE, Estimate, Ratio, holm
from loadgen.judge.names import separated
from loadgen.judge.ranks import ONE_TRIAL, headline
from loadgen.judge.registry import CPU_PER_MESSAGE, LATENCY_P99, MEMORY, MESSAGES, Better, figure_of
from loadgen.judge.rows import LOAD, Row, load_of
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record import environment

NOT_MEASURED = "not measured"
NO_DIFFERENCE = "no clear difference"
NO_INTERVAL = "no interval"
UNLIMITED = ("messages_per_connection", "messages_per_client", "connect_rate")
"""What None does not bound; elsewhere None is what there is none of."""


class ComparisonError(Exception):
    """Two results that cannot be compared; its text is one sentence for a person."""


@dataclass(frozen=True)
class Change:
    """One figure in two results.

    `ratio` is B over A; `verdict` is "better", "worse", "no clear difference", "not measured", or
    why there is no interval to tell: "one trial", or "no interval" where some trial has 0 or none.
    """

    path: str
    a: Estimate | None
    b: Estimate | None
    ratio: Ratio | None
    verdict: str


@dataclass(frozen=True)
class Difference:
    """Two rows of the same load, figure by figure. `a` and `b` are the rows' names."""

    a: str
    b: str
    changes: tuple[Change, ...]


def diff(a: Analysis, b: Analysis) -> tuple[list[Difference], list[str]]:
    """Two results set side by side, and what to mind when reading that.

    Rows with the same name and load are paired; two results of a single row each are paired
    whatever served them. Raises ComparisonError when the loads differ or nothing can be paired.
    """
    if a.result.rate_search is not None or b.result.rate_search is not None:
        raise ComparisonError(
            "a search for the highest rate chooses the rates of its trials, so that they cannot be "
            "paired; what was found stands in each result's own table"
        )
    pairs = _pairs(a.rows, b.rows)
    return _all_at_once([_difference(*pair) for pair in pairs]), _minds(a, b, pairs)


def _pairs(left: Sequence[Row], right: Sequence[Row]) -> list[tuple[Row, Row]]:
    if not left or not right:
        raise ComparisonError("one of the two results holds no run")
    if len(left) == len(right) == 1:
        if load_of(left[0].plan) != load_of(right[0].plan):
            raise ComparisonError(_unlike(left[0].plan, right[0].plan))
        return [(left[0], right[0])]
    there = {(row.name, load_of(row.plan)): row for row in right}
    pairs = [
        (row, there[row.name, load_of(row.plan)])
        for row in left
        if (row.name, load_of(row.plan)) in there
    ]
    if pairs:
        return pairs
    if {load_of(row.plan) for row in left}.isdisjoint(load_of(row.plan) for row in right):
        raise ComparisonError(_unlike(left[0].plan, right[0].plan))
    raise ComparisonError(
        f"nothing was measured in both: A has {_names(left)}, B has {_names(right)}"
    )


def _minds(a: Analysis, b: Analysis, pairs: Sequence[tuple[Row, Row]]) -> list[str]:
    """What else differs than the servers, and which ratios not to rely on."""
    said = [
        f"{row.name} in {side}: the run failed its audit, so its ratios mean nothing; measure again"
        for pair in pairs
        for side, row in zip("AB", pair, strict=True)
        if not row.valid
    ]
    apart = environment.differences(a.result.environment, b.result.environment)
    if apart:
        said.append(
            "the machine or the interpreter differs, so the ratios measure that as well: "
            + "; ".join(apart)
        )
    first, second = pairs[0][0].plan, pairs[0][1].plan
    said += [
        f"{name.replace('_', ' ')} differs: {_said(name, first)} and {_said(name, second)}"
        for name in ("duration_seconds", "warmup_seconds", "workers", "pin")
        if getattr(first, name) != getattr(second, name)
    ]
    alone = {row.name for row in (*a.rows, *b.rows)} - {row.name for pair in pairs for row in pair}
    if alone:
        said.append(f"only in one of the two, so left out: {separated(sorted(alone))}")
    if any(len(row.trials) < 2 for pair in pairs for row in pair):
        said.append("a single trial has no interval: measure with --trials 3 or more to be sure")
    return said


def _difference(a: Row, b: Row) -> Difference:
    paths = dict.fromkeys((headline(a.plan).path, MESSAGES, LATENCY_P99, CPU_PER_MESSAGE, MEMORY))
    return Difference(a.name, b.name, tuple(_change(path, a, b) for path in paths))


def _change(path: str, a: Row, b: Row) -> Change:
    before, after, quotient = a.estimate(path), b.estimate(path), b.ratio_across(path, a)
    verdict = NOT_MEASURED
    if before is not None and after is not None:
        one = min(len(a.trials), len(b.trials)) < 2
        verdict = ONE_TRIAL if one else NO_INTERVAL
    return Change(path, before, after, quotient, verdict)


def _all_at_once(differences: Sequence[Difference]) -> list[Difference]:
    """The same with their verdicts, where there are intervals to tell by.

    All that is told at once is judged at once (Holm's procedure, see `intervals`): of two results
    that are alike in everything, one figure or another differs once in 20 times at most.
    """
    p_values = {
        (difference, change): change.ratio.p_value
        for difference in differences
        for change in difference.changes
        if change.ratio is not None and change.ratio.p_value is not None
    }
    adjusted = holm(p_values)

    def judged(difference: Difference, change: Change) -> Change:
        p_value = adjusted.get((difference, change))
        if change.ratio is None or p_value is None:
            return change
        verdict = NO_DIFFERENCE
        if p_value <= 1 - CONFIDENCE:
            higher_is_better = figure_of(change.path).better is Better.HIGHER
            verdict = "better" if (change.ratio.mean > 1) == higher_is_better else "worse"
        return replace(change, verdict=verdict)

    return [
        replace(one, changes=tuple(judged(one, change) for change in one.changes))
        for one in differences
    ]


def _unlike(a: Plan, b: Plan) -> str:
    said = [
        f"{name.replace('_', ' ')} {_said(name, a)} and {_said(name, b)}"
        for name in LOAD
        if getattr(a, name) != getattr(b, name)
    ]
    if len(a.groups) != len(b.groups):
        said.append(f"{len(a.groups)} and {len(b.groups)} groups of clients")
    else:
        for one, other in zip(a.groups, b.groups, strict=True):
            said += [
                f"{name.replace('_', ' ')} {_said(name, one)} and {_said(name, other)}"
                for name, value in asdict(one).items()
                if value != getattr(other, name)
            ]
    return f"the loads differ, so the figures cannot be compared: {'; '.join(said)}"


def _said(name: str, of: Plan | Group) -> str:
    """A value of a plan or a group as people say it."""
    value = getattr(of, name)
    if value is None:
        return "unlimited" if name in UNLIMITED else "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return repr(value)[1:] if isinstance(value, bytes) else str(value)


def _names(found: Sequence[Row]) -> str:
    return separated([row.name for row in found])
