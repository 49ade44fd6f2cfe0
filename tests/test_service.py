"""Who may starve and who may not; messages that were left waiting; what the exit status says."""

from dataclasses import replace

import pytest

from loadgen.fleet.server import ModelServer
from loadgen.judge.rows import Row
from loadgen.plan.group import Group
from loadgen.record.result import Run
from loadgen.record.tally import GroupTally
from loadgen.show.sentences import sentence
from tests.runs import group_tally, mixed, plan, result, rows, run, tally


def row(*runs: Run) -> Row:
    [found] = rows(result(*runs))
    return found


def served(model: str, clients: int, served: int) -> Run:
    found = run(model, plan=plan(Group(clients)))
    return replace(found, tally=tally(group_tally(clients, served=served)))


@pytest.mark.parametrize(
    ("model", "clients", "served_clients", "unduly"),
    [
        ("iterative", 100, 1, 0),
        ("iterative", 100, 0, 1),
        ("thread", 100, 100, 0),
        ("thread", 100, 99, 1),
        ("thread", 100, 0, 100),
        ("thread-pool", 20, 16, 0),
        ("thread-pool", 20, 15, 1),
        ("thread-pool", 10, 9, 1),
        ("somebody else's", 10, 9, 1),
    ],
)
def test_only_those_beyond_what_a_model_serves_at_a_time_may_starve(
    model: str, clients: int, served_clients: int, unduly: int
) -> None:
    found = row(served(model, clients, served_clients))
    assert found.trials[0].starved_unduly == unduly


def test_a_pool_of_another_size_serves_so_many() -> None:
    ten = replace(served("thread-pool", 20, 10), at_once=10)
    assert row(ten).trials[0].starved_unduly == 0
    assert row(replace(ten, at_once=12)).trials[0].starved_unduly == 2
    assert row(replace(ten, at_once=None)).trials[0].starved_unduly == 6


@pytest.mark.parametrize(
    ("name", "options", "at_once"),
    [
        ("thread-pool", (), 16),
        ("thread-pool", ("--workers", "4"), 4),
        ("thread-pool", ("--workers=32", "--backlog", "5"), 32),
        ("prefork", ("--workers", "3"), 3),
        ("process-threads", ("--workers", "2"), 32),
        ("accept-threads", ("--workers", "4", "--max-clients", "2"), 2),
        ("iterative", ("--workers", "4"), 1),
        ("thread", ("--workers", "4"), None),
        ("thread", ("--max-clients", "7"), 7),
        ("thread-pool", ("--workers", "many"), 16),
    ],
)
def test_how_many_a_server_serves_follows_from_its_options(
    name: str, options: tuple[str, ...], at_once: int | None
) -> None:
    assert ModelServer(name, options).at_once == at_once


def test_a_silent_client_takes_its_place_as_well() -> None:
    silent = GroupTally("idle", clients=1, connected=1, connections=1, held=1)
    asked = plan(Group(10), Group(1, "idle", silent=True))
    nobody = replace(run("iterative", plan=asked), tally=tally(group_tally(10, served=0), silent))
    assert row(nobody).trials[0].starved_unduly == 0


def hung(group: Group) -> Row:
    """All 10 clients were served, and then each was left with 3 messages."""
    count = group_tally()
    count.intended += 30
    count.waiting += 30
    return row(
        *(replace(run("thread", trial, plan=plan(group)), tally=tally(count)) for trial in (1, 2))
    )


def test_by_the_clock_nobody_starves_to_whom_no_message_fell_due() -> None:
    group = group_tally(100, served=16)
    spared = replace(group, intended=group.answered, waiting=0)
    owing = replace(group, intended=group.answered + 5, waiting=5)
    paced = plan(Group(100, rate_per_second=10.0))
    found = [
        row(replace(run("thread", plan=paced), tally=tally(counts))) for counts in (spared, owing)
    ]
    assert [one.value("starved") for one in found] == [0, 5]
    assert "starved" not in sentence(found[0], found[:1])
    assert "starved" in sentence(found[1], found[1:])
    assert [one.trials[0].starved_unduly for one in found] == [0, 5]
    closed = replace(run("thread", plan=plan(Group(100))), tally=tally(group))
    assert row(closed).value("starved") == 84


@pytest.mark.parametrize("group", [Group(10), Group(10, rate_per_second=1000.0)])
def test_who_was_served_and_then_left_waiting_was_not_answered_right(group: Group) -> None:
    found = hung(group)
    assert [trial.left_waiting for trial in found.trials] == [30, 30]
    assert found.unranked == "messages left waiting"


def test_it_is_said() -> None:
    closed, opened = hung(Group(10)), hung(Group(10, rate_per_second=1000.0))
    assert "60 messages had no reply" in sentence(closed, [closed])
    said = sentence(opened, [opened])
    assert said.startswith(
        "reached 100% of the 1,000 messages/s asked for; 60 of 4,060 had no reply"
    )
    assert "within" not in said


def test_a_group_that_asks_for_more_than_there_is_does_not_mean_that_the_server_stopped() -> None:
    behind = mixed(100)
    assert behind.tally is not None
    paced = behind.tally.groups[1]
    paced.intended += 1800
    paced.waiting += 1800
    found = row(behind)
    assert found.trials[0].left_waiting == 1800
    assert "stopped answering" not in sentence(found, [found])


@pytest.mark.parametrize(("waiting", "left"), [(12, 0), (13, 1)])
def test_who_waits_for_the_next_turn_at_a_pool_was_not_left_waiting(
    waiting: int, left: int
) -> None:
    """Of 28 clients that come and go, 16 are served at a time."""
    count = group_tally(28)
    count.intended += waiting
    count.waiting += waiting
    asked = plan(Group(28, messages_per_connection=3))
    found = row(replace(run("thread-pool", plan=asked), tally=tally(count)))
    assert found.trials[0].left_waiting == left
