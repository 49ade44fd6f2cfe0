"""Which cores the workers and the server run on where a plan pins them, so that none share one."""

import os

from loadgen.plan.plan import Plan


def core_numbers() -> list[int]:
    """The numbers of the processors that this process may run on; [] where they have none."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def worker_cores(workers: int) -> list[int]:
    """The core of each worker under `pin`, from the last one down; [] where none can be set."""
    cores = core_numbers()[::-1]
    return [cores[number % len(cores)] for number in range(workers if cores else 0)]


def server_cores(plan: Plan) -> list[int] | None:
    """The cores that a pinned plan leaves to the server, None when nothing is pinned."""
    if not plan.pin:
        return None
    taken = set(worker_cores(plan.workers))
    return sorted(set(core_numbers()) - taken) or None
