"""Whether a server answered everybody whom it should have: what an exit status of 0 vouches for.

A model that serves fewer clients at a time than come lets the others wait, as it is meant to; the
registry of models says how many those are (`at_once`). Nobody else may starve. A message that still
waits when the run has ended, and whose client was being served, was left waiting: the engine gave
it as long as the slowest reply before it.
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
    excused = 0
    # Datagrams need no connection, so that nobody's keeps another client from being served.
    if run.model in MODELS and run.plan.transport == "tcp":
        connected, at_once = found.connected or 0, MODELS[run.model].at_once
        excused = 0 if at_once is None else max(0, connected - at_once)
    return max(0, (found.starved or 0) - excused)


def left_waiting(run: Run, found: Figures) -> int:
    """How many messages of clients that were being served had no reply when the run ended.

    A starved client of a closed loop waits with its one message; of an open loop, with those that
    were due for it meanwhile, which cannot be told from the others.
    """
    count = 0
    for group, own in groups_of(run, found):
        waiting, starved = own.waiting or 0, own.starved or 0
        if not group.open_loop:
            count += max(0, waiting - starved)
        elif not starved:
            count += waiting
    return count


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
