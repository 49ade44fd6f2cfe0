"""Whether a server answered everybody whom it should have: what an exit status of 0 vouches for.

A model that serves fewer clients at a time than come lets the others wait, as it is meant to; the
run says how many those are (`at_once`), or else the registry of models. Nobody else may starve. A
message that still waits when the run has ended, and whose client was being served, was left
waiting: the engine gave it as long as the slowest reply before it.
"""

from collections.abc import Iterator
from typing import Final

from concurrency_models.backends import MODELS
from loadgen.judge.figures import Figures, LoadFigures
from loadgen.plan.group import Group
from loadgen.record.result import Run

# An open loop that gets this share of the rate asked for has what it asked for.
RATE_REACHED: Final = 0.98


def starved_unduly(run: Run, found: Figures) -> int:
    """How many clients starved, over those that the model cannot serve at the same time."""
    return max(0, (found.starved or 0) - beyond_capacity(run, found))


def at_once(run: Run) -> int | None:
    """How many clients the model serves at a time; None for as many as come, or an unknown one.

    Datagrams need no connection, so that nobody's keeps another client from being served.
    """
    if run.plan.transport == "udp":
        return None
    if run.at_once is None and run.model in MODELS:  # an older result, or one that ran already
        return MODELS[run.model].at_once
    return run.at_once


def beyond_capacity(run: Run, found: Figures) -> int:
    """How many clients connected over those that it serves at a time; 0 for an unknown model."""
    most = at_once(run)
    return 0 if most is None else max(0, (found.connected or 0) - most)


def left_waiting(run: Run, found: Figures) -> int:
    """How many messages had no reply when the run ended, though their clients were being served.

    A client of a closed loop that starves, or whose turn has not come again, waits with its one
    message.
    """
    beyond = beyond_capacity(run, found)
    waiting = starved = 0
    for group, own in groups_of(run, found):
        if not group.open_loop:
            waiting, starved = waiting + (own.waiting or 0), starved + (own.starved or 0)
    return max(0, waiting - max(starved, beyond)) + owed_by_the_clock(run, found)


def owed_by_the_clock(run: Run, found: Figures) -> int:
    """How many of them belong to open loops, where they may be no more than the server is behind.

    What was due for a client that starved cannot be told from the rest of its group's, and counts
    as starved.
    """
    if beyond_capacity(run, found):
        return 0
    return sum(
        own.waiting or 0
        for group, own in groups_of(run, found)
        if group.open_loop and not own.starved
    )


def groups_of(run: Run, found: Figures) -> Iterator[tuple[Group, LoadFigures]]:
    """Each group of the plan with its figures: the whole run's, where it is alone."""
    for group in run.plan.groups:
        yield group, found.groups.get(group.name, found)


def rates_reached(run: Run, found: Figures) -> dict[str, float]:
    """What share of the rate asked for each group of an open loop got, by its name."""
    return {
        group.name: (own.messages_per_second or 0.0) / group.rate_per_second
        for group, own in groups_of(run, found)
        if group.rate_per_second is not None
    }


def kept_up(run: Run, found: Figures) -> bool:
    """Whether every group of an open loop got the rate asked for, and no message was left waiting.

    True as well where nobody asked for a rate.
    """
    reached = rates_reached(run, found).values()
    return all(share >= RATE_REACHED for share in reached) and not left_waiting(run, found)
