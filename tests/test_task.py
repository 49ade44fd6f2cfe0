"""The order of the runs, and what differs between trials."""

from collections import Counter

from loadgen.fleet.server import ModelServer
from loadgen.fleet.task import Task, tasks_of
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan

SHORT = Plan((Group(3),), duration_seconds=0.2, warmup_seconds=0.05, timeout_seconds=5.0)
MODELS = ["iterative", "process", "thread", "socketserver", "selectors"]
SERVERS = {name: ModelServer(name) for name in MODELS}


def orders(seed: int) -> list[list[str]]:
    """The names of the servers as eight trials measure them."""
    return [[task.name for task in trial(number, seed)] for number in range(1, 9)]


def trial(number: int, seed: int = 3) -> list[Task]:
    return tasks_of(SERVERS, [SHORT], number, seed)


def test_each_trial_has_every_model_once_in_an_order_of_its_own() -> None:
    assert all(Counter(order) == Counter(MODELS) for order in orders(3))
    assert len(set(map(tuple, orders(3)))) > 4
    assert {task.trial for task in trial(2)} == {2}


def test_the_order_follows_from_the_seed() -> None:
    assert orders(3) == orders(3)
    assert orders(3) != orders(4)


def test_every_trial_draws_other_random_numbers() -> None:
    seeds = {task.plan.seed for number in (1, 2, 3) for task in trial(number)}
    assert len(seeds) == 3
