"""What the engine can do at most: when that is asked, and against what."""

import threading
from dataclasses import replace

import pytest

from loadgen.fleet import ceiling
from loadgen.fleet.ceiling import ceiling_needed, measure_ceiling
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record.result import Ceiling, Run
from tests.runs import run as a_run
from tests.runs import tally

SHORT = Plan((Group(3),), duration_seconds=0.2, warmup_seconds=0.05, timeout_seconds=5.0)


def test_the_ceiling_is_measured_against_a_server_of_the_projects_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ceiling, "CEILING_SECONDS", 0.2)
    monkeypatch.setattr(ceiling, "CEILING_WARMUP_SECONDS", 0.05)
    slow = replace(SHORT, groups=(Group(3, think_seconds=5.0), Group(2, name="i", silent=True)))
    found = measure_ceiling(slow, threading.Event())
    assert isinstance(found, Ceiling)
    assert found.messages_per_second > 3 / 5.0 * 10  # nobody thinks while it is measured
    assert 0 < found.busiest_worker_cpu <= 1.1
    assert found.server_cpu_cores is not None


def test_several_workers_are_taken_for_the_like_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Plan] = []

    def observe(run: Run, *_: object) -> Run:
        seen.append(run.plan)
        return replace(a_run(), plan=run.plan)

    monkeypatch.setattr(ceiling, "observe", observe)
    found = measure_ceiling(replace(SHORT, groups=(Group(7),), workers=3), threading.Event())
    assert found is not None
    assert [(plan.workers, plan.clients) for plan in seen] == [(1, 3)]
    assert (found.workers, found.messages_per_second) == (3, 3000)


def test_silent_clients_have_no_ceiling() -> None:
    assert measure_ceiling(Plan((Group(2, silent=True),)), threading.Event()) is None


def test_the_ceiling_is_measured_when_the_engine_was_busy() -> None:
    assert not ceiling_needed([replace(a_run(), tally=None)])
    assert not ceiling_needed([replace(a_run(), tally=tally(worker=0.1))])
    assert ceiling_needed([a_run(), replace(a_run(), tally=tally(worker=0.9))])
