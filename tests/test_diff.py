"""Two results side by side."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from loadgen.judge.analysis import Analysis, analyse
from loadgen.judge.diff import ComparisonError, diff
from loadgen.judge.ranks import ONE_TRIAL
from loadgen.judge.rows import load_of
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record.result import Run
from tests.runs import PLAN, group_tally, in_turns, result, run, tally, trials


def compared(model: str, per_client: Sequence[int], **changes: object) -> Analysis:
    return analyse(result(*trials(model, per_client), **changes))


def verdicts(a: Analysis, b: Analysis) -> dict[str, str]:
    found, _ = diff(a, b)
    return {change.path: change.verdict for change in found[0].changes}


def test_diff_tells_better_from_worse_from_neither() -> None:
    before = compared("thread", [200, 201, 199])
    assert verdicts(before, compared("thread", [300, 301, 299]))["messages_per_second"] == "better"
    assert verdicts(before, compared("thread", [100, 101, 99]))["messages_per_second"] == "worse"
    same = verdicts(before, compared("thread", [203, 196, 202]))
    assert same["messages_per_second"] == "no clear difference"


def test_diff_knows_that_less_latency_is_better() -> None:
    before, after = compared("thread", [200, 201, 199]), compared("thread", [300, 301, 299])
    assert verdicts(before, after)["latency_seconds.p99"] == "better"


def test_diff_judges_all_that_it_tells_at_once() -> None:
    others = [
        one
        for model in ("selectors", "iterative", "process", "asyncio-streams")
        for one in trials(model, [90, 100, 111])
    ]

    def verdict(*more: Run) -> str:
        a = analyse(result(*trials("thread", [1000, 1010, 1020]), *more))
        b = analyse(result(*trials("thread", [1051, 1052, 1071]), *more))
        found, _ = diff(a, b)
        return next(one for one in found if one.a == "thread").changes[0].verdict

    assert verdict() == "better"
    assert verdict(*others) == "no clear difference"


def test_diff_does_not_pair_what_was_measured_at_another_time() -> None:
    a = analyse(result(*in_turns("thread", [[1000, 1200], [3000, 3600], [2000, 1900]])))
    b = analyse(result(*in_turns("thread", [[1100, 1310], [3300, 3970], [2200, 2080]])))
    assert verdicts(a, b)["messages_per_second"] == "no clear difference"


def test_diff_gives_the_ratio_of_b_to_a() -> None:
    found, _ = diff(compared("thread", [200, 200]), compared("thread", [300, 300]))
    assert found[0].changes[0].ratio is not None
    assert found[0].changes[0].ratio.mean == pytest.approx(1.5)


def test_diff_of_single_trials_has_no_verdict() -> None:
    found, said = diff(compared("thread", [200]), compared("thread", [300]))
    assert found[0].changes[0].verdict == ONE_TRIAL
    assert any("--trials 3" in one for one in said)


def test_diff_pairs_two_servers_when_there_is_one_in_each() -> None:
    found, _ = diff(compared("thread", [200, 201]), compared("redis-server", [300, 301]))
    assert (found[0].a, found[0].b) == ("thread", "redis-server")


def test_diff_leaves_out_what_is_in_one_alone_and_says_so() -> None:
    both = [*trials("thread", [200, 201]), *trials("process", [100, 101])]
    found, said = diff(analyse(result(*both)), compared("thread", [200, 202]))
    assert [one.a for one in found] == ["thread"]
    assert any("process" in one for one in said)


@pytest.mark.parametrize(
    "plan",
    [
        replace(PLAN, framing="line"),
        replace(PLAN, groups=(Group(11),)),
        replace(PLAN, groups=(Group(10, size_bytes=1024),)),
        replace(PLAN, groups=(Group(10, rate_per_second=100.0),)),
        replace(PLAN, duration_seconds=None, messages_per_client=5),
        replace(PLAN, groups=(Group(10), Group(5, name="slow"))),
    ],
)
def test_diff_refuses_other_loads_and_says_what_differs(plan: Plan) -> None:
    groups = [group_tally(group.clients, name=group.name) for group in plan.groups]
    other = [replace(one, plan=plan, tally=tally(*groups)) for one in trials("thread", [200, 201])]
    with pytest.raises(ComparisonError, match="the loads differ"):
        diff(compared("thread", [200, 201]), analyse(result(*other)))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"duration_seconds": None, "messages_per_client": 5}, "per client unlimited and 5"),
        ({"groups": (Group(10, messages_per_connection=1),)}, "per connection unlimited and 1"),
        ({"groups": (Group(10, rate_per_second=5.0),)}, "rate per second none and 5.0"),
        ({"groups": (Group(10, silent=True),)}, "silent no and yes"),
        ({"reply_prefix": b"> "}, "reply prefix 'received: ' and '> '"),
    ],
)
def test_what_differs_is_said_as_people_say_it(change: dict[str, Any], says: str) -> None:
    other = analyse(result(run(plan=replace(PLAN, **change))))
    with pytest.raises(ComparisonError, match=f"{says}$"):
        diff(analyse(result(run())), other)


def test_diff_warns_when_the_machine_or_the_length_differs() -> None:
    a = compared("thread", [200, 201])
    far = replace(a.result.environment, cpu="another", python="3.99")
    longer = replace(PLAN, duration_seconds=9.0)
    b = analyse(result(*trials("thread", [200, 201], plan=longer), environment=far))
    _, said = diff(a, b)
    assert any("machine" in one and "another" in one for one in said)
    assert any("duration seconds differs: 2.0 and 9.0" in one for one in said)


def test_diff_of_nothing_is_refused() -> None:
    with pytest.raises(ComparisonError, match="no run"):
        diff(analyse(result()), compared("thread", [200]))
    several = analyse(result(*trials("thread", [200]), *trials("process", [200])))
    with pytest.raises(ComparisonError, match="nothing was measured in both"):
        diff(several, compared("selectors", [200]))


@pytest.mark.parametrize(
    "other",
    [replace(PLAN, family="inet6"), replace(PLAN, transport="udp"), replace(PLAN, talk="once")],
    ids=["family", "transport", "talk"],
)
def test_another_way_to_the_server_is_another_load(other: Plan) -> None:
    assert load_of(PLAN) != load_of(other)
    with pytest.raises(ComparisonError, match=r"(inet and inet6|tcp and udp|loop and once)$"):
        diff(analyse(result(run())), analyse(result(run(plan=other))))
