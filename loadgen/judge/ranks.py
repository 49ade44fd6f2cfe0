"""Which of the rows under one load is first: only sound ones are ranked, and by one figure.

Rows that share a rank cannot be told apart. All pairs of rows are held against each other at once
(Holm's procedure, see `intervals`), so that of servers that are alike any two are told apart once
in 20 comparisons at most, however many there are.
"""

import itertools
from collections.abc import Sequence
from dataclasses import replace

from loadgen.judge.intervals import CONFIDENCE, holm
from loadgen.judge.registry import (
    CONNECTIONS,
    FIGURES,
    MEMORY,
    MESSAGES,
    RESPONSE_P99,
    Better,
    Figure,
)
from loadgen.judge.rows import Row
from loadgen.plan.plan import Plan

# All trials together; less holds too few scheduler slices, garbage collections and timer ticks to
# rank by. How short one of them is does not matter to an interval that stands on several.
LEAST_SECONDS = 2.0

ONE_TRIAL = "one trial"
TOO_SHORT = "too short"


def headline(plan: Plan) -> Figure:
    """What a load is ranked by.

    Connections/s where clients come and go, memory where all of them stay silent, the response
    time's p99 where the rate is given, and messages/s otherwise.
    """
    talking = [group for group in plan.groups if not group.silent]
    if not talking:
        return FIGURES[MEMORY]
    if any(group.messages_per_connection is not None for group in talking):
        return FIGURES[CONNECTIONS]
    return FIGURES[RESPONSE_P99 if all(group.open_loop for group in talking) else MESSAGES]


def ranked(same: Sequence[Row]) -> list[Row]:
    """Rows of one load in the order of their values, the best first, and ranked; unsound ones last.

    A row shares the rank of the row above it unless a row of that rank is clearly better; then its
    rank is its own place among the ranked ones. So ranks never fall on the way down, and no two
    rows of one rank can be told apart. Counting the clearly better ones would not do: a wide
    interval hides differences, so that of three rows the last may tie with the first while the one
    between them does not, and it would stand above what is faster.
    """
    kind = headline(same[0].plan)

    def order(row: Row) -> tuple[bool, float]:
        value = row.value(kind.path) or 0.0
        # One trial shows no spread, yet its figures are as sound as the ranked ones.
        unsound = row.unranked not in (None, ONE_TRIAL)
        return unsound, -value if kind.better is Better.HIGHER else value

    found = sorted((replace(row, unranked=_why_unranked(row)) for row in same), key=order)
    sound = [row for row in found if row.unranked is None]
    if len(sound) < 2:
        return found
    apart = _told_apart(sound, kind.path)
    ties = [
        [other for other in range(len(sound)) if frozenset((place, other)) not in apart]
        for place in range(len(sound))
    ]
    ranks = []
    first = 0  # the place of the first row that has the current rank
    for place, row in enumerate(sound):
        if any(above not in ties[place] for above in range(first, place)):
            first = place
        names = tuple(sound[other].name for other in ties[place] if other != place)
        ranks.append(replace(row, rank=first + 1, ties=names))
    places = iter(ranks)
    return [next(places) if row.unranked is None else row for row in found]


def rank_words(row: Row, same: Sequence[Row]) -> str | None:
    """A row's rank among those under the same load, "2=" where others share it."""
    if row.rank is None:
        return None
    return f"{row.rank}=" if sum(one.rank == row.rank for one in same) > 1 else str(row.rank)


def _told_apart(found: Sequence[Row], path: str) -> set[frozenset[int]]:
    """The pairs of rows, by their places, that clearly differ in a figure."""
    p_values = {}
    for (a, one), (b, other) in itertools.combinations(enumerate(found), 2):
        quotient = one.ratio(path, other)
        if quotient is not None and quotient.p_value is not None:
            p_values[frozenset((a, b))] = quotient.p_value
    return {pair for pair, p_value in holm(p_values).items() if p_value <= 1 - CONFIDENCE}


def _why_unranked(row: Row) -> str | None:
    windows = row.values("window_seconds")
    reasons = (
        ("did not run", row.problem is not None),
        ("failed its audit", not row.valid),
        ("cut short", _cut_short(row)),
        ("wrong replies", row.ever("wrong")),
        ("lost clients", row.ever("refused", "reset", "timed_out", "other_failed")),
        ("lost datagrams", row.ever("lost")),
        ("failed messages", row.ever("failed")),
        ("starved clients", row.ever("starved")),
        ("messages left waiting", any(trial.left_waiting for trial in row.trials)),
        ("nothing measured", None in row.values(headline(row.plan).path)),
        (TOO_SHORT, sum(window or 0.0 for window in windows) < 0.98 * LEAST_SECONDS),
        (ONE_TRIAL, len(row.trials) < 2),
    )
    return next((reason for reason, holds in reasons if holds), None)


def _cut_short(row: Row) -> bool:
    return any(trial.run.tally is not None and trial.run.tally.cut_short for trial in row.trials)
