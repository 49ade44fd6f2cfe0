"""How clients are dealt to workers: every one once, evenly, and none left without any."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.engine.share import Share
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.plan.validation import PlanError

CROWDS = st.lists(st.tuples(st.integers(1, 12), st.booleans()), min_size=1, max_size=4)


def shares(groups: tuple[Group, ...], workers: int) -> list[Share]:
    plan = Plan(groups, workers=workers)
    return [Share(plan, Endpoint("inet"), number) for number in range(workers)]


@given(CROWDS, st.integers(1, 8))
def test_every_client_has_one_worker_and_no_worker_two_more_than_another(
    crowds: list[tuple[int, bool]], workers: int
) -> None:
    groups = tuple(
        Group(clients, str(place), silent=silent) for place, (clients, silent) in enumerate(crowds)
    )
    every = shares(groups, workers)
    for group in groups:
        blocks = [share.clients_of(group) for share in every]
        assert [number for block in blocks for number in block] == list(range(group.clients))
        assert max(map(len, blocks)) - min(map(len, blocks)) <= 1
    for some in (groups, [group for group in groups if not group.silent]):
        counts = [sum(len(share.clients_of(group)) for group in some) for share in every]
        assert max(counts) - min(counts) <= 1


def test_groups_of_one_go_to_workers_in_turn() -> None:
    groups = (Group(1, "a"), Group(1, "b"), Group(1, "c"))
    assert [share.clients for share in shares(groups, 3)] == [1, 1, 1]


def test_a_worker_that_would_wait_for_silent_clients_for_ever_is_refused() -> None:
    crowd = (Group(1), Group(5, "idle", silent=True))
    Plan(crowd, workers=2).validate()
    with pytest.raises(PlanError, match="2 workers for 1 clients that talk"):
        Plan(crowd, workers=2, duration_seconds=None, messages_per_client=3).validate()
