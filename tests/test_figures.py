"""Figures worked out by hand from counts made by hand."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.judge.figures import figures, flat, jain
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record.histogram import Histogram
from loadgen.record.monitor import ServerCost, TurnCost
from loadgen.record.result import Run
from loadgen.record.tally import GroupTally
from tests.runs import PLAN, cost, group_tally, mixed, run, starving, tally


def test_rates_belong_to_the_window() -> None:
    found = figures(run())  # 10 clients, 200 messages each, 2 s
    assert found.messages == 2000
    assert found.messages_per_second == 1000
    assert found.payload_bytes_per_second == 1000 * 138
    assert found.window_seconds == 2.0
    assert found.warmup_seconds == pytest.approx(0.49)


def test_how_fast_lasting_clients_connect_is_no_figure_of_the_servers() -> None:
    assert figures(run()).connections == 10
    assert figures(run()).connections_per_second is None


def test_under_churn_they_are_those_of_the_window() -> None:
    plan = replace(PLAN, groups=(Group(10, messages_per_connection=1),))
    group = group_tally()
    group.connections_in_window = 500
    found = figures(replace(run(), plan=plan, tally=tally(group)))
    assert found.connections_per_second == 250


def test_latency_is_the_service_time_and_in_a_closed_loop_there_is_no_other() -> None:
    found = figures(run())
    assert found.latency_seconds.p50 == pytest.approx(0.01, rel=1 / 256)
    assert found.latency_seconds.count == 2000
    assert found.response_seconds is None
    assert found.requested_per_second is None


def test_an_open_loop_has_both_and_the_rate_asked_for() -> None:
    group = group_tally()
    group.response = Histogram()
    group.response.record(30_000_000, 2000)
    group.lateness = Histogram()
    group.lateness.record(1000, 2000)
    plan = replace(PLAN, groups=(Group(10, rate_per_second=1000.0),))
    found = figures(replace(run(), plan=plan, tally=tally(group)))
    assert found.requested_per_second == 1000
    assert found.response_seconds is not None
    assert found.response_seconds.p99 == pytest.approx(0.03, rel=1 / 256)
    assert found.latency_seconds.p99 == pytest.approx(0.01, rel=1 / 256)
    assert found.lateness_seconds is not None


@pytest.mark.parametrize(
    ("shares", "index"),
    [([5, 5, 5, 5], 1.0), ([7, 0, 0, 0], 0.25), ([1, 3], 0.8), ([0, 0], None), ([], None)],
)
def test_jains_index(shares: list[int], index: float | None) -> None:
    assert jain(shares) == index


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=50).filter(any))
def test_jains_index_lies_between_one_nth_and_one(shares: list[int]) -> None:
    index = jain(shares)
    assert index is not None
    assert 1 / len(shares) - 1e-9 <= index <= 1 + 1e-9


def test_one_served_client_of_ten_is_as_unfair_as_can_be() -> None:
    found = figures(starving())
    assert (found.served, found.starved, found.waiting) == (1, 9, 9)
    assert found.fairness == pytest.approx(0.1)
    assert (found.least_served, found.most_served) == (0, 20_000)


def test_silent_clients_are_not_treated_unfairly() -> None:
    plan = Plan((Group(2, name="busy"), Group(8, name="idle", silent=True)))
    idle = GroupTally("idle", clients=8, connected=8, held=8, answered_per_client=[0] * 8)
    counts = tally(group_tally(2, name="busy"), idle)
    found = figures(replace(run(), plan=plan, tally=counts))
    assert found.fairness == 1.0
    assert found.held == 8
    assert found.clients == 10
    assert found.groups["idle"].fairness is None
    assert found.groups["idle"].messages_per_second is None
    assert found.groups["busy"].messages == 400


def test_what_unlike_groups_got_is_neither_compared_nor_added_up() -> None:
    found = figures(mixed(paced=100))
    assert (found.requested_per_second, found.response_seconds) == (None, None)
    assert (found.fairness, found.least_served, found.most_served) == (None, None, None)
    assert found.messages_per_second == 1100
    assert found.groups["paced"].requested_per_second == 1000
    assert found.groups["paced"].response_seconds is not None
    assert [found.groups[name].fairness for name in ("paced", "all")] == [1.0, 1.0]


def test_how_much_of_the_latency_was_the_engines_own_queue() -> None:
    counts = tally(group_tally())  # 2,000 messages of 10 ms
    counts.engine_wait_seconds = 5.0
    share = figures(replace(run(), tally=counts)).engine.wait_share
    assert share == pytest.approx(0.25, rel=0.01)
    assert figures(run()).engine.wait_share is None


def test_the_servers_cost() -> None:
    server = figures(run()).server
    assert server.cpu_seconds == 2.0
    assert server.cpu_cores == 1.0
    assert server.cpu_seconds_per_message == pytest.approx(0.001)
    assert (server.memory_kind, server.processes) == ("pss", 1)


def test_cpu_time_is_that_of_the_window_however_long_it_was_watched() -> None:
    one = run()
    cost, longer = one.server, 1.5
    found = figures(
        replace(
            one,
            server=replace(
                cost,
                cpu_seconds=longer * (cost.cpu_seconds or 0.0),
                measured_seconds=longer * (cost.measured_seconds or 0.0),
            ),
        )
    ).server
    assert found.cpu_seconds == pytest.approx(2.0)
    assert found.cpu_cores == pytest.approx(1.0)


def test_cpu_of_turns_is_held_against_all_that_was_answered_meanwhile() -> None:
    one = run()  # a core for 2 s, in which 2,000 messages were answered
    spent = TurnCost(1, 2.4, 3.0, 0.0, None, answered=3000)
    cost = replace(one.server, cpu_seconds=3.0, measured_seconds=2.4, turns=(spent,))
    found = figures(replace(one, server=cost)).server
    assert found.cpu_seconds_per_message == pytest.approx(0.001)
    assert found.cpu_cores == pytest.approx(1.0)
    assert found.cpu_seconds == pytest.approx(2.0)


def test_what_others_used_is_what_is_left() -> None:
    counts = replace(run(), server=cost(1.0, busy=1.9))
    assert figures(counts).machine.other_cores == pytest.approx(1.9 - 1.0 - 0.5)
    assert figures(replace(run(), server=cost(1.0, busy=1.0))).machine.other_cores == 0


def test_a_server_that_was_not_watched_has_no_cost() -> None:
    found = figures(replace(run(), server=ServerCost(note="elsewhere")))
    assert found.server.cpu_seconds is None
    assert found.server.cpu_seconds_per_message is None
    assert found.machine.other_cores is None


def test_a_window_that_never_opened_has_no_rates() -> None:
    counts = tally(GroupTally("all", clients=10, refused=10), window=0.0)
    found = figures(replace(run(), tally=counts))
    assert found.messages is None
    assert found.messages_per_second is None
    assert found.fairness is None
    assert found.latency_seconds.max is None
    assert found.refused == 10


def test_only_datagrams_are_lost_late_or_duplicated() -> None:
    assert figures(run()).lost is None
    over_udp = replace(run(), endpoint=Endpoint("inet", "127.0.0.1", 9, transport="udp"))
    assert figures(over_udp).lost == 0


def test_every_figure_has_a_path() -> None:
    found = flat(figures(run()))
    assert found["messages_per_second"] == 1000
    assert found["latency_seconds.p99"] == pytest.approx(0.01, rel=1 / 256)
    assert found["server.memory_bytes"] == 12 * 1024**2


def test_a_run_that_did_not_happen_has_none_of_them() -> None:
    found = flat(figures(Run("thread", PLAN, problem="no")))
    measured = {path for path, value in found.items() if value}
    assert measured == {"clients", "engine.workers"}
