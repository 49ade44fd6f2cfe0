"""The order of the runs, and what differs between trials."""

from collections import Counter

from loadgen.fleet.server import ModelServer
from loadgen.fleet.task import tasks
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan

SHORT = Plan((Group(3),), duration_seconds=0.2, warmup_seconds=0.05, timeout_seconds=5.0)
MODELS = ["iterative", "process", "thread", "socketserver", "selectors"]
SERVERS = {name: ModelServer(name) for name in MODELS}


def test_each_trial_has_every_model_once_in_an_order_of_its_own() -> None:
    found = tasks(SERVERS, [SHORT], 8, seed=3)
    orders = [tuple(task.name for task in found if task.trial == trial) for trial in range(1, 9)]
    assert all(Counter(order) == Counter(MODELS) for order in orders)
    assert len(set(orders)) > 4
    assert [task.trial for task in found] == sorted(task.trial for task in found)


def test_the_order_follows_from_the_seed() -> None:
    assert tasks(SERVERS, [SHORT], 3, seed=3) == tasks(SERVERS, [SHORT], 3, seed=3)
    assert tasks(SERVERS, [SHORT], 3, seed=3) != tasks(SERVERS, [SHORT], 3, seed=4)


def test_every_trial_draws_other_random_numbers() -> None:
    seeds = {task.plan.seed for task in tasks(SERVERS, [SHORT], 3, seed=3)}
    assert len(seeds) == 3
