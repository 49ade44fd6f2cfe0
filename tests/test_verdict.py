"""The verdict names what held the rate back."""

from dataclasses import replace

import pytest

from loadgen.judge.figures import figures
from loadgen.judge.verdict import GENERATOR, GIL, MACHINE, SERVER, WAITING, verdict
from loadgen.plan.group import Group
from loadgen.record.histogram import Histogram
from loadgen.record.monitor import ServerCost
from loadgen.record.result import Ceiling, Run
from loadgen.record.tally import GroupTally
from tests.runs import PLAN, cost, group_tally, mixed, run, tally


def bound(one: Run, ceiling: Ceiling | None = None, cores: int = 4) -> str | None:
    return verdict(one, ceiling, cores).bound


def busy(worker: float, server: ServerCost) -> Run:
    return replace(run(), tally=tally(group_tally(), worker=worker), server=server)


@pytest.mark.parametrize(
    ("worker", "server", "limit"),
    [
        (0.99, cost(0.99, busy=2.0), GENERATOR),
        (0.60, cost(0.99, busy=1.7), SERVER),
        (0.60, cost(1.05, busy=1.8), SERVER),  # threads that release the lock to send
        (0.60, cost(0.40, busy=1.1), WAITING),
        (0.60, cost(0.40, busy=3.9), MACHINE),  # others have the cores
        (0.80, cost(3.00, busy=3.8, processes=101), MACHINE),
        (0.60, cost(1.90, busy=2.6, processes=3), SERVER),  # two workers and their parent
        (0.60, cost(1.90, busy=2.6, processes=101), WAITING),
        (0.60, ServerCost(), None),
    ],
)
def test_who_kept_how_many_cores_busy(worker: float, server: ServerCost, limit: str | None) -> None:
    assert bound(busy(worker, server)) == limit


def test_a_rate_near_the_ceiling_is_the_generators() -> None:
    waiting = busy(0.4, cost(0.4))
    assert bound(waiting, Ceiling(1050.0, 0.45, 0.4, 1)) == GENERATOR
    assert bound(waiting, Ceiling(3000.0, 0.9, 0.4, 1)) == WAITING


def test_a_null_server_that_was_itself_the_limit_proves_nothing() -> None:
    assert bound(busy(0.6, cost(0.99)), Ceiling(1050.0, 0.6, 0.99, 1)) == SERVER


def open_loop(rate: float, late_ns: int = 1000) -> Run:
    group = group_tally()
    group.lateness = Histogram()
    group.lateness.record(late_ns, 2000)
    plan = replace(PLAN, groups=(Group(10, rate_per_second=rate),))
    return replace(run(), plan=plan, tally=tally(group), server=cost(0.4))


def test_an_open_loop_that_keeps_up_waits_for_the_clock() -> None:
    found = verdict(open_loop(1000.0), None, 4)
    assert found.bound == WAITING
    assert "1,000 messages/s" in found.because


def test_one_that_sends_late_is_itself_the_limit() -> None:
    assert bound(open_loop(1000.0, late_ns=8_000_000)) == GENERATOR


@pytest.mark.parametrize(
    ("model", "gil", "cores", "limit"),
    [
        ("thread", "on", 0.9, SERVER),
        ("thread", "off", 0.9, WAITING),
        ("thread", "off", 3.0, WAITING),
        ("subinterpreters", "on", 0.9, WAITING),
        ("thread", "off", 3.3, MACHINE),
    ],
)
def test_threads_without_one_lock_are_at_no_limit_of_one_core(
    model: str, gil: str, cores: float, limit: str
) -> None:
    several = replace(cost(cores, busy=cores + 0.4), threads=11)
    one = replace(busy(0.4, several), model=model, gil=gil)
    assert bound(one) == limit


def test_a_ceiling_below_the_rate_is_not_called_more() -> None:
    plan = run().plan
    rate = figures(run()).messages_per_second or 0.0
    said = [
        verdict(run(), Ceiling(rate * by, 0.9, 0.4, 1, plan=plan), 4).because for by in (0.95, 1.02)
    ]
    assert ["no more" in one for one in said] == [True, False]
    assert "hardly more" in said[1]


def test_where_both_used_up_the_machine_it_is_the_limit_though_it_was_watched_for_longer() -> None:
    one = busy(0.8, cost(1.1, busy=1.3, processes=101))
    assert verdict(one, None, 2).bound == MACHINE
    assert verdict(one, None, 4).bound != MACHINE


def test_nothing_answered_has_no_verdict() -> None:
    assert bound(replace(run(), tally=tally(GroupTally("all", clients=10), window=0.0))) is None


def test_a_mix_kept_up_with_nothing_by_what_its_closed_loop_got() -> None:
    found = verdict(mixed(paced=100), None, 4)
    assert "kept up" not in found.because


def test_a_quota_that_both_used_up_is_the_machines_limit() -> None:
    shared = busy(0.4, cost(0.55, busy=1.0))
    assert verdict(shared, None, 8).bound == WAITING
    found = verdict(shared, None, 8, quota=1.0)
    assert (found.bound, "of the 1 cores" in found.because) == (MACHINE, True)


@pytest.mark.parametrize(
    ("gil", "waiters", "limit"),
    [("on", 2.5, GIL), ("on", 0.4, SERVER), ("off", 2.5, SERVER), ("on", None, SERVER)],
)
def test_threads_that_wait_for_the_gil(gil: str, waiters: float | None, limit: str) -> None:
    one = replace(busy(0.6, replace(cost(1.05, busy=1.8), gil_waiters=waiters)), gil=gil)
    assert bound(one) == limit
    if limit == GIL:
        assert verdict(one, None, 4).because == "2.5 of its threads waited for it at any moment"
