"""When a comparison stops: narrow enough, as many lives as asked for, or out of time."""

from argparse import Namespace
from dataclasses import replace

import pytest

from loadgen.command.enough import (
    DEFAULT_MAX_SECONDS,
    DEFAULT_TRIALS,
    Enough,
    half_intervals,
    unsure,
)
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record.histogram import Histogram
from loadgen.record.result import Run
from loadgen.record.tally import GroupTally, Tally, Turn

PLAN = Plan((Group(10),), duration_seconds=1.0, turns=2)


def asked(**options: object) -> Namespace:
    return Namespace(**{"trials": None, "precision": None, "max_seconds": None, **options})


def turn(number: int, answered: int = 0, connections: int = 0, slowest: float = 0.001) -> Turn:
    response = Histogram()
    response.record(round(slowest * 1e9), 100)
    return Turn(number, 0.0, 0.5, answered, connections, response=response)


def run(life: int, *turns: Turn, model: str = "thread", plan: Plan = PLAN) -> Run:
    tally = Tally([GroupTally("all")], 0.0, 0.1, 1.0, 0.5 * len(turns), turns=list(turns))
    return Run(model, replace(plan, seed=life), life, tally=tally)


def lives(*rates: int, model: str = "thread") -> list[Run]:
    return [
        run(life, turn(1, rate), turn(2, rate), model=model)
        for life, rate in enumerate(rates, start=1)
    ]


def test_a_server_is_unsure_as_long_as_its_lives_differ() -> None:
    steady, uneven = lives(1000, 1001, 999, 1000, 1000), lives(1000, 2000, 1000, 500, 1000)
    assert unsure({"a": steady}, 0.05) == []
    assert unsure({"b": uneven}, 0.05) == ["b"]
    assert unsure({"a": steady, "b": uneven}, 0.05) == ["b"]
    assert unsure({"b": uneven, "a": steady}, 0.05) == ["b"]


def test_two_or_three_lives_that_look_alike_are_no_proof() -> None:
    assert unsure({"thread": lives(1000, 1000, 1000)}, 0.05) == ["thread"]


def test_each_load_is_judged_by_what_it_is_ranked_by() -> None:
    churn = replace(PLAN, groups=(Group(10, messages_per_connection=1),))
    paced = replace(PLAN, groups=(Group(10, rate_per_second=100.0),))
    numbers = (1, 2, 3, 4, 5)
    by_connections = [run(life, turn(1, life, 500), plan=churn) for life in numbers]
    by_response = [run(life, turn(1, life), plan=paced) for life in numbers]
    by_messages = [run(life, turn(1, life, 500)) for life in numbers]
    assert unsure({"thread": [*by_connections, *by_response]}, 0.05) == []
    assert unsure({"thread": by_messages}, 0.05) == ["thread"]


def test_half_of_each_interval_is_known_on_the_way_and_shrinks() -> None:
    first = {"a": lives(1000), "b": lives(1100, model="b")}
    assert half_intervals(first) == {}
    second = {"a": lives(1000, 1100), "b": lives(1100, 1050, model="b")}
    later = {"a": lives(1000, 1100, 1050, 1060), "b": lives(1100, 1050, 1080, 1080, model="b")}
    wide, narrow = half_intervals(second), half_intervals(later)
    for name in ("a", "b"):
        assert (narrow[name].spread or 1.0) < (wide[name].spread or 0.0)


def test_of_several_loads_the_widest_interval_is_told() -> None:
    other = replace(PLAN, groups=(Group(20),))
    steady = [run(life, turn(1, 1000 + life), turn(2, 1000), plan=other) for life in (1, 2, 3)]
    uneven = lives(1000, 1300, 900)
    [both] = half_intervals({"a": [*steady, *uneven]}).values()
    assert both == half_intervals({"a": uneven})["a"]


def test_a_server_of_which_nothing_was_measured_holds_nobody_up() -> None:
    failed = [Run("process", PLAN, life, problem="no") for life in range(1, 6)]
    both = {"thread": lives(1000, 1000, 1000, 1000, 1000), "process": failed}
    assert unsure(both, 0.05) == []
    over, why = Enough(asked(), 2, in_turns=True).verdict(both)
    assert over
    assert "every server that ran is known within 5.0%" in why
    # Where none did, there is nothing to be sure of.
    assert Enough(asked(), 1, in_turns=True).verdict({"process": failed}) == (True, "")


def test_a_whole_trial_is_a_turn_by_itself() -> None:
    tallies = [GroupTally("all", answered_in_window=count) for count in (100, 100, 100, 100, 101)]
    runs = [
        Run("thread", replace(PLAN, turns=None), trial, tally=Tally([tally], 0.0, 0.1, 1.0, 2.0))
        for trial, tally in enumerate(tallies, start=1)
    ]
    assert unsure({"thread": runs}, 0.05) == []
    assert unsure({"thread": runs[:4]}, 0.05) == ["thread"]


def test_as_many_as_were_asked_for_or_the_usual_number_of_whole_trials() -> None:
    for options, subjects, in_turns, number in (
        ({"trials": 2}, 5, True, 2),
        ({}, 5, False, DEFAULT_TRIALS),
        ({}, 1, False, 1),
    ):
        judge = Enough(asked(**options), subjects, in_turns=in_turns)
        verdicts = [judge.verdict({"thread": lives(1)}) for _ in range(number)]
        assert [over for over, _ in verdicts] == [False] * (number - 1) + [True]
        assert verdicts[-1] == (True, "")  # what was asked for goes without saying


def test_sure_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 100.0)
    judge = Enough(asked(), 2, in_turns=True)
    assert judge.verdict({"thread": lives(1000)}) == (False, "")
    over, why = judge.verdict({"thread": lives(1000, 1001, 999, 1000, 1000)})
    assert over
    assert "measured 2 lives in 0 s: every server is known within 5.0%" in why


def test_time_is_up_before_a_life_that_would_end_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    judge = Enough(asked(), 1, in_turns=True)
    now[0] += 0.3 * DEFAULT_MAX_SECONDS
    assert judge.verdict({"thread": lives(1, 2)}) == (False, "")
    now[0] += 0.4 * DEFAULT_MAX_SECONDS
    over, why = judge.verdict({"thread": lives(1, 2)})
    assert over
    assert f"no time for another within {DEFAULT_MAX_SECONDS:g} s" in why
    assert why.endswith("not within 5.0% yet: thread")


def test_lives_and_a_precision_together_end_by_whichever_comes_first() -> None:
    judge = Enough(asked(trials=1, precision=0.1), 1, in_turns=True)
    over, why = judge.verdict({"thread": lives(1, 2)})
    assert over
    assert "so many were asked for; not within 10.0% yet: thread" in why
