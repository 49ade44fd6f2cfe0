"""Which servers are started, and that whatever is left out has a line."""

from dataclasses import replace

import pytest

from concurrency_models.backends import MODELS
from loadgen.command.server_options import models_of
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.plan.validation import PlanError
from loadgen.servers import interpreters
from loadgen.servers.candidates import choose
from loadgen.servers.problem import TargetError

PLAN = Plan((Group(1),))
FULL = replace(interpreters.own(), version="3.13.0", missing={})
BARE = replace(FULL, version="3.12.1", missing={"uvloop": "pip install uvloop"})
CORE = models_of(["core"])


def test_models_in_the_order_of_the_registry() -> None:
    found, said = choose(CORE, ["core"], PLAN, [FULL])
    assert [one.name for one in found] == CORE
    assert said == []


def test_every_model_under_every_interpreter() -> None:
    found, said = choose(["thread", "process"], ["thread", "process"], PLAN, [FULL, BARE])
    assert [(one.model, one.python.version, one.name) for one in found] == [
        ("thread", "3.13.0", "thread 3.13.0"),
        ("thread", "3.12.1", "thread 3.12.1"),
        ("process", "3.13.0", "process 3.13.0"),
        ("process", "3.12.1", "process 3.12.1"),
    ]
    assert said == []


def test_a_label_in_place_of_the_model() -> None:
    assert choose(["thread"], [], PLAN, [FULL], "mine")[0][0].name == "mine"
    assert choose(["thread"], [], PLAN, [FULL, BARE], "mine")[0][1].name == "mine 3.12.1"


def test_copies_of_a_model_are_numbered_and_said_to_be_copies() -> None:
    found, said = choose(["process", "thread", "thread"], ["thread"], PLAN, [FULL])
    assert [(one.name, one.label) for one in found] == [
        ("process", None),
        ("thread #1", "thread #1"),
        ("thread #2", "thread #2"),
    ]
    assert len(said) == 1
    found, said = choose(["thread", "thread"], ["thread"], PLAN, [FULL, BARE], "mine")
    assert [one.name for one in found] == [
        "mine #1 3.13.0", "mine #1 3.12.1", "mine #2 3.13.0", "mine #2 3.12.1",
    ]  # fmt: skip
    assert {one.label for one in found} == {"mine #1", "mine #2"}


def test_a_model_that_one_interpreter_lacks() -> None:
    found, said = choose(["thread", "uvloop"], ["uvloop"], PLAN, [FULL, BARE])
    assert [one.name for one in found][2:] == ["uvloop 3.13.0"]
    assert said == ["left out: uvloop 3.12.1: pip install uvloop"]


def test_a_model_of_a_group_that_cannot_run() -> None:
    found, said = choose(["thread", "uvloop"], ["all"], PLAN, [BARE])
    assert [one.name for one in found] == ["thread"]
    assert said == ["left out: uvloop: pip install uvloop"]


def test_a_model_asked_for_by_name_that_cannot_run() -> None:
    with pytest.raises(TargetError, match="the model uvloop cannot run here: pip install uvloop"):
        choose(["thread", "uvloop"], ["thread", "uvloop"], PLAN, [BARE])
    other = replace(BARE, library="/somewhere")
    with pytest.raises(TargetError, match=r"cannot run under Python 3\.12\.1: pip install"):
        choose(["uvloop"], ["uvloop"], PLAN, [other])


def test_nothing_left() -> None:
    with pytest.raises(TargetError, match="no server is left to start; left out: uvloop"):
        choose(["uvloop"], ["all"], PLAN, [BARE])


@pytest.mark.parametrize(
    ("plan", "able"),
    [
        (replace(PLAN, transport="udp"), lambda model: "udp" in model.transports),
        (replace(PLAN, family="unix"), lambda model: "unix" in model.families),
    ],
    ids=["udp", "unix"],
)
def test_models_that_do_not_serve_that_way(plan: Plan, able: object) -> None:
    assert callable(able)
    found, said = choose(list(MODELS), ["all"], plan, [FULL])
    assert [one.model for one in found] == [name for name, one in MODELS.items() if able(one)]
    assert len(said) == 1
    unable = [name for name, one in MODELS.items() if not able(one)]
    assert said[0].startswith(f"left out: {', '.join(unable)}: ")
    with pytest.raises(PlanError, match=f"the model {unable[0]} cannot be used: "):
        choose([unable[0]], [unable[0]], plan, [FULL])
