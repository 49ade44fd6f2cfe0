"""Whether a server answered everybody whom it should have: what an exit status of 0 vouches for.

A model that serves fewer clients at a time than come lets the others wait, as it is meant to; the
registry of models says how many those are (`at_once`). Nobody else may starve. A message that still
waits when the run has ended, and whose client was being served, was left waiting: the engine gave
it as long as the slowest reply before it.
"""

from concurrency_models.backends import MODELS
from loadgen.judge.rows import Row, Trial


def all_right(row: Row) -> bool:
    """Whether every client could connect and stay, and got a right reply to all it sent."""
    sound = row.problem is None and row.valid and not row.errors and not row.ever("wrong")
    return sound and not any(starved_unduly(one) or left_waiting(one) for one in row.trials)


def starved_unduly(trial: Trial) -> int:
    """How many clients starved, over those that the model cannot serve at the same time."""
    found = trial.figures
    excused = 0
    # Datagrams need no connection, so that nobody's keeps another client from being served.
    if trial.run.model in MODELS and trial.run.plan.transport == "tcp":
        connected, at_once = found.connected or 0, MODELS[trial.run.model].at_once
        excused = 0 if at_once is None else max(0, connected - at_once)
    return max(0, (found.starved or 0) - excused)


def left_waiting(trial: Trial) -> int:
    """How many messages of clients that were being served had no reply when the run ended.

    A starved client of a closed loop waits with its one message; of an open loop, with those that
    were due for it meanwhile, which cannot be told from the others.
    """
    found = trial.figures
    count = 0
    for group in trial.run.plan.groups:
        own = found.groups.get(group.name, found)
        waiting, starved = own.waiting or 0, own.starved or 0
        if not group.open_loop:
            count += max(0, waiting - starved)
        elif not starved:
            count += waiting
    return count
