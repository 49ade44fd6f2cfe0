"""Pinned workers have a core each, and the server has the rest."""

import os

import pytest

from loadgen.fleet import cores
from loadgen.fleet.conductor import run_load
from loadgen.fleet.cores import worker_cores
from loadgen.fleet.events import Event, WindowOpened
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from tests.known_servers import serving, talk
from tests.test_conductor import workers_of_this_process


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores cannot be chosen here")
def test_workers_are_pinned_from_the_last_core_down() -> None:
    allowed = sorted(os.sched_getaffinity(0))
    assert worker_cores(1) == [allowed[-1]]
    seen: list[set[int]] = []

    def look(event: Event) -> None:
        if isinstance(event, WindowOpened):
            seen.extend(set(worker.cpu_affinity() or ()) for worker in workers_of_this_process())

    with serving(talk()) as endpoint:
        run_load(Plan((Group(1),), pin=True, duration_seconds=0.1), endpoint, on_event=look)
    assert seen == [{allowed[-1]}]


def test_pinning_leaves_the_other_cores_to_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "core_numbers", lambda: [0, 1, 2, 3])
    monkeypatch.setattr(cores, "worker_cores", lambda workers: [3, 2, 1, 0][:workers])
    assert cores.server_cores(Plan((Group(3),), workers=1)) is None
    assert cores.server_cores(Plan((Group(3),), workers=1, pin=True)) == [0, 1, 2]
    assert cores.server_cores(Plan((Group(3),), workers=4, pin=True)) is None
