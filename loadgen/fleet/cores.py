"""Which cores the workers and the server run on where a plan pins them, so that none share one."""

import os

from loadgen.plan.plan import Plan
from loadgen.record import environment


def worker_cores(workers: int) -> list[int]:
    """The core of each worker under `pin`, from the last one down; [] where none can be set."""
    if not hasattr(os, "sched_getaffinity"):
        return []
    cores = sorted(os.sched_getaffinity(0), reverse=True)
    return [cores[number % len(cores)] for number in range(workers)]


def server_cores(plan: Plan) -> list[int] | None:
    """The cores that a pinned plan leaves to the server, None when nothing is pinned."""
    if not plan.pin:
        return None
    taken = set(worker_cores(plan.workers))
    return sorted(set(environment.core_numbers()) - taken) or None
