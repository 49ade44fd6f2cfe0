"""The highest rates that were found, as text: a table for each bound, a row per server."""

from collections.abc import Sequence
from dataclasses import replace

from loadgen.judge import units
from loadgen.judge.rates import RESPONSE, FoundRate, rate_of
from loadgen.judge.registry import figure_of
from loadgen.judge.requirement import parse
from loadgen.plan.plan import Plan
from loadgen.plan.rate_search import RateSearch
from loadgen.show.table import Table

_BETWEEN = (
    "messages/s: the highest rate that held, in an open loop; the highest of all lies between that "
    "and the lowest above it that failed."
)
_HELD = (
    "held: how many trials at that rate did, and how long they were. A trial fails as well when "
    "the server falls behind the rate, leaves anybody waiting or makes an error."
)


def tables_of(found: Sequence[FoundRate]) -> list[Table]:
    """A table for each bound with a row for each server, the last one with what its words mean."""
    bounds = list(dict.fromkeys(one.bound for one in found))
    made = [_table(bound, [one for one in found if one.bound == bound]) for bound in bounds]
    if made:
        made[-1] = replace(made[-1], notes=_notes(found))
    return made


def _table(bound: str, found: Sequence[FoundRate]) -> Table:
    """Every server: the rate, between which ones the highest lies, and what failed above."""
    lines = [
        (
            one.name,
            units.rate(one.rate),
            _interval(one),
            f"{one.held} of {one.trials}, {one.seconds:g} s" if one.trials else units.NOT_MEASURED,
            _above(one),
        )
        for one in found
    ]
    headers = ("server", "messages\n/s", "between", "held", "above it")
    return Table(f"Highest rate with {bound_words(bound)}", headers, tuple(lines), words=(0, 4))


def _notes(found: Sequence[FoundRate]) -> tuple[str, ...]:
    said = [_BETWEEN, _HELD]
    if any(one.bound.startswith(RESPONSE) for one in found):
        said.append("response counts from when a message was due, however late it was sent.")
    if rough := [one.name for one in found if not one.sure]:
        said.append(
            f"not found to the end: {', '.join(dict.fromkeys(rough))}; what shorter trials showed "
            "stands in its place."
        )
    if any(one.generator for one in found):
        said.append(
            "generator: the load generator was the limit, so that the server can do the rate at "
            "least; more --workers may show more."
        )
    return tuple(said)


def sentences(found: Sequence[FoundRate], search: RateSearch) -> list[tuple[str, str]]:
    """The name of each server and a sentence on each of its bounds."""
    return [(one.name, sentence(one, search)) for one in found]


def sentence(one: FoundRate, search: RateSearch) -> str:
    """What was found of one server and bound."""
    bound = bound_words(one.bound)
    if one.rate is None:
        if one.failed is None:
            return f"{bound}: no rate was found ({one.why or 'there was no time'})"
        lowest = one.failed <= search.lowest
        tried = "the lowest rate" if lowest else "the lowest rate that was tried"
        return f"{bound}: not even at {tried}, {units.rate(one.failed)}/s ({one.why})"
    said = f"{bound}: up to {units.rate(one.rate)} messages/s"
    if one.failed is None:
        if one.rate < search.highest:
            return f"{said}, and more was not tried"
        return f"{said} or more: the load generator can do no more on this machine"
    said += f", not at {units.rate(one.failed)} ({one.why})"
    return f"{said}, where the load generator was the limit" if one.generator else said


def bound_words(text: str) -> str:
    """A bound as people read it: "response p99 < 10.0 ms"."""
    bound = parse(text)
    figure = figure_of(bound.path)
    return f"{figure.label} {bound.comparison} {figure.unit.said(bound.bound)}"


def trial_words(plan: Plan) -> str:
    """What tells one trial of a search from the others, in a few words."""
    rate = rate_of(plan)
    return (
        "closed loop" if rate is None else f"{units.rate(rate)}/s for {plan.duration_seconds:g} s"
    )


def _interval(one: FoundRate) -> str:
    if one.rate is None:
        return units.NOT_MEASURED if one.failed is None else f"below {units.rate(one.failed)}"
    low = units.rate(one.rate)
    return f"{low} or more" if one.failed is None else f"{low} to {units.rate(one.failed)}"


def _above(one: FoundRate) -> str:
    if one.failed is None:
        return one.why or "not tried"
    return f"generator: {one.why}" if one.generator else one.why
