"""Due times of an open loop: the rate, whose turn it is, and how workers share them."""

from dataclasses import replace
from itertools import pairwise
from statistics import mean

import pytest

from loadgen.engine.clock import NEVER, SECOND
from loadgen.engine.schedule import Schedule
from loadgen.engine.share import Share
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan

CONSTANT = Group(6, rate_per_second=300)
POISSON = replace(CONSTANT, arrivals="poisson")


def share_of(group: Group, worker: int = 0, workers: int = 2, seed: int = 1) -> Share:
    return Share(Plan((group,), workers=workers, seed=seed), Endpoint("inet"), worker)


def taken(group: Group, share: Share, messages: int) -> list[tuple[int, int]]:
    """The first so many messages: a client's place and a due time each."""
    schedule = Schedule(group, share)
    schedule.start(SECOND)
    return [schedule.take() for _ in range(messages)]


def test_nothing_is_due_before_the_start_and_after_the_end() -> None:
    schedule = Schedule(CONSTANT, share_of(CONSTANT))
    assert schedule.next_due == NEVER
    schedule.start(SECOND)
    assert schedule.next_due == SECOND
    schedule.hold()
    assert schedule.next_due == NEVER


def test_constant_arrivals_go_round_the_clients_at_even_distances() -> None:
    found = taken(CONSTANT, share_of(CONSTANT), 300)
    assert [place for place, _ in found] == [0, 1, 2] * 100
    # Half of the clients, so half of the rate; and rounding does not add up.
    assert found[-1][1] == round(SECOND + 299 * SECOND / 150)


def test_workers_are_offset_evenly() -> None:
    both = [due for worker in (0, 1) for _, due in taken(CONSTANT, share_of(CONSTANT, worker), 50)]
    gaps = {later - earlier for earlier, later in pairwise(sorted(both))}
    assert all(gap == pytest.approx(SECOND / 300, abs=1) for gap in gaps)


def test_poisson_arrivals_have_the_rate_and_reach_every_client() -> None:
    found = taken(POISSON, share_of(POISSON), 10_000)
    gaps = [later - earlier for (_, earlier), (_, later) in pairwise(found)]
    # Ten standard errors of a mean of 10,000 exponential waits are a tenth of it.
    assert mean(gaps) == pytest.approx(SECOND / 150, rel=0.1)
    places = [place for place, _ in found]
    assert min(places.count(place) for place in range(3)) > 3000


def test_poisson_arrivals_follow_from_the_seed_and_differ_between_workers() -> None:
    first = taken(POISSON, share_of(POISSON), 20)
    assert first == taken(POISSON, share_of(POISSON), 20)
    assert first != taken(POISSON, share_of(POISSON, seed=2), 20)
    assert first != taken(POISSON, share_of(POISSON, worker=1), 20)
